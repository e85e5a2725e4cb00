"""Capacities that items share, and what a supplier can release of an item.

    sum_i use[r,i] * (flow or stock of i) + sum_i setup_time[i,a] * used[i,a,n]
        <= capacity[r,t] + overflow[r,m]

See `Resource` for what each kind counts.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from optrl_formulations.components import add_rows, members
from optrl_formulations.replenishment_layout import ReplenishmentLayout


def add_capacity(block: Any, layout: ReplenishmentLayout) -> pyo.Constraint:
    """Add the rows ``capacity[resource, tree node]``.

    The node is an outcome where stock or serving counts, else a decision. The block must hold
    order, serve, on_hand, overflow and used.
    """
    network, tree = layout.network, layout.tree
    keys = members(layout, layout.resource_rows, "rn")
    expressions = []
    rows = zip(keys, layout.resource_rows.columns[0], layout.resource_capacity, strict=True)
    for (name, m), r, limit in rows:
        resource = network.resources[int(r)]
        decided = int(tree.parent[m]) if layout.is_seen_after_demand(resource) else m
        terms = []
        for i, item in enumerate(network.items):
            use = float(resource.use[i])
            if resource.kind == "storage" and resource.node is not None:
                key: tuple[Any, ...] = (item, network.nodes[resource.node], m)
                if key in block.on_hand:
                    terms.append(use * block.on_hand[key])
            for lane in network.lanes_of(resource).tolist():
                key = (item, *network.lanes[lane], decided)
                if key in block.order:
                    terms.append(use * block.order[key])
                if resource.takes_setup_time and key in block.used:
                    terms.append(float(network.setup_time[i, lane]) * block.used[key])
                key = (item, *network.lanes[lane], m)
                if key in block.serve:
                    terms.append(use * block.serve[key])
        if (name, m) in block.overflow:
            terms.append(-block.overflow[name, m])
        body = pyo.quicksum(terms)
        feasible = body <= float(limit) if terms else pyo.Constraint.Feasible
        expressions.append(feasible)
    return add_rows(block, "capacity", keys, expressions)


def add_supply(block: Any, layout: ReplenishmentLayout) -> pyo.Constraint:
    """Add the rows ``supply[item, supplier, tree node]`` where supply is limited."""
    network, tree = layout.network, layout.tree
    keys = members(layout, layout.supply_rows, "ivn")
    expressions = []
    for (item, _, m), i, v in zip(keys, *layout.supply_rows.columns[:2], strict=True):
        serves = bool(layout.supplier_serves[v])
        decided = int(tree.parent[m]) if serves else m
        terms = []
        for lane in (network.origin == v).nonzero()[0].tolist():
            released = (item, *network.lanes[lane], decided)
            served = (item, *network.lanes[lane], m)
            if released in block.order:
                terms.append(block.order[released])
            if served in block.serve:
                terms.append(block.serve[served])
        limit = float(network.supply_capacity[i, v])
        expressions.append(pyo.quicksum(terms) <= limit if terms else pyo.Constraint.Feasible)
    return add_rows(block, "supply", keys, expressions)
