"""What each capacity is worth, period by period, as a table."""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.items import ReplenishmentItems


def price_table(
    problem: ReplenishmentItems, prices: FloatArray, usage: FloatArray | None
) -> pl.DataFrame:
    """A row for each capacity row, in the order of resources and tree nodes.

    Columns: resource; period (absolute); node of the tree; capacity; used (null without a plan);
    price: what a unit more of the capacity saves in expectation, in money of the start; and
    price_then: the same if that node comes true, in money of its period.

    Args:
        problem: All items.
        prices: Shape (R, P), in money of the objective.
        usage: Of a plan, shape (R, P).
    """
    layout = problem.layout
    resource, node = layout.resource_rows
    depth = layout.tree.depth[node]
    resources = problem.network.resources
    after = np.array([layout.is_seen_after_demand(r) for r in resources], dtype=bool)[resource]
    weight = np.where(after, layout.node_probability[node], layout.decision_weight[node])
    price = prices[resource, node]
    return pl.DataFrame(
        {
            "resource": [resources[r].name for r in resource.tolist()],
            "period": problem.first_period + np.where(after, depth - 1, depth),
            "node": node,
            "capacity": layout.resource_capacity,
            "used": [None] * len(node) if usage is None else usage[resource, node],
            "price": price,
            "price_then": price / weight,
        },
        schema_overrides={"used": pl.Float64, "period": pl.Int64, "node": pl.Int64},
    )
