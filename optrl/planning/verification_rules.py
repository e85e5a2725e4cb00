"""The rules of `optrl.planning.verification`: each gives a row for each thing it checks.

A row has ``place`` (what was checked), ``violation`` (by how much it is broken, 0 if it holds) and
``scale`` (size of the numbers compared).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import NodeKind

from optrl.instance import Instance
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification_frames import (
    FLOW_KEY,
    KEY,
    by_item_and_node,
    due_table,
    flows_of,
    item_lanes,
    rows,
    sum_by,
)

_PLACE = pl.format("item {}, node {}, period {}", *KEY)
_FLOW_PLACE = pl.format("item {}, lane {} to {}, period {}", *FLOW_KEY)
_SMALLEST = 1e-6
"""Orders below it do not count as orders: rounding of a solver."""


def stock_balance(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that stock_t - stock_{t-1} - arrivals + departures + own sales = 0."""
    network = instance.network
    flows = flows_of(instance, tables)
    arrivals = sum_by(
        flows.filter(~pl.col("to_customer")),
        "destination",
        "arrived",
        period=pl.col("period") + pl.col("lead_time"),
    )
    departures = sum_by(flows.filter(~pl.col("from_supplier")), "origin", "left")
    initial = by_item_and_node(instance, "before", instance.on_hand).with_columns(
        period=pl.lit(instance.start, dtype=pl.Int64)
    )
    earlier = tables.stock.select(
        "item", "node", pl.col("period") + 1, pl.col("quantity").alias("before")
    )
    before = pl.concat([initial.select(*KEY, "before"), earlier])
    stocking = [network.nodes[v] for v in np.flatnonzero(network.kind == NodeKind.STOCKING)]
    own = tables.service.filter(pl.col("node").is_in(stocking)).select(
        *KEY, pl.col("served").alias("own")
    )
    frame = tables.stock
    for other in (before, arrivals, due_table(instance), departures, own):
        frame = frame.join(other, on=KEY, how="left")
    parts = ("before", "arrived", "due", "left", "own")
    frame = frame.with_columns(pl.col(part).fill_null(0.0) for part in parts)
    come = pl.col("before") + pl.col("arrived") + pl.col("due")
    violation = (pl.col("quantity") - come + pl.col("left") + pl.col("own")).abs()
    return rows(frame, _PLACE, violation, come)


