"""The tables that describe a network: what items share goes to lanes and items, the rest apart."""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network, NodeKind, Resource

from optrl.tables.coefficients import LANE_VALUES, NODE_VALUES


def network_tables(network: Network) -> dict[str, pl.DataFrame]:
    """Tables of nodes, lanes, items, what differs by item, resources and calendar."""
    nodes = pl.Series(network.nodes, dtype=pl.String)
    place = {
        name: pl.Series([network.graph.nodes[v].get(name) for v in network.nodes], dtype=pl.Float64)
        for name in ("latitude", "longitude")
    }
    kinds = [NodeKind(kind).name.lower() for kind in network.kind]
    lanes, item_lanes = _lanes(network, nodes)
    items, item_nodes = _items(network, nodes)
    closed = np.array(sorted(network.closed), dtype=np.int64).reshape(-1, 2)
    return {
        "nodes": pl.DataFrame({"node": nodes, "kind": kinds, **place}),
        "lanes": lanes,
        "items": items,
        "item_nodes": item_nodes,
        "item_lanes": item_lanes,
        **_resources(network),
        "calendar": pl.DataFrame(
            {
                "origin": nodes.gather(network.origin[closed[:, 0]]),
                "destination": nodes.gather(network.destination[closed[:, 0]]),
                "period": closed[:, 1],
            }
        ),
    }


