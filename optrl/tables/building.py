"""Builds an instance from tables without faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, IntArray, Network, Resource

from optrl.instance import ArrivalProfile, DemandTable, Forecast, Instance
from optrl.tables import coefficients
from optrl.tables.references import Tables
from optrl.tables.schema import ITEMS, LANES, NODES, quantile_level
from optrl.tables.settings import Settings


def build_instance(settings: Settings, tables: Tables) -> Instance:
    """The instance that settings and tables describe."""
    start = settings.start
    pipeline = tables["pipeline"]
    now = pipeline.filter(pl.col("period") == start)
    on_hand = coefficients.node_quantities(tables["stock"], tables)
    nodes = _demand_nodes(tables)
    return Instance(
        name=settings.name,
        period=settings.period,
        periods_per_year=settings.periods_per_year,
        money=settings.money,
        quantity=settings.quantity,
        network=_network(settings, tables),
        start=start,
        horizon=settings.horizon,
        on_hand=on_hand + coefficients.node_quantities(now, tables),
        due=_due(pipeline.filter(pl.col("period") > start), start, tables),
        backlog=coefficients.node_quantities(tables["backlog"], tables),
        demand=_demand(settings, tables, nodes),
        forecast=_forecast(start, tables, nodes),
        demand_family=settings.demand_family,
        season=settings.season,
        frozen=_frozen(settings, tables),
        arrivals=_arrivals(tables),
        notes=dict(settings.notes),
    )


def _network(settings: Settings, tables: Tables) -> Network:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for row in tables["nodes"].select([c.name for c in NODES.columns]).iter_rows(named=True):
        name = row.pop("node")
        graph.add_node(name, **{key: value for key, value in row.items() if value is not None})
    for row in tables.lanes.select([c.name for c in LANES.columns]).iter_rows(named=True):
        graph.add_edge(row.pop("origin"), row.pop("destination"), **row)
    items = {c.name: tables["items"][c.name] for c in ITEMS.columns if c.type == "number"}
    lanes = tables.lanes
    closed = tables["calendar"].select("lane_index", "period").rows()
    item_lane = {name: coefficients.lane_values(tables, name) for name in coefficients.LANE_VALUES}
    item_node = {
        name: coefficients.node_values(tables, name)
        for name in (*coefficients.NODE_VALUES, "service_level", "supply_capacity")
    }
    return Network(
        graph=graph,
        items=tuple(tables.names["items"]),
        unmet=settings.unmet,
        unit_cost=_values(items["unit_cost"]),
        volume=_values(items["volume"]),
        weight=_values(items["weight"]),
        time=_values(items["time"]),
        allowed=coefficients.allowed(tables),
        lane_cost=coefficients.lane_cost(tables),
        joint_fixed_cost=_values(lanes["joint_fixed_cost"]),
        review_period=lanes["review_period"].to_numpy().copy(),
        review_offset=lanes["review_offset"].to_numpy().copy(),
        closed=frozenset(closed),
        resources=tuple(
            _resource(index, row, tables)
            for index, row in enumerate(tables["resources"].iter_rows(named=True))
        ),
        discount=settings.discount,
        **item_lane,
        **item_node,
    )


def _resource(index: int, row: Mapping[str, Any], tables: Tables) -> Resource:
    kind, consumes = row["kind"], row["consumes"]
    setup, overflow = row["takes_setup_time"], row["overflow_cost"]
    return Resource(
        name=row["resource"],
        kind=kind,
        use=coefficients.resource_use(tables, index, consumes),
        capacity=coefficients.capacity(tables, index, row["capacity"]),
        node=row["node_index"],
        lane=row["lane_index"],
        takes_setup_time=consumes == "time" and kind != "storage" if setup is None else setup,
        overflow_cost=float("inf") if overflow is None else overflow,
    )


def _due(rows: pl.DataFrame, start: int, tables: Tables) -> FloatArray:
    last = rows["period"].max()
    periods = last - start if isinstance(last, int) else 0
    due = np.zeros((len(tables.names["items"]), len(tables.names["nodes"]), periods))
    arrival = rows["period"].to_numpy() - start - 1
    where = rows["item_index"].to_numpy(), rows["node_index"].to_numpy(), arrival
    due[where] = rows["quantity"].to_numpy()
    return due


def _demand_nodes(tables: Tables) -> IntArray:
    stands = pl.concat([tables["demand"]["node_index"], tables["forecast"]["node_index"]])
    return stands.unique().sort().to_numpy().copy()


def _demand(settings: Settings, tables: Tables, nodes: IntArray) -> DemandTable:
    rows = tables["demand"]
    low, high = rows["period"].min(), rows["period"].max()
    first, stop = settings.start, settings.start
    if isinstance(low, int) and isinstance(high, int):
        # Beside a forecast the table may stop short of `start`; absent rows are zero demand.
        first, stop = min(low, first), max(high + 1, stop)
    quantity = np.zeros((len(tables.names["items"]), len(nodes), stop - first))
    quantity[_where(rows, nodes, first)] = rows["quantity"].to_numpy()
    return DemandTable(nodes, first, quantity)


def _forecast(start: int, tables: Tables, nodes: IntArray) -> Forecast | None:
    rows = tables["forecast"]
    last = rows["period"].max()
    if not isinstance(last, int):
        return None
    where = _where(rows, nodes, start)
    shape = (len(tables.names["items"]), len(nodes), last - start + 1)

    def dense(column: str) -> FloatArray:
        result = np.zeros(shape)
        result[where] = rows[column].to_numpy()
        return result

    names = [name for name in rows.columns if name[0] == "q" and name[1:].isdigit()]
    names.sort(key=quantile_level)
    levels = np.array([quantile_level(name) for name in names]) if names else None
    quantiles = np.stack([dense(name) for name in names], axis=-1) if names else None
    deviation = dense("standard_deviation") if "standard_deviation" in rows.columns else None
    if "mean" in rows.columns:
        mean = dense("mean")
    else:
        assert levels is not None  # checked: a forecast has a mean or quantiles
        assert quantiles is not None
        mean = quantile_mean(levels, quantiles)
    return Forecast(mean, deviation, levels, quantiles)


def quantile_mean(levels: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Mean of the quantile function that is linear between its levels and flat outside.

    Args:
        levels: Probabilities, ascending, shape (Q,).
        quantiles: Shape (..., Q).

    Returns:
        Shape (...).
    """
    edges = np.concatenate([[0.0], levels, [1.0]])
    values = np.concatenate([quantiles[..., :1], quantiles, quantiles[..., -1:]], axis=-1)
    result: FloatArray = ((values[..., 1:] + values[..., :-1]) / 2) @ np.diff(edges)
    return result


