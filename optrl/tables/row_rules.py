"""Rules that one row must keep, given the settings and the nodes and lanes it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from optrl.tables.faults import FaultList
from optrl.tables.references import Tables
from optrl.tables.schema import quantile_level
from optrl.tables.settings import Known

_LIMITS = ("lot_size", "minimum_quantity", "maximum_quantity")
_c = pl.col


@dataclass(frozen=True)
class RowRule:
    """A row of `table` for which `broken` holds is at fault in `column`."""

    table: str
    broken: pl.Expr
    column: str
    problem: str
    remedy: str


def check_rows(tables: Tables, known: Known, faults: FaultList) -> None:
    """Check every rule on every row. Empty cells break no rule: why they are empty is listed."""
    frames = {name: table.frame for name, table in tables.tables.items()}
    for name in ("item_lanes", "frozen"):
        frames[name] = _with_limits(tables, frames[name])
    rules = (*_lane_rules(), *_node_rules(), *_resource_rules(), *_forecast_rules(tables))
    for rule in (*rules, *_period_rules(known), *_frozen_rules(known)):
        bad = frames[rule.table].filter(rule.broken)
        if bad.height:
            table = tables.tables[rule.table]
            faults.add_rows(table, bad, rule.column, rule.problem, rule.remedy)


def _with_limits(tables: Tables, frame: pl.DataFrame) -> pl.DataFrame:
    """Join what holds for the item on the lane: ``effective_*`` limits, whether allowed."""
    own = [f"effective_{name}" for name in _LIMITS]
    lanes = tables.lanes.select(
        "lane_index", *(_c(name).alias(new) for name, new in zip(_LIMITS, own, strict=True))
    )
    frame = frame.join(lanes, on="lane_index", how="left", maintain_order="left")
    override = tables["item_lanes"]
    if "allowed" in frame:
        return frame.with_columns(
            pl.coalesce(name, new).alias(new) for name, new in zip(_LIMITS, own, strict=True)
        )
    frame = frame.join(
        override.select("item", "origin", "destination", *_LIMITS, "allowed").unique(
            ["item", "origin", "destination"], keep="first"
        ),
        on=["item", "origin", "destination"],
        how="left",
        maintain_order="left",
    )
    return frame.with_columns(
        pl.coalesce(name, new).alias(new) for name, new in zip(_LIMITS, own, strict=True)
    )


def _lane_rules() -> Iterator[RowRule]:
    proper = _c("origin_index") != _c("destination_index")
    to_customer = proper & (_c("destination_kind") == "customer")
    from_customer = proper & (_c("origin_kind") == "customer")
    yield RowRule(
        "lanes", ~proper, "destination", "the lane leads from a node to itself", "Remove the lane."
    )
    yield RowRule(
        "lanes",
        proper & (_c("destination_kind") == "supplier"),
        "destination",
        "the lane leads into a supplier",
        "Remove the lane, or make the node a stocking node.",
    )
    yield RowRule(
        "lanes",
        from_customer & (_c("destination_kind") != "supplier"),
        "origin",
        "the lane leads out of a customer",
        "Remove the lane, or make the node a stocking node.",
    )
    yield RowRule(
        "lanes",
        to_customer & (_c("lead_time") > 0),
        "lead_time",
        "a lane into a customer serves at once and must have lead time 0",
        "Set it to 0, or make the destination a stocking node.",
    )
    yield RowRule(
        "lanes",
        _c("review_offset") >= _c("review_period"),
        "review_offset",
        "must be below review_period, which is {review_period}",
        "Lower it: releases happen when t mod review_period equals it.",
    )
    for table, prefix, given in (
        ("lanes", "", pl.lit(True)),
        (
            "item_lanes",
            "effective_",
            pl.any_horizontal(_c(name).is_not_null() for name in _LIMITS),
        ),
    ):
        lot, low, high = (_c(prefix + name) for name in _LIMITS)
        yield RowRule(
            table,
            given & (low > high),
            "minimum_quantity",
            f"exceeds the largest quantity {{{prefix}maximum_quantity}}",
            "Lower it or raise maximum_quantity.",
        )
        yield RowRule(
            table,
            given & (low <= high) & (lot > 0) & ((low / lot).ceil().clip(1) * lot > high),
            "maximum_quantity",
            f"no multiple of the lot size {{{prefix}lot_size}} lies between the smallest quantity "
            f"{{{prefix}minimum_quantity}} and the largest {{{prefix}maximum_quantity}}",
            "Raise maximum_quantity or lower lot_size.",
        )


def _node_rules() -> Iterator[RowRule]:
    for table in ("demand", "forecast", "backlog"):
        yield RowRule(
            table,
            _c("node_kind") == "supplier",
            "node",
            "demand cannot stand at a supplier",
            "Move it to a customer or a stocking node.",
        )
    for table in ("stock", "pipeline"):
        yield RowRule(
            table,
            _c("node_kind") != "stocking",
            "node",
            "only stocking nodes hold stock, this is a {node_kind}",
            "Move it to a stocking node.",
        )
    yield RowRule(
        "items",
        _c("supplier_kind") != "supplier",
        "supplier",
        "is a {supplier_kind} node, not a supplier",
        "Name a supplier node.",
    )
    yield RowRule(
        "arrivals",
        _c("destination_kind") == "customer",
        "destination",
        "a lane into a customer serves at once and cannot be random",
        "Remove the rows of this lane.",
    )


def _resource_rules() -> Iterator[RowRule]:
    at_node = _c("kind").is_in(["storage", "inbound", "outbound"])
    yield RowRule(
        "resources",
        at_node & _c("node").is_null(),
        "node",
        "a resource of kind {kind} needs a node",
        "Name the node.",
    )
    yield RowRule(
        "resources",
        (_c("kind") == "storage") & (_c("node_kind") != "stocking"),
        "node",
        "only stocking nodes hold stock, this is a {node_kind}",
        "Name a stocking node.",
    )
    yield RowRule(
        "resources",
        ~at_node & _c("node").is_not_null(),
        "node",
        "a resource of kind {kind} has no node",
        "Empty the cell or correct the kind.",
    )
    for column in ("origin", "destination"):
        yield RowRule(
            "resources",
            (_c("kind") == "lane") & _c(column).is_null(),
            column,
            "a resource of kind lane needs origin and destination",
            f"Name the {column}.",
        )
        yield RowRule(
            "resources",
            (_c("kind") != "lane") & _c(column).is_not_null(),
            column,
            "a resource of kind {kind} has no lane",
            "Empty the cell or correct the kind.",
        )
    yield RowRule(
        "resources",
        (_c("kind") != "storage") & _c("overflow_cost").is_finite(),
        "overflow_cost",
        "only storage can overflow, limits of kind {kind} always hold",
        "Empty the cell.",
    )


def _forecast_rules(tables: Tables) -> Iterator[RowRule]:
    names = [name for name in tables["forecast"].columns if name[0] == "q" and name[1:].isdigit()]
    names.sort(key=quantile_level)
    for low, high in pairwise(names):
        yield RowRule(
            "forecast",
            _c(low) > _c(high),
            high,
            f"quantiles cross: {low} is {{{low}}}",
            "Quantiles must rise with their probability.",
        )


def _period_rules(known: Known) -> Iterable[RowRule]:
    if known.start is None:
        return
    for table, what in (("pipeline", "arrives"), ("forecast", "lies")):
        yield RowRule(
            table,
            _c("period") < known.start,
            "period",
            f"{what} before planning starts in period {known.start}",
            "Remove the row, or count it as stock if it has arrived."
            if table == "pipeline"
            else "Remove the row: earlier demand is known.",
        )


def _frozen_rules(known: Known) -> Iterable[RowRule]:
    if known.start is not None and known.frozen_periods is not None:
        stop = known.start + known.frozen_periods
        yield RowRule(
            "frozen",
            ~_c("period").is_between(known.start, stop, closed="left"),
            "period",
            f"is not among the {known.frozen_periods} frozen periods from {known.start} on",
            "Remove the row or raise frozen_periods.",
        )
    ordered = _c("quantity") > 0
    yield RowRule(
        "frozen",
        _c("destination_kind") == "customer",
        "destination",
        "a lane into a customer serves demand and takes no orders",
        "Remove the row.",
    )
    yield RowRule(
        "frozen",
        ordered & ~_c("allowed"),
        "item",
        "the item may not use the lane",
        "Remove the order or allow the item in item_lanes.",
    )
    lot, low, high = (_c(f"effective_{name}") for name in _LIMITS)
    yield RowRule(
        "frozen",
        ordered & (low <= high) & ((_c("quantity") < low) | (_c("quantity") > high)),
        "quantity",
        "lies outside {effective_minimum_quantity} to {effective_maximum_quantity}, the quantities "
        "the lane takes",
        "Correct the order or the lane.",
    )
    lots = _c("quantity") / lot
    yield RowRule(
        "frozen",
        ordered & (lot > 0) & (lot <= high) & ((lots - lots.round()).abs() > 1e-9 * lots.clip(1)),
        "quantity",
        "is no multiple of the lot size {effective_lot_size}",
        "Correct the order or the lot size.",
    )
