"""What the picture of a plan shows: flows, what binds, who is poorly served, in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, NodeKind

from optrl.planning.summary import binding_resources

if TYPE_CHECKING:
    from optrl.planning.plan import Plan

COLOURS = {
    NodeKind.SUPPLIER: "#b5651d",
    NodeKind.STOCKING: "#1f4e79",
    NodeKind.CUSTOMER: "#6aa6c8",
}
REPLENISHMENT, SERVING, UNUSED = "#33475b", "#9dbdd3", "#d5dbe1"
BINDING, SHORT = "#c0262d", "#f0a030"

POORLY_SERVED = 0.95
"""Fill rate below which a node is marked."""

_WIDEST, _THINNEST = 8.0, 0.25


@dataclass(frozen=True)
class Flows:
    """What a plan moves over the horizon, in item units.

    Attributes:
        lane: Shape (A,).
        node: Released by suppliers and stocking nodes (own sales included), brought to
            customers, shape (V,).
    """

    lane: FloatArray
    node: FloatArray


def plan_flows(plan: Plan) -> Flows:
    """Total flows of a plan by lane and node."""
    network, tables = plan.instance.network, plan.tables
    lanes = pl.DataFrame(
        {
            "origin": pl.Series([u for u, _ in network.lanes], dtype=pl.String),
            "destination": pl.Series([v for _, v in network.lanes], dtype=pl.String),
        }
    )
    moved = (
        pl.concat([tables.orders, tables.serving])
        .group_by("origin", "destination")
        .agg(pl.col("quantity").sum())
    )
    joined = lanes.join(
        moved, on=["origin", "destination"], how="left", maintain_order="left"
    ).fill_null(0.0)
    lane = joined["quantity"].to_numpy()
    v = len(network.nodes)
    leaving = np.bincount(network.origin, lane, v)
    entering = np.bincount(network.destination, lane, v)
    own = dict(tables.service.group_by("node").agg(pl.col("served").sum()).iter_rows())
    sold = np.array([own.get(name, 0.0) for name in network.nodes])
    is_customer = network.kind == NodeKind.CUSTOMER
    return Flows(lane, np.where(is_customer, entering, leaving + sold))


@dataclass(frozen=True)
class Binding:
    """Rows of `binding_resources` by where they bind.

    Attributes:
        at_node: Kind of resource and its row, by node.
        on_lane: Row, by lane.
        budget: All others.
    """

    at_node: dict[int, list[tuple[str, dict[str, Any]]]]
    on_lane: dict[int, dict[str, Any]]
    budget: list[dict[str, Any]]


def binding_of(plan: Plan) -> Binding:
    """Where the plan's binding resources are."""
    resources = {r.name: r for r in plan.instance.network.resources}
    found = Binding({}, {}, [])
    for row in binding_resources(plan.tables.prices):
        resource = resources[row["resource"]]
        if resource.node is not None:
            found.at_node.setdefault(resource.node, []).append((resource.kind, row))
        elif resource.lane is not None:
            found.on_lane[resource.lane] = row
        else:
            found.budget.append(row)
    return found


def poorly_served(plan: Plan) -> set[int]:
    """Nodes whose fill rate is below `POORLY_SERVED`."""
    index = plan.instance.network.node_index
    met = plan.tables.service.group_by("node").agg(
        pl.col("demand").sum(), late=pl.min_horizontal("demand", "unmet").sum()
    )
    poor = met.filter(pl.col("late") > (1 - POORLY_SERVED) * pl.col("demand"))
    return {index[node] for node in poor["node"]}


def flow_width(flow: Any, largest: float) -> Any:
    """Points; as the root of the flow, so that small flows still show."""
    return np.maximum(_THINNEST, _WIDEST * np.sqrt(np.asarray(flow) / max(largest, 1e-12)))
