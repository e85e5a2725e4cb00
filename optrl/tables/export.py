"""The settings and tables that describe an instance."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, IntArray, NodeKind

from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.tables.export_network import network_tables
from optrl.tables.settings import Settings


def settings_of(instance: Instance) -> Settings:
    """The settings of an instance."""
    return Settings.model_construct(
        name=instance.name,
        period=instance.period,
        periods_per_year=float(instance.periods_per_year),
        start=int(instance.start),
        horizon=int(instance.horizon),
        unmet=instance.network.unmet,
        money=instance.money,
        quantity=instance.quantity,
        discount=float(instance.network.discount),
        demand_family=instance.demand_family,
        season=int(instance.season),
        frozen_periods=int(instance.frozen.shape[2]),
        notes=dict(instance.notes),
    )


def tables_of(instance: Instance) -> dict[str, pl.DataFrame]:
    """The tables of an instance; optional ones only if they say something.

    Raises:
        OptrlError: If the shapes of its arrays do not fit together, or it has costs on the way
            (`Network.transit_cost`), which no table holds.
    """
    _check_shapes(instance)
    if instance.network.transit_cost is not None:
        raise OptrlError(
            "Network.transit_cost has no column in the instance folder and would be lost; put it "
            "into Network.lane_cost and set it to None before saving"
        )
    tables = network_tables(instance.network)
    tables["demand"] = _demand(instance)
    tables["forecast"] = _forecast(instance)
    tables["stock"] = _by_node(instance, instance.on_hand)
    tables["backlog"] = _by_node(instance, instance.backlog)
    tables["pipeline"] = _pipeline(instance)
    tables["frozen"] = _frozen(instance)
    tables["arrivals"] = _arrivals(instance)
    return {name: frame for name, frame in tables.items() if frame.height}


def _check_shapes(instance: Instance) -> None:
    n, v = len(instance.network.items), len(instance.network.nodes)
    demand = instance.demand
    wanted: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "on_hand": (instance.on_hand.shape, (n, v)),
        "backlog": (instance.backlog.shape, (n, v)),
        "due": (instance.due.shape[:2], (n, v)),
        "demand.quantity": (demand.quantity.shape[:2], (n, len(demand.nodes))),
    }
    for name, (found, expected) in wanted.items():
        if found != expected:
            raise OptrlError(
                f"Instance.{name} has shape {found} over items and nodes, expected {expected}. "
                "Align it with Network.items and Network.nodes."
            )


def _demand(instance: Instance) -> pl.DataFrame:
    demand = instance.demand
    some = demand.quantity != 0
    # A service level asks for a row of its item and node.
    asked = instance.network.service_level[:, demand.nodes] > 0
    some[..., :1] |= (asked & ~some.any(axis=2))[..., None]
    where = _told(some)
    return _rows(
        instance, where, demand.nodes, demand.first_period, {"quantity": demand.quantity[where]}
    )


def _forecast(instance: Instance) -> pl.DataFrame:
    forecast = instance.forecast
    if forecast is None:
        return pl.DataFrame()
    values = {"mean": forecast.mean}
    if forecast.standard_deviation is not None:
        values["standard_deviation"] = forecast.standard_deviation
    if forecast.probabilities is not None and forecast.quantiles is not None:
        for k, level in enumerate(forecast.probabilities):
            values[quantile_column(float(level))] = forecast.quantiles[..., k]
    some = np.zeros(forecast.mean.shape, dtype=bool)
    for value in values.values():
        some |= value != 0
    where = _told(some)
    cells = {name: value[where] for name, value in values.items()}
    return _rows(instance, where, instance.demand.nodes, instance.start, cells)


def quantile_column(level: float) -> str:
    """Name of the column of a quantile level.

    >>> quantile_column(0.05), quantile_column(0.5), quantile_column(0.975)
    ('q05', 'q50', 'q975')
    """
    digits = format(Decimal(repr(level)), "f").removeprefix("0.")
    return "q" + digits.ljust(2, "0")


def _told(some: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[IntArray, ...]:
    """Cells (N, D, T) to write: those that say something, and zeros that keep nodes and periods."""
    some = some.copy()
    if some.size:
        some[0, ~some.any(axis=(0, 2)), 0] = True
        for period in (0, -1):
            if not some[:, :, period].any():
                some[0, 0, period] = True
    return np.nonzero(some)


def _rows(
    instance: Instance,
    where: tuple[IntArray, ...],
    nodes: IntArray,
    first: int,
    cells: Mapping[str, FloatArray],
) -> pl.DataFrame:
    network = instance.network
    item, node, period = where
    return pl.DataFrame(
        {
            "item": pl.Series(network.items, dtype=pl.String).gather(item),
            "node": pl.Series(network.nodes, dtype=pl.String).gather(nodes[node]),
            "period": period + first,
            **cells,
        }
    )


def _by_node(instance: Instance, quantity: FloatArray) -> pl.DataFrame:
    item, node = np.nonzero(quantity)
    return pl.DataFrame(
        {
            "item": pl.Series(instance.network.items, dtype=pl.String).gather(item),
            "node": pl.Series(instance.network.nodes, dtype=pl.String).gather(node),
            "quantity": quantity[item, node],
        }
    )


def _pipeline(instance: Instance) -> pl.DataFrame:
    due = instance.due
    some = due != 0
    if some.size and not some[:, :, -1].any():  # a zero row keeps the last period
        stocking = np.flatnonzero(instance.network.kind == NodeKind.STOCKING)
        some[0, stocking[:1], -1] = True
    where = np.nonzero(some)
    nodes = np.arange(due.shape[1])
    return _rows(instance, where, nodes, instance.start + 1, {"quantity": due[where]})


def _lane_columns(instance: Instance, lane: IntArray) -> dict[str, pl.Series]:
    names = pl.Series(instance.network.nodes, dtype=pl.String)
    return {
        "origin": names.gather(instance.network.origin[lane]),
        "destination": names.gather(instance.network.destination[lane]),
    }


def _frozen(instance: Instance) -> pl.DataFrame:
    item, lane, period = np.nonzero(instance.frozen)
    return pl.DataFrame(
        {
            "item": pl.Series(instance.network.items, dtype=pl.String).gather(item),
            **_lane_columns(instance, lane),
            "period": period + instance.start,
            "quantity": instance.frozen[item, lane, period],
        }
    )


def _arrivals(instance: Instance) -> pl.DataFrame:
    tables = []
    for profile in instance.arrivals:
        some = profile.fraction > 0
        some[0, -1] = True  # keeps the longest delay
        some[~some.any(axis=1), 0] = True  # keeps profiles in which nothing arrives
        row, delay = np.nonzero(some)
        tables.append(
            pl.DataFrame(
                {
                    **_lane_columns(instance, np.full(len(row), profile.lane)),
                    "profile": row,
                    "probability": profile.probability[row],
                    "delay": delay,
                    "fraction": profile.fraction[row, delay],
                }
            )
        )
    return pl.concat(tables) if tables else pl.DataFrame()