def _frozen(settings: Settings, tables: Tables) -> FloatArray:
    rows = tables["frozen"]
    shape = (len(tables.names["items"]), tables.lanes.height, settings.frozen_periods)
    frozen = np.zeros(shape)
    period = rows["period"].to_numpy() - settings.start
    where = rows["item_index"].to_numpy(), rows["lane_index"].to_numpy(), period
    frozen[where] = rows["quantity"].to_numpy()
    return frozen


def _arrivals(tables: Tables) -> tuple[ArrivalProfile, ...]:
    profiles = []
    for (lane,), rows in (
        tables["arrivals"]
        .sort("lane_index", "profile", "delay")
        .group_by("lane_index", maintain_order=True)
    ):
        first = rows.unique("profile", keep="first", maintain_order=True)
        index = rows["profile"].rank("dense").to_numpy().astype(np.int64) - 1
        delay = rows["delay"].to_numpy()
        fraction = np.zeros((first.height, int(delay.max()) + 1))
        fraction[index, delay] = rows["fraction"].to_numpy()
        profiles.append(
            ArrivalProfile(int(str(lane)), first["probability"].to_numpy().copy(), fraction)
        )
    return tuple(profiles)


def _where(rows: pl.DataFrame, nodes: IntArray, first: int) -> tuple[IntArray, ...]:
    node = np.searchsorted(nodes, rows["node_index"].to_numpy())
    return rows["item_index"].to_numpy(), node, rows["period"].to_numpy() - first


def _values(series: pl.Series) -> FloatArray:
    return series.to_numpy().copy()
