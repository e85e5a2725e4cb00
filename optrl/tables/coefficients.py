"""Item-lane and item-node coefficients of the network from the tables."""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import BoolArray, FloatArray

from optrl.tables.references import Tables

LANE_VALUES = ("fixed_cost", "lot_size", "minimum_quantity", "maximum_quantity", "setup_time")
"""Columns of the lanes table that item_lanes may override, under the name of the array."""

NODE_VALUES = ("holding_cost", "shortage_cost", "terminal_value")
"""Columns of the items table that item_nodes may override, under the name of the array."""


def allowed(tables: Tables) -> BoolArray:
    """Which item may use which lane, shape (N, A); rows with unknown names count for nothing."""
    lanes, items = tables.lanes, _items(tables)
    from_supplier = (lanes["origin_kind"] == "supplier").fill_null(False).to_numpy()
    only = items["supplier_index"].fill_null(-1).to_numpy()[:, None]
    origin = lanes["origin_index"].to_numpy()[None, :]
    result: BoolArray = ~from_supplier[None, :] | (only < 0) | (only == origin)
    _override(result, tables["item_lanes"], "lane_index", "allowed")
    return result


def lane_cost(tables: Tables) -> FloatArray:
    """Transport cost per item unit, shape (N, A)."""
    lanes, items = tables.lanes, _items(tables)
    cost = np.empty((items.height, lanes.height))
    # A column at a time: taking it from a (N, 3) table of measures would copy (N, A) twice.
    for lane, (value, per) in enumerate(lanes.select("cost", "cost_per").iter_rows()):
        cost[:, lane] = value if per == "unit" else value * items[per].to_numpy()
    _override(cost, tables["item_lanes"], "lane_index", "cost")
    return cost


def lane_values(tables: Tables, name: str) -> FloatArray:
    """One of `LANE_VALUES`, shape (N, A)."""
    base = tables.lanes[name].to_numpy()
    result = np.repeat(base[None, :], len(tables.names["items"]), axis=0)
    _override(result, tables["item_lanes"], "lane_index", name)
    return result


def node_values(tables: Tables, name: str) -> FloatArray:
    """One of `NODE_VALUES`, service_level (else 0) or supply_capacity (else inf), shape (N, V)."""
    shape = (len(tables.names["items"]), len(tables.names["nodes"]))
    if name in NODE_VALUES:
        result = np.repeat(_items(tables)[name].to_numpy()[:, None], shape[1], axis=1)
    else:
        result = np.full(shape, np.inf if name == "supply_capacity" else 0.0)
    _override(result, tables["item_nodes"], "node_index", name)
    return result


def node_quantities(frame: pl.DataFrame, tables: Tables) -> FloatArray:
    """The quantity column by item and node, shape (N, V); rows with unknown names are left out."""
    result = np.zeros((len(tables.names["items"]), len(tables.names["nodes"])))
    rows = frame.drop_nulls(["item_index", "node_index", "quantity"])
    index = rows["item_index"].to_numpy(), rows["node_index"].to_numpy()
    np.add.at(result, index, rows["quantity"].to_numpy())
    return result


def measure(items: pl.DataFrame, consumes: str) -> FloatArray:
    """Consumption of each item by the measure a resource names, shape (N,)."""
    if consumes == "unit":
        return np.ones(items.height)
    values: FloatArray = items["unit_cost" if consumes == "cost" else consumes].to_numpy().copy()
    return values


def resource_use(tables: Tables, resource: int, consumes: str) -> FloatArray:
    """Consumption of each item from a resource, shape (N,)."""
    use = measure(_items(tables), consumes)
    rows = tables["resource_use"].filter(pl.col("resource_index") == resource)
    rows = rows.drop_nulls(["item_index", "use"])
    use[rows["item_index"].to_numpy()] = rows["use"].to_numpy()
    return use


def capacity(tables: Tables, resource: int, base: float) -> FloatArray:
    """Capacity calendar of a resource, which ends with the capacity of all later periods."""
    rows = tables["capacities"].filter(pl.col("resource_index") == resource)
    rows = rows.drop_nulls(["period", "capacity"])
    last = rows["period"].max()
    result = np.full(1 if not isinstance(last, int) else last + 2, base)
    result[rows["period"].to_numpy()] = rows["capacity"].to_numpy()
    return result


def _items(tables: Tables) -> pl.DataFrame:
    frame = tables["items"].drop_nulls("item")
    return frame.unique("item", keep="first", maintain_order=True)


def _override(result: BoolArray | FloatArray, frame: pl.DataFrame, index: str, column: str) -> None:
    rows = frame.drop_nulls(["item_index", index, column])
    where = rows["item_index"].to_numpy(), rows[index].to_numpy()
    result[where] = rows[column].to_numpy()
