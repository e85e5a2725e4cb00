"""Flow conservation at stocking nodes.

    on_hand[i,v,m] = on_hand[i,v,parent(m)] + due[i,v] + sum_in order[i,a,node of release]
                     - sum_out order[i,a,parent(m)] - sum_out serve[i,a,m] - sales[i,v,m]

Nonnegative stock at the end of the period implies nonnegative stock after the decision, since
sales are nonnegative: one row per item, node and outcome is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyomo.environ as pyo

from optrl_formulations.components import add_rows, members
from optrl_formulations.network import IntArray
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout


def add_balance(block: Any, layout: ReplenishmentLayout, data: ReplenishmentData) -> pyo.Constraint:
    """Add the rows ``balance[item, node, outcome]`` to `block`.

    The block must hold order, serve, sales, on_hand, initial_on_hand and initial_due.

    Args:
        block: Pyomo block.
        layout: Components of the problem.
        data: How far the pipeline reaches, and how lanes with random arrivals deliver.
    """
    network, tree = layout.network, layout.tree
    due_periods = data.due.shape[2]
    into = _lanes_by_node(network.replenishment_lanes, network.destination)
    out_of = _lanes_by_node(network.replenishment_lanes, network.origin)
    serving = _lanes_by_node(network.serving_lanes, network.origin)
    keys = members(layout, layout.on_hand, "ivn")
    expressions = []
    members_of = zip(keys, layout.on_hand.columns[0], layout.on_hand.columns[1], strict=True)
    for (item, node, m), i, place in members_of:
        depth, parent = int(tree.depth[m]), int(tree.parent[m])
        terms = [block.on_hand[item, node, m]]
        if depth == 1:
            terms.append(-block.initial_on_hand[item, node])
        else:
            terms.append(-block.on_hand[item, node, parent])
            if depth - 2 < due_periods:
                terms.append(-block.initial_due[item, node, depth - 2])
        for lane in into.get(int(place), ()):
            for source, share in _releases(layout, data, int(i), lane, m):
                key = (item, *network.lanes[lane], source)
                if key in block.order:
                    terms.append(-share * block.order[key])
        for lane in out_of.get(int(place), ()):
            key = (item, *network.lanes[lane], parent)
            if key in block.order:
                terms.append(block.order[key])
        for lane in serving.get(int(place), ()):
            key = (item, *network.lanes[lane], m)
            if key in block.serve:
                terms.append(block.serve[key])
        if (item, node, m) in block.sales:
            terms.append(block.sales[item, node, m])
        expressions.append(pyo.quicksum(terms) == 0)
    return add_rows(block, "balance", keys, expressions)


def _releases(
    layout: ReplenishmentLayout, data: ReplenishmentData, item: int, lane: int, outcome: int
) -> Iterator[tuple[int, float]]:
    """Tree nodes whose order on the lane arrives in the outcome's period, and its share."""
    network, tree = layout.network, layout.tree
    period = int(tree.depth[outcome]) - 1
    position = -1
    if data.delivery is not None:
        position = int(data.delivery.position(len(network.lanes))[lane])
    if data.delivery is None or position < 0:
        release = period - int(network.lead_time[lane])
        if release >= 0:
            yield int(tree.ancestors[outcome, release]), 1.0
        return
    for delay in range(min(period + 1, data.delivery.fraction.shape[3])):
        source = int(tree.ancestors[outcome, period - delay])
        share = float(data.delivery.fraction[item, position, source, delay])
        if share:
            yield source, share


def _lanes_by_node(lanes: IntArray, ends: IntArray) -> dict[int, list[int]]:
    grouped: dict[int, list[int]] = {}
    for lane in lanes.tolist():
        grouped.setdefault(int(ends[lane]), []).append(lane)
    return grouped
