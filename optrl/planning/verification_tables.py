"""Whether the tables of a plan are whole: known names, within the horizon, each row once."""

from __future__ import annotations

import numpy as np
import polars as pl
from optrl_formulations.network import NodeKind

from optrl.instance import Instance
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification_frames import FLOW_KEY, KEY, horizon, lanes_of, rows


def tables_are_whole(instance: Instance, tables: PlanTables) -> pl.DataFrame:
    """A row for each row of a table, and for each that should be there and is not."""
    network = instance.network
    items = pl.DataFrame({"item": network.items}, schema={"item": pl.String})
    lanes, periods = lanes_of(instance), horizon(instance)
    results = []
    for name, serving in (("orders", False), ("serving", True)):
        frame: pl.DataFrame = getattr(tables, name)
        known = lanes.filter(pl.col("to_customer") == serving).select("origin", "destination")
        marked = (
            frame.join(_marked(items, "knows_item"), on="item", how="left")
            .join(_marked(known, "knows_place"), on=["origin", "destination"], how="left")
            .join(_marked(periods, "knows_period"), on="period", how="left")
        )
        results.append(_wrong(name, marked, FLOW_KEY, ("quantity",)))
    stocking = np.flatnonzero(network.kind == NodeKind.STOCKING)
    for name, nodes, values in (
        ("stock", stocking, ("quantity",)),
        ("service", instance.demand.nodes, ("demand", "served", "unmet")),
    ):
        frame = getattr(tables, name)
        names = [network.nodes[v] for v in nodes]
        where = pl.DataFrame({"node": names}, schema={"node": pl.String})
        marked = (
            frame.join(_marked(items, "knows_item"), on="item", how="left")
            .join(_marked(where, "knows_place"), on="node", how="left")
            .join(_marked(periods, "knows_period"), on="period", how="left")
        )
        results.append(_wrong(name, marked, KEY, values))
        missing = items.join(where, how="cross").join(periods, how="cross")
        missing = missing.join(frame, on=KEY, how="anti")
        results.append(rows(missing, _place(f"{name} has no row of", KEY), pl.lit(1.0)))
    return pl.concat(results)


def _marked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(value=True).alias(name))


def _wrong(
    name: str, marked: pl.DataFrame, key: tuple[str, ...], values: tuple[str, ...]
) -> pl.DataFrame:
    unknown = pl.any_horizontal(
        pl.col(column).is_null() for column in ("knows_item", "knows_place", "knows_period")
    )
    repeated = pl.struct(key).is_duplicated()
    number = pl.all_horizontal(pl.col(v).is_finite().fill_null(value=False) for v in values)
    wrong = unknown | repeated | ~number
    return rows(marked, _place(name, key), wrong.cast(pl.Float64))


def _place(start: str, key: tuple[str, ...]) -> pl.Expr:
    parts = [pl.format(f"{name} {{}}", pl.col(name).cast(pl.String).fill_null("?")) for name in key]
    return pl.concat_str([pl.lit(start), pl.concat_str(parts, separator=", ")], separator=" ")
