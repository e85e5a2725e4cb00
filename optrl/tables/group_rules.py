"""Rules on rows taken together: arrival profiles, coverage of demand and forecast, backlog."""

from __future__ import annotations

import polars as pl

from optrl.errors import Fault
from optrl.tables.faults import ROW, FaultList, text_of
from optrl.tables.references import Tables
from optrl.tables.settings import Known

LARGEST_ARRAY = 2_000_000_000
_LANE = ["origin", "destination"]
_c = pl.col


def check_groups(tables: Tables, known: Known, settings: str, faults: FaultList) -> None:
    """Check every rule on groups of rows; `settings` is what faults call the settings."""
    _check_arrivals(tables, faults)
    _check_demand(tables, known, settings, faults)
    _check_forecast(tables, known, faults)
    _check_backlog(tables, known, faults)
    _check_service_levels(tables, faults)


def _check_arrivals(tables: Tables, faults: FaultList) -> None:
    table = tables.tables["arrivals"]
    profile = [*_LANE, "profile"]
    rows = table.frame.drop_nulls([*profile, "probability", "fraction", "lane_index"])
    if rows.height < table.frame.height:  # what is missing from the sums is listed elsewhere
        return
    first = rows.with_columns(_c("probability").first().over(profile).alias("first"))
    faults.add_rows(
        table,
        first.filter(_c("probability") != _c("first")),
        "probability",
        "another row of the profile says {first}",
        "Give all rows of a profile the same probability.",
    )
    profiles = rows.group_by(profile, maintain_order=True).agg(
        _c(ROW).first(), _c("probability").first(), _c("fraction").sum()
    )
    faults.add_rows(
        table,
        profiles.filter(_c("fraction") > 1 + 1e-9),
        "fraction",
        "the fractions of profile {profile} sum to more than 1",
        "Lower them: no more arrives than was ordered.",
    )
    lanes = profiles.group_by(_LANE, maintain_order=True).agg(
        _c(ROW).first(), _c("probability").sum()
    )
    faults.add_rows(
        table,
        lanes.filter((_c("probability") - 1).abs() > 1e-9),
        "probability",
        "the probabilities of the profiles of {origin} -> {destination} do not sum to 1",
        "Correct them.",
    )


def _check_demand(tables: Tables, known: Known, settings: str, faults: FaultList) -> None:
    demand, forecast = tables.tables["demand"], tables.tables["forecast"]
    forecast_known = forecast.present or not forecast.usable
    if not demand.usable:
        return
    if not demand.present:
        if not forecast_known:
            problem = "there is neither a demand table nor a forecast"
            remedy = "Add demand history, a forecast, or both."
            faults.add(Fault(demand.label, None, None, None, problem, remedy))
        return
    first, last = demand.frame["period"].min(), demand.frame["period"].max()
    if not isinstance(first, int) or not isinstance(last, int):
        if not demand.frame.height and not forecast_known:
            problem = "the table has no rows and there is no forecast"
            remedy = "Add demand history, a forecast, or both."
            faults.add(Fault(demand.label, None, None, None, problem, remedy))
        return
    if demand.frame["period"].null_count() or known.start is None:
        return
    if not forecast_known and not first < known.start <= last + 1:
        problem = (
            f"there is no forecast, and demand history from period {first} to {last} does not lead "
            "up to it"
        )
        remedy = f"Start between {first + 1} and {last + 1}, or add a forecast."
        faults.add(Fault(settings, None, "start", str(known.start), problem, remedy))
    nodes = demand.frame["node_index"].n_unique()
    cells = len(tables.names["items"]) * nodes * (max(last + 1, known.start) - first)
    if cells > LARGEST_ARRAY:
        problem = f"periods {first} to {last} for every item and node are {cells} numbers"
        remedy = f"Number periods without gaps; at most {LARGEST_ARRAY} numbers are held."
        faults.add(Fault(demand.label, None, "period", str(last), problem, remedy))


def _check_forecast(tables: Tables, known: Known, faults: FaultList) -> None:
    forecast = tables.tables["forecast"]
    if not forecast.present or known.start is None or known.horizon is None:
        return
    periods = forecast.frame["period"]
    last, needed = periods.max(), known.start + known.horizon - 1
    if periods.null_count() or (isinstance(last, int) and last >= needed):
        return
    problem = f"the forecast ends before period {needed}, the last of the horizon"
    remedy = "Add the periods (a zero row stands for no demand) or shorten the horizon."
    faults.add(Fault(forecast.label, None, "period", text_of(last), problem, remedy))


def _check_backlog(tables: Tables, known: Known, faults: FaultList) -> None:
    backlog, demand = tables.tables["backlog"], tables.tables["demand"]
    waiting = backlog.frame.filter(_c("quantity") > 0)
    if known.unmet == "lost":
        faults.add_rows(
            backlog,
            waiting.head(1),
            "quantity",
            "demand waits, but the settings say that unmet demand is lost",
            'Set unmet = "backorder" or remove the table.',
        )
    nodes = pl.concat([demand.frame["node_index"], tables["forecast"]["node_index"]])
    if nodes.null_count() == 0 and demand.usable and tables.tables["forecast"].usable:
        faults.add_rows(
            backlog,
            waiting.filter(
                (_c("node_kind") != "supplier") & ~_c("node_index").is_in(nodes.implode())
            ),
            "node",
            "demand waits at a node where no demand stands",
            "Correct the node, or give it a row in the demand table (of zero, if need be).",
        )


def _check_service_levels(tables: Tables, faults: FaultList) -> None:
    """A service level is a share of demand of the item at the node: without demand it is void."""
    table, place = tables.tables["item_nodes"], ["item", "node"]
    if not (tables.tables["demand"].usable and tables.tables["forecast"].usable):
        return
    stands = pl.concat([tables["demand"].select(place), tables["forecast"].select(place)])
    if stands.is_empty() or any(stands.null_count().row(0)):  # which is a fault itself
        return
    asked = table.frame.filter(_c("service_level") > 0).drop_nulls(["item_index", "node_index"])
    faults.add_rows(
        table,
        asked.join(stands.unique(), on=place, how="anti", maintain_order="left"),
        "service_level",
        "no demand for {item} stands at {node}, so the service level would do nothing",
        "Give it where the demand stands, empty the cell, or add a row of the item and node to "
        "the demand table (of zero, if need be).",
    )
