"""The tables of a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, IntArray

from optrl.instance import Instance

SMALLEST = 1e-7
"""Quantities below it are left out of the tables of flows: the solver's own tolerance."""


@dataclass(frozen=True)
class PlanTables:
    """What is planned, long tables with names; quantities in item units.

    Attributes:
        orders: Released on replenishment lanes: item, origin, destination, period, quantity.
        serving: Served over serving lanes: item, origin, destination, period, quantity.
        stock: At the end of the period: item, node, period, quantity.
        service: item, node, period, demand, served, unmet (lost, or waiting under backorders).
        prices: resource, period, capacity, used, price (cost saved by one more unit; null where
            the policy solves no program).
        displaced: resource, item, period, wanted, planned: where a resource binds, items that
            would use more of it without shared limits (`optrl.planning.displacement`), in
            capacity units; no rows where that was not asked for.
    """

    orders: pl.DataFrame
    serving: pl.DataFrame
    stock: pl.DataFrame
    service: pl.DataFrame
    prices: pl.DataFrame
    displaced: pl.DataFrame


def flow_table(instance: Instance, lanes: IntArray, quantity: FloatArray) -> pl.DataFrame:
    """Rows of positive flows on `lanes`, from an array of shape (N, len(lanes), T)."""
    network = instance.network
    item, lane, period = np.nonzero(quantity > SMALLEST)
    names = np.array(network.lanes, dtype=object).reshape(-1, 2)
    ends = names[lanes[lane]]
    return pl.DataFrame(
        {
            "item": names_at(network.items, item),
            "origin": pl.Series(ends[:, 0].tolist(), dtype=pl.String),
            "destination": pl.Series(ends[:, 1].tolist(), dtype=pl.String),
            "period": instance.start + period.astype(np.int64),
            "quantity": quantity[item, lane, period],
        }
    )


def node_table(instance: Instance, nodes: IntArray, values: dict[str, FloatArray]) -> pl.DataFrame:
    """All rows of item, node and period for arrays of shape (N, V, T), at `nodes`."""
    network = instance.network
    periods = next(iter(values.values())).shape[2]
    grid = np.meshgrid(np.arange(len(network.items)), nodes, np.arange(periods), indexing="ij")
    item, node, period = (axis.ravel() for axis in grid)
    columns: dict[str, pl.Series | FloatArray] = {
        "item": names_at(network.items, item),
        "node": names_at(network.nodes, node),
        "period": pl.Series(instance.start + period.astype(np.int64)),
    }
    columns |= {name: array[item, node, period] for name, array in values.items()}
    return pl.DataFrame(columns)


def price_table(instance: Instance, used: FloatArray, price: FloatArray | None) -> pl.DataFrame:
    """Use, capacity and price of each resource and period, arrays of shape (R, T)."""
    resources, periods = used.shape
    network = instance.network
    capacity = np.array(
        [r.capacity_at(instance.start, periods) for r in network.resources]
    ).reshape(resources, periods)
    names = np.repeat(np.arange(resources), periods)
    return pl.DataFrame(
        {
            "resource": names_at(tuple(r.name for r in network.resources), names),
            "period": pl.Series(
                np.tile(np.arange(instance.start, instance.start + periods), resources)
            ),
            "capacity": capacity.ravel(),
            "used": used.ravel(),
            "price": pl.Series(
                [None] * used.size if price is None else price.ravel(), dtype=pl.Float64
            ),
        }
    )


def names_at(names: tuple[str, ...], index: IntArray) -> pl.Series:
    """Names by position."""
    return (
        pl.Series(names, dtype=pl.String).gather(index)
        if len(index)
        else pl.Series([], dtype=pl.String)
    )
