"""Whether a plan keeps every shared capacity."""

from __future__ import annotations

import polars as pl
from optrl_formulations.network import Resource

from optrl.instance import Instance
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification_frames import flows_of, horizon, item_lanes, no_rows, rows


def resources(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """Check the use of each resource in each period; storage that may overflow always holds."""
    flows = flows_of(instance, tables)
    results = [no_rows()]
    for resource in instance.network.resources:
        used = _used(instance, tables, flows, resource)
        capacity = resource.capacity_at(instance.start, instance.horizon)
        frame = (
            horizon(instance)
            .with_columns(pl.Series("capacity", capacity))
            .join(used, on="period", how="left")
            .with_columns(pl.col("used").fill_null(0.0))
        )
        excess = (pl.col("used") - pl.col("capacity")).clip(lower_bound=0.0)
        if resource.kind == "storage" and resource.overflow_cost < float("inf"):
            excess = pl.lit(0.0)
        place = pl.format("resource {}, period {}", pl.lit(resource.name), pl.col("period"))
        results.append(rows(frame, place, excess, pl.col("capacity")))
    return pl.concat(results)


def _used(
    instance: Instance, tables: PlanTables, flows: pl.DataFrame, resource: Resource
) -> pl.DataFrame:
    """Use by period: period, used."""
    network = instance.network
    use = pl.DataFrame({"item": network.items, "use": resource.use})
    node = None if resource.node is None else network.nodes[resource.node]
    match resource.kind:
        case "storage":
            counted = tables.stock.filter(pl.col("node") == node)
        case "inbound":
            counted = flows.filter(pl.col("destination") == node)
        case "outbound":
            counted = flows.filter(pl.col("origin") == node)
        case "lane":
            counted = flows.filter(pl.col("lane") == resource.lane)
        case "budget":
            counted = flows.filter(pl.col("from_supplier"))
    counted = counted.join(use, on="item", how="left").with_columns(
        amount=pl.col("use") * pl.col("quantity")
    )
    if resource.takes_setup_time and resource.kind != "storage":
        setup = item_lanes(instance).select("item", "lane", "setup_time")
        counted = counted.join(setup, on=["item", "lane"], how="left").with_columns(
            amount=pl.col("amount") + pl.col("setup_time") * (pl.col("quantity") > 0)
        )
    return counted.group_by("period").agg(pl.col("amount").sum().alias("used"))