def demand_balance(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that served + unmet = demand (+ what waited), and served is what the flows bring."""
    network = instance.network
    customers = [network.nodes[v] for v in np.flatnonzero(network.kind == NodeKind.CUSTOMER)]
    brought = sum_by(tables.serving, "destination", "brought")
    # A customer without demand has no row of service; what is brought there is still a fault.
    frame = tables.service.join(brought, on=KEY, how="full", coalesce=True)
    if network.unmet == "backorder":
        initial = by_item_and_node(instance, "waited", instance.backlog).with_columns(
            period=pl.lit(instance.start, dtype=pl.Int64)
        )
        earlier = tables.service.select(
            "item", "node", pl.col("period") + 1, pl.col("unmet").alias("waited")
        )
        waiting = pl.concat([initial.select(*KEY, "waited"), earlier])
        frame = frame.join(waiting, on=KEY, how="left")
    else:
        frame = frame.with_columns(waited=pl.lit(0.0))
    parts = ("demand", "served", "unmet", "brought", "waited")
    frame = frame.with_columns(pl.col(part).fill_null(0.0) for part in parts)
    asked = pl.col("demand") + pl.col("waited")
    balance = (pl.col("served") + pl.col("unmet") - asked).abs()
    flow = (pl.col("served") - pl.col("brought")).abs() * pl.col("node").is_in(customers)
    return rows(frame, _PLACE, pl.max_horizontal(balance, flow), asked)


def supply(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that no supplier releases more of an item in a period than it has."""
    limits = by_item_and_node(instance, "limit", instance.network.supply_capacity).filter(
        pl.col("limit").is_finite()
    )
    used = sum_by(pl.concat([tables.orders, tables.serving]), "origin", "used")
    frame = used.join(limits, on=["item", "node"], how="inner")
    place = pl.format("item {}, supplier {}, period {}", *KEY)
    excess = (pl.col("used") - pl.col("limit")).clip(lower_bound=0.0)
    return rows(frame, place, excess, pl.col("limit"))


def calendar(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that nothing is released in periods in which a lane is closed."""
    is_open = instance.network.open_periods(instance.start, instance.horizon)
    frame = flows_of(instance, tables)
    lane, column = frame["lane"].to_numpy(), frame["period"].to_numpy() - instance.start
    closed = pl.Series("closed", ~is_open[lane, column])
    return rows(frame, _FLOW_PLACE, pl.col("quantity") * closed)


def lots(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that items use lanes they may use, in lots, from the smallest quantity to the largest.

    Orders that are frozen may be of any quantity.
    """
    frame = flows_of(instance, tables).join(item_lanes(instance), on=["item", "lane"], how="left")
    quantity, lot = pl.col("quantity"), pl.col("lot_size")
    off_lot = (quantity - (quantity / lot).round() * lot).abs()
    below = (pl.col("minimum_quantity") - quantity).clip(lower_bound=0.0)
    violation = pl.max_horizontal(
        quantity * ~pl.col("allowed"),
        pl.when(lot > 0).then(off_lot).otherwise(0.0),
        below * (quantity > _SMALLEST),
        (quantity - pl.col("maximum_quantity")).clip(lower_bound=0.0),
    )
    is_frozen = ~pl.col("to_customer") & (
        pl.col("period") < instance.start + instance.frozen.shape[2]
    )
    return rows(frame, _FLOW_PLACE, pl.when(is_frozen).then(0.0).otherwise(violation), quantity)


def frozen(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that frozen periods hold the frozen orders and no others."""
    stop = instance.start + instance.frozen.shape[2]
    i, lane, t = (instance.frozen > 0).nonzero()
    lanes = instance.network.lanes
    fixed = pl.DataFrame(
        {
            "item": [instance.network.items[k] for k in i],
            "origin": [lanes[a][0] for a in lane],
            "destination": [lanes[a][1] for a in lane],
            "period": (t + instance.start).tolist(),
            "fixed": instance.frozen[i, lane, t].tolist(),
        },
        schema=dict.fromkeys(FLOW_KEY[:3], pl.String) | {"period": pl.Int64, "fixed": pl.Float64},
    )
    ordered = tables.orders.filter(pl.col("period") < stop)
    frame = ordered.join(fixed, on=FLOW_KEY, how="full", coalesce=True).with_columns(
        pl.col("quantity").fill_null(0.0), pl.col("fixed").fill_null(0.0)
    )
    violation = (pl.col("quantity") - pl.col("fixed")).abs()
    return rows(frame, _FLOW_PLACE, violation, pl.col("fixed"))


def service_level(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check that unmet demand stays within 1 - service level of demand, over the horizon.

    Under backorders unmet demand is what waits at the ends of periods.
    """
    wanted = by_item_and_node(instance, "level", instance.network.service_level).filter(
        pl.col("level") > 0
    )
    totals = tables.service.group_by("item", "node", maintain_order=True).agg(
        pl.col("demand").sum(), pl.col("unmet").sum()
    )
    frame = totals.join(wanted, on=["item", "node"], how="inner")
    allowance = (1 - pl.col("level")) * pl.col("demand")
    excess = (pl.col("unmet") - allowance).clip(lower_bound=0.0)
    return rows(frame, pl.format("item {}, node {}", *KEY[:2]), excess, pl.col("demand"))


def signs(tables: PlanTables) -> pl.DataFrame:
    """Check that no quantity is negative."""
    results = []
    for name, key, columns in (
        ("orders", FLOW_KEY, ("quantity",)),
        ("serving", FLOW_KEY, ("quantity",)),
        ("stock", KEY, ("quantity",)),
        ("service", KEY, ("demand", "served", "unmet")),
    ):
        frame: pl.DataFrame = getattr(tables, name)
        for column in columns:
            place = pl.format(name + " " + column + ": " + ", ".join(["{}"] * len(key)), *key)
            results.append(rows(frame, place, (-pl.col(column)).clip(lower_bound=0.0)))
    return pl.concat(results)
