"""Tables that the rules of the verification share."""

from __future__ import annotations

import polars as pl
from optrl_formulations.network import FloatArray, NodeKind

from optrl.instance import Instance
from optrl.planning.plan_tables import PlanTables

KEY = ("item", "node", "period")
FLOW_KEY = ("item", "origin", "destination", "period")


def rows(
    frame: pl.DataFrame, place: pl.Expr, violation: pl.Expr, scale: pl.Expr | None = None
) -> pl.DataFrame:
    """What a rule gives: place, violation and scale (1 when None) of each row of the frame."""
    return frame.select(
        place.cast(pl.String).alias("place"),
        violation.cast(pl.Float64).alias("violation"),
        (pl.lit(1.0) if scale is None else scale.abs()).cast(pl.Float64).alias("scale"),
    )


def no_rows() -> pl.DataFrame:
    """What a rule gives that has nothing to check."""
    return pl.DataFrame(schema={"place": pl.String, "violation": pl.Float64, "scale": pl.Float64})


def horizon(instance: Instance) -> pl.DataFrame:
    """The periods planned: period."""
    stop = instance.start + instance.horizon
    return pl.DataFrame({"period": range(instance.start, stop)}, schema={"period": pl.Int64})


def lanes_of(instance: Instance) -> pl.DataFrame:
    """A row a lane: origin, destination, lane, lead_time, from_supplier, to_customer."""
    network = instance.network
    return pl.DataFrame(
        {
            "origin": [u for u, _ in network.lanes],
            "destination": [v for _, v in network.lanes],
            "lane": range(len(network.lanes)),
            "lead_time": network.lead_time,
            "from_supplier": network.kind[network.origin] == NodeKind.SUPPLIER,
            "to_customer": network.kind[network.destination] == NodeKind.CUSTOMER,
        },
        schema={
            "origin": pl.String,
            "destination": pl.String,
            "lane": pl.Int64,
            "lead_time": pl.Int64,
            "from_supplier": pl.Boolean,
            "to_customer": pl.Boolean,
        },
    )


def item_lanes(instance: Instance) -> pl.DataFrame:
    """A row an item and lane: item, lane, allowed, lot_size, limits, setup_time."""
    network = instance.network
    columns = ("allowed", "lot_size", "minimum_quantity", "maximum_quantity", "setup_time")
    items = pl.DataFrame({"item": network.items}, schema={"item": pl.String})
    lanes = lanes_of(instance).select("lane")
    return items.join(lanes, how="cross").with_columns(
        pl.Series(name, getattr(network, name).ravel()) for name in columns
    )


def flows_of(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """All flows with what is known of their lane."""
    both = pl.concat([tables.orders, tables.serving])
    return both.join(lanes_of(instance), on=["origin", "destination"], how="left")


def sum_by(
    flows: pl.DataFrame, end: str, name: str, *, period: pl.Expr | None = None
) -> pl.DataFrame:
    """Flow summed by item, node at one end, and period: item, node, period, `name`."""
    when = pl.col("period") if period is None else period
    return (
        flows.select("item", pl.col(end).alias("node"), when.alias("period"), "quantity")
        .group_by(KEY)
        .agg(pl.col("quantity").sum().alias(name))
    )


def by_item_and_node(instance: Instance, name: str, values: FloatArray) -> pl.DataFrame:
    """A row an item and node: item, node, `name`, from values of shape (N, V)."""
    network = instance.network
    items = pl.DataFrame({"item": network.items}, schema={"item": pl.String})
    nodes = pl.DataFrame({"node": network.nodes}, schema={"node": pl.String})
    return items.join(nodes, how="cross").with_columns(pl.Series(name, values.ravel()))


def due_table(instance: Instance) -> pl.DataFrame:
    """What was on its way before the start: item, node, period, due."""
    network = instance.network
    i, v, k = instance.due.nonzero()
    return pl.DataFrame(
        {
            "item": [network.items[x] for x in i],
            "node": [network.nodes[x] for x in v],
            "period": (instance.start + 1 + k).tolist(),
            "due": instance.due[i, v, k].tolist(),
        },
        schema={"item": pl.String, "node": pl.String, "period": pl.Int64, "due": pl.Float64},
    )
