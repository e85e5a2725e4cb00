"""Which items shared limits hold back: the plan beside the one that the same policy makes without.

Where a resource binds, the items compete for it. The policy plans once more for the same instance
without any shared resource; what that plan moves (or stores) there, in that period and beyond this
plan, has been displaced: to another period, another lane, or for good.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, Network, Resource

from optrl.instance import Instance
from optrl.planning.plan_tables import SMALLEST, names_at
from optrl.planning.summary import binding_rows
from optrl.simulation.trajectory import Detail

_SCHEMA = {
    "resource": pl.String,
    "item": pl.String,
    "period": pl.Int64,
    "wanted": pl.Float64,
    "planned": pl.Float64,
}


def without_limits(instance: Instance) -> Instance:
    """The instance without shared resources."""
    return replace(instance, network=replace(instance.network, resources=()))


def displaced_table(
    instance: Instance, prices: pl.DataFrame, planned: Detail, wanted: Detail
) -> pl.DataFrame:
    """Rows where a resource binds and an item would use more of it.

    Args:
        instance: What was planned.
        prices: The plan's table of prices, which says where resources bind.
        planned: Rollout of the plan, of one scenario.
        wanted: Rollout of the plan without shared limits.

    Returns:
        resource, item, period, wanted and planned: use by the item in capacity units, set-up time
        aside.
    """
    network = instance.network
    parts = [no_displacement()]
    binding = binding_rows(prices)
    for resource in network.resources:
        periods = binding.filter(pl.col("resource") == resource.name)["period"].to_numpy()
        at = periods - instance.start
        ours = use_by_item(network, resource, planned)[:, at]
        free = use_by_item(network, resource, wanted)[:, at]
        item, column = np.nonzero(free - ours > SMALLEST * np.maximum(1.0, free))
        parts.append(
            pl.DataFrame(
                {
                    "resource": [resource.name] * len(item),
                    "item": names_at(network.items, item),
                    "period": periods[column],
                    "wanted": free[item, column],
                    "planned": ours[item, column],
                },
                schema=_SCHEMA,
            )
        )
    return pl.concat(parts)


def no_displacement() -> pl.DataFrame:
    """The table without rows."""
    return pl.DataFrame(schema=_SCHEMA)


def use_by_item(network: Network, resource: Resource, detail: Detail) -> FloatArray:
    """Use of a resource by item and period in the first scenario, shape (N, T)."""
    if resource.kind == "storage":
        quantity = detail.on_hand[0].numpy()[:, resource.node]
    else:
        moved = np.concatenate([detail.released[0].numpy(), detail.served[0].numpy()], axis=1)
        lanes = np.concatenate([network.replenishment_lanes, network.serving_lanes])
        quantity = moved[:, np.isin(lanes, network.lanes_of(resource))].sum(axis=1)
    use: FloatArray = resource.use[:, None] * quantity
    return use
