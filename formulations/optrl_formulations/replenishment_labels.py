"""Readable names of the members of the replenishment formulation: items, nodes, lanes, periods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout

_AXES = {
    "order": ("item", "lane", "decision"),
    "serve": ("item", "lane", "outcome"),
    "capacity": ("resource", "resource_time"),
    "overflow": ("resource", "outcome"),
    "lane_used": ("lane", "decision"),
    "used": ("item", "lane", "decision"),
    "lots": ("item", "lane", "decision"),
    "order_minimum": ("item", "lane", "decision"),
    "joint_use": ("item", "lane", "decision"),
    "supply": ("item", "supplier", "supply_time"),
    "service": ("item", "node"),
    "initial_on_hand": ("item", "node"),
    "initial_backlog": ("item", "node"),
    "initial_due": ("item", "node", "arrival"),
}


def labels(layout: ReplenishmentLayout, name: str, index: Index) -> Callable[[int], str]:
    """A function from position to name, for explanations; made only when one is asked for."""
    axes = _AXES.get(name, ("item", "node", "outcome"))

    def label(k: int) -> str:
        members = [int(column[k]) for column in index]
        return ", ".join(
            _text(layout, axis, value, members) for axis, value in zip(axes, members, strict=True)
        )

    return label


def _text(layout: ReplenishmentLayout, axis: str, value: int, members: list[int]) -> str:
    network = layout.network
    match axis:
        case "item":
            return f"item {network.items[value]}"
        case "node" | "supplier":
            return f"node {network.nodes[value]}"
        case "lane":
            return f"lane {' -> '.join(network.lanes[value])}"
        case "resource":
            return f"resource {network.resources[value].name}"
        case "arrival":
            return f"arriving in period {layout.first_period + 1 + value}"
        case "outcome":
            return _period(layout, value, after_demand=True)
        case "resource_time":
            after = layout.is_seen_after_demand(network.resources[members[0]])
            return _period(layout, value, after_demand=after)
        case "supply_time":
            return _period(layout, value, after_demand=bool(layout.supplier_serves[members[1]]))
        case _:
            return _period(layout, value, after_demand=False)


def _period(layout: ReplenishmentLayout, node: int, *, after_demand: bool) -> str:
    tree = layout.tree
    period = layout.first_period + int(tree.depth[node]) - (1 if after_demand else 0)
    is_chain = bool((tree.parent == np.arange(-1, len(tree.parent) - 1)).all())
    return f"period {period}" + ("" if is_chain else f" at tree node {node}")
