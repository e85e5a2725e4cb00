"""Rules on what is fixed before planning: initial stock and frozen orders within capacity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray

from optrl.errors import Fault
from optrl.tables.coefficients import capacity, node_quantities, resource_use
from optrl.tables.faults import ROW, FaultList, Table, text_of
from optrl.tables.references import Tables
from optrl.tables.settings import Known

_TOLERANCE = 1e-9
_c = pl.col


def check_resources(tables: Tables, known: Known, faults: FaultList) -> None:
    """Check initial stock against storage, and frozen orders against calendar and capacities."""
    _check_measures(tables, faults)
    _check_calendar(tables, faults)
    _check_supply(tables, faults)
    if known.start is None:
        return
    arriving = tables["pipeline"].filter(_c("period") == known.start)
    stock = node_quantities(tables["stock"], tables) + node_quantities(arriving, tables)
    table = tables.tables["resources"]
    seen = set[str]()
    for row in table.frame.iter_rows(named=True):
        name = row["resource"]
        if name is None or name in seen or None in (row["kind"], row["capacity"]):
            continue
        seen.add(name)
        index = len(seen) - 1
        use = resource_use(tables, index, row["consumes"] or "unit")
        limits = capacity(tables, index, row["capacity"])
        if row["kind"] != "storage":
            _check_frozen(tables, known, row, use, limits, faults)
        elif row["node_index"] is not None and row["overflow_cost"] in (None, np.inf):
            filled = float(use @ stock[:, row["node_index"]])
            limit = float(limits[min(known.start, len(limits) - 1)])
            if filled > limit + _TOLERANCE * max(1.0, limit):
                problem = (
                    f"storage {name} must hold {text_of(filled)} of initial stock in period "
                    f"{known.start}, when its capacity is {text_of(limit)}"
                )
                remedy = "Raise the capacity, lower the stock, or give an overflow_cost."
                number = row[ROW] if table.numbered else None
                faults.add(Fault(table.label, number, "capacity", text_of(limit), problem, remedy))


def _check_measures(tables: Tables, faults: FaultList) -> None:
    """A measure that is counted but was never given would count as zero."""
    items = tables.tables["items"]
    for table, column in (("resources", "consumes"), ("lanes", "cost_per")):
        for measure in ("volume", "weight", "time", "cost"):
            given = "unit_cost" if measure == "cost" else measure
            if given in items.given or not (items.present and items.usable):
                continue
            faults.add_rows(
                tables.tables[table],
                tables[table].filter(_c(column) == measure),
                column,
                f"counts {measure}, but {items.label} has no column {given}",
                f"Add the column {given} to {items.label}.",
            )


def _check_calendar(tables: Tables, faults: FaultList) -> None:
    ordered = tables["frozen"].filter(_c("quantity") > 0).drop_nulls(["lane_index", "period"])
    closed = tables["calendar"].drop_nulls(["lane_index", "period"])
    table = tables.tables["frozen"]
    remedy = "Remove the order, or open the lane in that period."
    listed = ordered.join(closed, on=["lane_index", "period"], how="semi", maintain_order="left")
    problem = "the lane {origin} -> {destination} is closed in this period"
    faults.add_rows(table, listed, "period", problem, remedy)
    cycle = ordered.join(
        tables.lanes.select("lane_index", "review_period", "review_offset"),
        on="lane_index",
        maintain_order="left",
    )
    off = (_c("period") % _c("review_period") != _c("review_offset")) & (
        _c("review_offset") < _c("review_period")
    )
    problem = (
        "the lane {origin} -> {destination} releases only when period mod {review_period} is "
        "{review_offset}"
    )
    faults.add_rows(table, cycle.filter(off), "period", problem, remedy)


def _check_supply(tables: Tables, faults: FaultList) -> None:
    supply = tables["item_nodes"].select(
        "item", _c("node").alias("origin"), _c("supply_capacity").alias("limit")
    )
    group = ["item", "origin", "period"]
    frozen = tables["frozen"].filter(_c("origin_kind") == "supplier")
    total = frozen.group_by(group, maintain_order=True).agg(_c(ROW).first(), _c("quantity").sum())
    rows = total.join(supply, on=["item", "origin"], maintain_order="left")
    faults.add_rows(
        tables.tables["frozen"],
        rows.filter(_c("quantity") > _c("limit") * (1 + _TOLERANCE)),
        "quantity",
        "frozen orders of {item} from {origin} in period {period} exceed its supply capacity "
        "{limit}",
        "Lower the orders or raise supply_capacity.",
    )


def _check_frozen(
    tables: Tables,
    known: Known,
    row: Mapping[str, Any],
    use: FloatArray,
    limits: FloatArray,
    faults: FaultList,
) -> None:
    kind = row["kind"]
    place = row["lane_index" if kind == "lane" else "node_index"]
    if known.start is None or known.frozen_periods is None or (place is None and kind != "budget"):
        return
    takes_setup = row["takes_setup_time"]
    if takes_setup is None:
        takes_setup = row["consumes"] == "time"
    if kind == "budget":
        on_it: pl.Expr = _c("origin_kind") == "supplier"
    elif kind == "lane":
        on_it = _c("lane_index") == place
    else:
        side = "destination" if kind == "inbound" else "origin"
        on_it = _c(f"{side}_index") == place
    window = _c("period").is_between(known.start, known.start + known.frozen_periods, closed="left")
    orders = tables["frozen"].filter(on_it & window & (_c("quantity") > 0))
    orders = orders.drop_nulls(["item_index", "lane_index", "period"])
    if not orders.height:
        return
    taken = use[orders["item_index"].to_numpy()] * orders["quantity"].to_numpy()
    if takes_setup:
        taken = taken + _setup_times(tables, orders)
    periods = orders["period"].to_numpy()
    load = np.bincount(periods, taken)
    limit = limits[np.minimum(np.arange(len(load)), len(limits) - 1)]
    table: Table = tables.tables["resources"]
    for period in np.flatnonzero(load > limit + _TOLERANCE * np.maximum(1.0, limit)):
        name = "purchase budget" if kind == "budget" else f"{kind} capacity"
        problem = (
            f"infeasible {name} {row['resource']}: frozen orders of period {period} take "
            f"{text_of(float(load[period]))}, above its {text_of(float(limit[period]))}"
        )
        remedy = "Raise the capacity of that period or lower the frozen orders."
        number = row[ROW] if table.numbered else None
        value = text_of(float(limit[period]))
        faults.add(Fault(table.label, number, "capacity", value, problem, remedy))


def _setup_times(tables: Tables, orders: pl.DataFrame) -> FloatArray:
    override = tables["item_lanes"].select("item_index", "lane_index", "setup_time")
    times = orders.select("item_index", "lane_index").join(
        tables.lanes.select("lane_index", _c("setup_time").alias("base")),
        on="lane_index",
        how="left",
        maintain_order="left",
    )
    times = times.join(
        override.unique(["item_index", "lane_index"], keep="first"),
        on=["item_index", "lane_index"],
        how="left",
        maintain_order="left",
    )
    result: FloatArray = times.select(pl.coalesce("setup_time", "base")).to_series().to_numpy()
    return result