def _middle(values: FloatArray, axis: int) -> FloatArray:
    """A value for each line along `axis`: the most frequent one, if it fills half of the line."""
    result: FloatArray = np.take(np.sort(values, axis=axis), values.shape[axis] // 2, axis=axis)
    return result


def _overrides(
    network: Network, second: str, differs: dict[str, tuple[FloatArray | BoolArray, BoolArray]]
) -> pl.DataFrame:
    """Rows (item, second axis) in which any value differs, empty where it does not."""
    anywhere = np.zeros(next(iter(differs.values()))[1].shape, dtype=bool)
    for _, mask in differs.values():
        anywhere |= mask
    item, other = np.nonzero(anywhere)
    nodes = pl.Series(network.nodes, dtype=pl.String)
    frame = {"item": pl.Series(network.items, dtype=pl.String).gather(item)}
    if second == "node":
        frame["node"] = nodes.gather(other)
    else:
        frame["origin"] = nodes.gather(network.origin[other])
        frame["destination"] = nodes.gather(network.destination[other])
    for name, (values, mask) in differs.items():
        if mask.any():
            column = pl.Series(name, values[item, other])
            frame[name] = column.set(pl.Series(~mask[item, other]), None)
    return pl.DataFrame(frame)


def _lanes(network: Network, nodes: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    attributes = [network.graph.edges[lane] for lane in network.lanes]
    per = np.array([lane.get("cost_per", "unit") for lane in attributes], dtype=object)
    measure = np.ones((len(network.items), len(per)))
    for name in ("volume", "weight"):
        measure[:, per == name] = getattr(network, name)[:, None]
    cost = np.array([lane.get("cost", 0.0) for lane in attributes], dtype=float)
    by_unit = _middle(network.lane_cost, 0)
    # Keep the cost a lane was given by, unless one cost per unit says it in fewer rows.
    wrong = (network.lane_cost != cost * measure).sum(axis=0)
    plain = wrong > (network.lane_cost != by_unit).sum(axis=0)
    cost, per = np.where(plain, by_unit, cost), np.where(plain, "unit", per)
    measure[:, plain] = 1.0
    base = {name: _middle(getattr(network, name), 0) for name in LANE_VALUES}
    for name in LANE_VALUES:
        given = np.array([lane.get(name, np.nan) for lane in attributes], dtype=float)
        values = getattr(network, name)
        better = (values != given).sum(axis=0) <= (values != base[name]).sum(axis=0)
        base[name] = np.where(better, given, base[name])
    lanes = pl.DataFrame(
        {
            "origin": nodes.gather(network.origin),
            "destination": nodes.gather(network.destination),
            "lead_time": network.lead_time,
            "cost": cost,
            "cost_per": pl.Series(per.tolist(), dtype=pl.String),
            "fixed_cost": base["fixed_cost"],
            "joint_fixed_cost": network.joint_fixed_cost,
            **{name: base[name] for name in LANE_VALUES if name != "fixed_cost"},
            "review_period": network.review_period,
            "review_offset": network.review_offset,
        }
    )
    may = _allowed_by_supplier(network, only_supplier(network))
    differs: dict[str, tuple[FloatArray | BoolArray, BoolArray]] = {
        "allowed": (network.allowed, network.allowed != may),
        "cost": (network.lane_cost, network.lane_cost != cost * measure),
    }
    for name in LANE_VALUES:
        values = getattr(network, name)
        differs[name] = (values, values != base[name])
    return lanes, _overrides(network, "lane", differs)


def only_supplier(network: Network) -> IntArray:
    """The one supplier whose lanes an item may use, -1 where it may use all or none, shape (N,)."""
    suppliers = np.flatnonzero(network.kind == NodeKind.SUPPLIER)
    lanes = [np.flatnonzero(network.origin == supplier) for supplier in suppliers]
    some = np.zeros((len(network.items), len(suppliers)), dtype=bool)
    for k, own in enumerate(lanes):
        some[:, k] = network.allowed[:, own].any(axis=1)
    selling = sum(1 for own in lanes if len(own))
    one = (some.sum(axis=1) == 1) & (selling > 1)
    if not len(suppliers):
        return np.full(len(network.items), -1)
    result: IntArray = np.where(one, suppliers[some.argmax(axis=1)], -1)
    return result


def _allowed_by_supplier(network: Network, only: IntArray) -> BoolArray:
    from_supplier = network.kind[network.origin] == NodeKind.SUPPLIER
    result: BoolArray = (
        ~from_supplier[None, :] | (only[:, None] < 0) | (only[:, None] == network.origin[None, :])
    )
    return result


def _items(network: Network, nodes: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    base = {name: _middle(getattr(network, name), 1) for name in NODE_VALUES}
    only = only_supplier(network)
    supplier = nodes.gather(np.maximum(only, 0)).set(pl.Series(only < 0), None)
    items = pl.DataFrame(
        {
            "item": pl.Series(network.items, dtype=pl.String),
            **{name: getattr(network, name) for name in ("unit_cost", "volume", "weight", "time")},
            **base,
            "supplier": supplier,
        }
    )
    differs: dict[str, tuple[FloatArray | BoolArray, BoolArray]] = {}
    for name in NODE_VALUES:
        values = getattr(network, name)
        differs[name] = (values, values != base[name][:, None])
    differs["service_level"] = (network.service_level, network.service_level != 0)
    differs["supply_capacity"] = (network.supply_capacity, network.supply_capacity != np.inf)
    return items, _overrides(network, "node", differs)


def _resources(network: Network) -> dict[str, pl.DataFrame]:
    rows, capacities, uses = [], [], []
    for resource in network.resources:
        consumes, use = _consumes(network, resource)
        lane = None if resource.lane is None else network.lanes[resource.lane]
        rows.append(
            {
                "resource": resource.name,
                "kind": resource.kind,
                "node": None if resource.node is None else network.nodes[resource.node],
                "origin": None if lane is None else lane[0],
                "destination": None if lane is None else lane[1],
                "consumes": consumes,
                "capacity": float(resource.capacity[-1]),
                "overflow_cost": float(resource.overflow_cost),
                "takes_setup_time": resource.takes_setup_time,
            }
        )
        differs = resource.capacity != resource.capacity[-1]
        if len(differs) > 1:
            differs[-2] = True  # keeps the length of the calendar
        period = np.flatnonzero(differs)
        capacities.append(
            pl.DataFrame(
                {
                    "resource": [resource.name] * len(period),
                    "period": period,
                    "capacity": resource.capacity[period],
                },
                schema_overrides={"resource": pl.String},
            )
        )
        item = np.flatnonzero(resource.use != use)
        uses.append(
            pl.DataFrame(
                {
                    "resource": [resource.name] * len(item),
                    "item": pl.Series(network.items, dtype=pl.String).gather(item),
                    "use": resource.use[item],
                },
                schema_overrides={"resource": pl.String},
            )
        )
    texts = ("resource", "kind", "node", "origin", "destination", "consumes")
    return {
        "resources": pl.DataFrame(rows, schema_overrides=dict.fromkeys(texts, pl.String)),
        "capacities": pl.concat(capacities) if capacities else pl.DataFrame(),
        "resource_use": pl.concat(uses) if uses else pl.DataFrame(),
    }


def _consumes(network: Network, resource: Resource) -> tuple[str, FloatArray]:
    """The measure that says the consumption of most items."""
    measures = {
        "unit": np.ones(len(network.items)),
        "volume": network.volume,
        "weight": network.weight,
        "time": network.time,
        "cost": network.unit_cost,
    }
    best = max(measures, key=lambda name: int((measures[name] == resource.use).sum()))
    return best, measures[best]
