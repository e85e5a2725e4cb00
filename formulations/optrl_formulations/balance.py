"""Flow conservation at stocking nodes.

    on_hand[i,v,m] = on_hand[i,v,parent(m)] + due[i,v] + sum_in order[i,a,node of release]
                     - sum_out order[i,a,parent(m)] - sum_out serve[i,a,m] - sales[i,v,m]

Nonnegative stock at the end of the period implies nonnegative stock after the decision, since
sales are nonnegative: one row per item, node and outcome is exact.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from optrl_formulations.components import add_rows, members
from optrl_formulations.network import IntArray
from optrl_formulations.replenishment_layout import ReplenishmentLayout


def add_balance(block: Any, layout: ReplenishmentLayout, due_periods: int) -> pyo.Constraint:
    """Add the rows ``balance[item, node, outcome]`` to `block`.

    The block must hold order, serve, sales, on_hand, initial_on_hand and initial_due.

    Args:
        block: Pyomo block.
        layout: Components of the problem.
        due_periods: Number of periods the pipeline `initial_due` reaches ahead.
    """
    network, tree = layout.network, layout.tree
    into = _lanes_by_node(network.replenishment_lanes, network.destination)
    out_of = _lanes_by_node(network.replenishment_lanes, network.origin)
    serving = _lanes_by_node(network.serving_lanes, network.origin)
    keys = members(layout, layout.on_hand, "ivn")
    expressions = []
    places = layout.on_hand.columns[1].tolist()
    for (item, node, m), place in zip(keys, places, strict=True):
        depth, parent = int(tree.depth[m]), int(tree.parent[m])
        terms = [block.on_hand[item, node, m]]
        if depth == 1:
            terms.append(-block.initial_on_hand[item, node])
        else:
            terms.append(-block.on_hand[item, node, parent])
            if depth - 2 < due_periods:
                terms.append(-block.initial_due[item, node, depth - 2])
        for lane in into.get(place, ()):
            release = depth - 1 - int(network.lead_time[lane])
            if release >= 0:
                key = (item, *network.lanes[lane], int(tree.ancestors[m, release]))
                if key in block.order:
                    terms.append(-block.order[key])
        for lane in out_of.get(place, ()):
            key = (item, *network.lanes[lane], parent)
            if key in block.order:
                terms.append(block.order[key])
        for lane in serving.get(place, ()):
            key = (item, *network.lanes[lane], m)
            if key in block.serve:
                terms.append(block.serve[key])
        if (item, node, m) in block.sales:
            terms.append(block.sales[item, node, m])
        expressions.append(pyo.quicksum(terms) == 0)
    return add_rows(block, "balance", keys, expressions)


def _lanes_by_node(lanes: IntArray, ends: IntArray) -> dict[int, list[int]]:
    grouped: dict[int, list[int]] = {}
    for lane in lanes.tolist():
        grouped.setdefault(int(ends[lane]), []).append(lane)
    return grouped
