"""Demand is served from a node's own stock or over serving lanes; the rest is lost or waits.

    lost:       sum_in serve[i,a,m] + sales[i,v,m] + unmet[i,v,m] = demand[i,v,m]
    backorder:  ... + backlog[i,v,m] - backlog[i,v,parent(m)] = demand[i,v,m]
    service:    E sum_m unmet[i,v,m] <= (1 - service_level) E sum_m demand[i,v,m]

Under backorders the service row bounds the average backlog by the same share of average demand.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from optrl_formulations.components import add_rows, members
from optrl_formulations.replenishment_layout import ReplenishmentLayout


def add_demand_balance(block: Any, layout: ReplenishmentLayout) -> pyo.Constraint:
    """Add the rows ``demand_balance[item, node, outcome]``.

    The block must hold serve, sales, unmet, demand and, where demand waits, initial_backlog.
    """
    network, tree = layout.network, layout.tree
    lanes: dict[int, list[int]] = {}
    for lane in network.serving_lanes.tolist():
        lanes.setdefault(int(network.destination[lane]), []).append(lane)
    keys = members(layout, layout.demand, "ivn")
    expressions = []
    places = layout.demand.columns[1].tolist()
    for (item, node, m), place in zip(keys, places, strict=True):
        terms = [block.unmet[item, node, m]]
        for lane in lanes.get(place, ()):
            key = (item, *network.lanes[lane], m)
            if key in block.serve:
                terms.append(block.serve[key])
        if (item, node, m) in block.sales:
            terms.append(block.sales[item, node, m])
        if network.unmet == "backorder":
            if tree.depth[m] == 1:
                terms.append(-block.initial_backlog[item, node])
            else:
                terms.append(-block.unmet[item, node, int(tree.parent[m])])
        terms.append(-block.demand[item, node, m])
        expressions.append(pyo.quicksum(terms) == 0)
    return add_rows(block, "demand_balance", keys, expressions)


def add_service(block: Any, layout: ReplenishmentLayout) -> pyo.Constraint:
    """Add the rows ``service[item, node]`` where a service level is asked for."""
    network, tree = layout.network, layout.tree
    keys = members(layout, layout.service_rows, "iv")
    outcomes = tree.outcomes.tolist()
    expressions = []
    for (item, node), i, v in zip(keys, *layout.service_rows, strict=True):
        allowance = 1 - float(network.service_level[i, v])
        expressions.append(
            pyo.quicksum(
                float(tree.probability[m])
                * (block.unmet[item, node, m] - allowance * block.demand[item, node, m])
                for m in outcomes
            )
            <= 0
        )
    return add_rows(block, "service", keys, expressions)
