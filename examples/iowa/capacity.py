"""First stock, pipeline and capacities: what a base-stock rule would hold and use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from assumptions import Assumptions
from geography import FloatArray
from network import Sites


@dataclass(frozen=True)
class History:
    """Demand of the reference weeks where it would be served.

    Attributes:
        items: Item names, ascending.
        depots: Hub, then centres.
        litres: Demand of the counties nearest to each depot, shape (items, depots, weeks).
        unit_cost: Dollars per litre, shape (items,).
        lead_time: Weeks from the item's supplier to the hub, shape (items,).
    """

    items: list[str]
    depots: list[str]
    litres: FloatArray
    unit_cost: FloatArray
    lead_time: FloatArray


def gather_history(
    sales: pl.DataFrame,
    start: int,
    items: pl.DataFrame,
    sites: Sites,
    lead_time: dict[str, int],
    rules: Assumptions,
) -> History:
    """Demand of the last reference weeks by item and nearest depot."""
    weeks = rules.reference_weeks
    county = {key: row for row, key in enumerate(sites.counties["county_key"])}
    item = {name: row for row, name in enumerate(items["item"])}
    recent = sales.filter(pl.col("period").is_between(start - weeks, start - 1))
    depot = sites.nearest_depot()[recent["county"].replace_strict(county).to_numpy()]
    litres = np.zeros((items.height, sites.depots.height, weeks))
    row = recent["item"].replace_strict(item).to_numpy()
    np.add.at(
        litres,
        (row, depot, recent["period"].to_numpy() - (start - weeks)),
        recent["litres"].to_numpy(),
    )
    return History(
        items=items["item"].to_list(),
        depots=sites.depots["node"].to_list(),
        litres=litres,
        unit_cost=items["unit_cost"].to_numpy(),
        lead_time=np.array([lead_time[name] for name in items["supplier"]], dtype=np.float64),
    )


def rolling_mean(values: FloatArray, weeks: int) -> FloatArray:
    """Mean of every run of `weeks` values along the last axis."""
    result: FloatArray = np.lib.stride_tricks.sliding_window_view(values, weeks, axis=-1).mean(-1)
    return result


def safety_stock(history: History, rules: Assumptions) -> FloatArray:
    """Safety stock of each item and depot, shape (items, depots), litres.

    Safety factor times the standard deviation of demand over lead time and review, from the
    last year; the hub covers the demand of all depots over the supplier's lead time, a centre
    the demand of its counties over one week; both review weekly.
    """
    year = history.litres[:, :, -52:]
    local = year.std(axis=2, ddof=1)
    local[:, 0] = year.sum(axis=1).std(axis=1, ddof=1)
    cover = np.full(local.shape, 2.0)
    cover[:, 0] = history.lead_time + 1.0
    result: FloatArray = rules.safety_factor * local * np.sqrt(cover)
    return result


def cycle_stock(history: History, weeks: int) -> FloatArray:
    """A week's demand on each depot, averaged over runs of weeks: (items, depots, runs)."""
    mean = rolling_mean(history.litres, weeks)
    mean[:, 0] = rolling_mean(history.litres.sum(axis=1), weeks)
    return mean


def first_stock(history: History, rules: Assumptions) -> pl.DataFrame:
    """Stock at the start: a week's demand and the safety stock, item by item and depot.

    This is a base-stock rule's mean stock after arrivals, with last year's mean demand: the
    level covers lead time and review, the pipeline holds all but one week of it.
    """
    litres = cycle_stock(history, 52)[:, :, -1] + safety_stock(history, rules)
    return pl.DataFrame(
        {
            "item": np.repeat(history.items, len(history.depots)),
            "node": history.depots * len(history.items),
            "quantity": litres.ravel().round(2),
        }
    )


def first_pipeline(history: History, start: int, rules: Assumptions) -> pl.DataFrame:
    """Orders on their way to the hub.

    Last year's mean weekly demand in each week before an order placed at the start could
    arrive. Centres lie one week from the hub: what was sent to them is part of their stock.
    """
    weekly = cycle_stock(history, 52)[:, 0, -1]
    rows = [
        (item, history.depots[0], start + ahead, round(float(weekly[row]), 2))
        for row, item in enumerate(history.items)
        for ahead in range(1, int(history.lead_time[row]))
    ]
    schema = {"item": pl.String, "node": pl.String, "period": pl.Int64, "quantity": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def build_resources(history: History, rules: Assumptions) -> pl.DataFrame:
    """Capacities from the reference weeks, rounded up to tens.

    Flows that planning can shift in time (into the hub, out of it, into a centre, purchases)
    get a little more than a busy month's mean; deliveries out of a centre, which follow demand,
    a little more than a busy week; storage a little more than the base-stock rule holds in a
    busy month. Hence a peak week must be prepared, and storage limits how far.
    """
    smooth = cycle_stock(history, rules.smoothing_weeks)
    busy_month = np.quantile(smooth.sum(axis=0), rules.peak_quantile, axis=1)
    busy_week = np.quantile(history.litres.sum(axis=0), rules.peak_quantile, axis=1)
    storage = np.quantile(
        smooth.sum(axis=0) + safety_stock(history, rules).sum(axis=0)[:, None],
        rules.peak_quantile,
        axis=1,
    )
    spend = np.quantile(
        (history.unit_cost[:, None] * smooth[:, 0]).sum(axis=0), rules.peak_quantile
    )
    rows: list[tuple[str, str, str | None, str, float, float | None]] = []
    for row, depot in enumerate(history.depots):
        inbound = busy_month[row] * (rules.hub_slack if row == 0 else rules.inbound_slack)
        outbound = (
            busy_month[0] * rules.hub_slack if row == 0 else busy_week[row] * rules.delivery_slack
        )
        room = storage[row] * rules.storage_slack
        rows += [
            (f"{depot} storage", "storage", depot, "volume", room, rules.overflow_cost),
            (f"{depot} inbound", "inbound", depot, "volume", inbound, None),
            (f"{depot} outbound", "outbound", depot, "volume", outbound, None),
        ]
    rows.append(("purchase budget", "budget", None, "cost", spend * rules.budget_slack, None))
    return pl.DataFrame(
        rows,
        schema={"resource": pl.String, "kind": pl.String, "node": pl.String}
        | {"consumes": pl.String, "capacity": pl.Float64, "overflow_cost": pl.Float64},
        orient="row",
    ).with_columns((pl.col("capacity") / 10.0).ceil() * 10.0)
