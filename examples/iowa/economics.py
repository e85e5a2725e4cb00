"""Prices and costs of items, and the values that depend on where an item stands."""

from __future__ import annotations

import polars as pl
from assumptions import Assumptions
from network import Sites

WEEKS_A_YEAR = 52


def build_items(
    sales: pl.DataFrame, start: int, sites: Sites, lanes: pl.DataFrame, rules: Assumptions
) -> pl.DataFrame:
    """One row an item; money in dollars per litre.

    The price is what stores paid per litre in the last reference weeks (real), the purchase
    cost that price without the state's mark-up. Sales earn the price and the objective counts
    costs only, so a litre not delivered costs the price that is not earned, and goodwill. (Its
    net loss is the margin and goodwill, because the litre is not bought either.) Stock left at
    the hub is worth a share of purchase and transport so far.
    """
    recent = sales.filter(pl.col("period").is_between(start - rules.reference_weeks, start - 1))
    price = pl.col("dollars").sum() / pl.col("litres").sum()
    supplier = sites.suppliers.select("brand", pl.col("node").alias("supplier"))
    return (
        recent.group_by("item", "brand")
        .agg(price.alias("price"))
        .join(supplier, on="brand")
        .join(lanes.select("origin", "cost"), left_on="supplier", right_on="origin")
        .sort("item")
        .with_columns((pl.col("price") / rules.markup).round(4).alias("unit_cost"))
        .with_columns(
            pl.lit(1.0).alias("volume"),
            pl.lit(rules.kilograms_per_litre).alias("weight"),
            (pl.col("unit_cost") * rules.holding_rate / WEEKS_A_YEAR)
            .round(6)
            .alias("holding_cost"),
            (pl.col("price") * (1.0 + rules.goodwill_share)).round(4).alias("shortage_cost"),
            (
                rules.terminal_share
                * (pl.col("unit_cost") + rules.kilograms_per_litre * pl.col("cost"))
            )
            .round(4)
            .alias("terminal_value"),
        )
        .select(
            *("item", "unit_cost", "volume", "weight", "holding_cost", "shortage_cost"),
            *("terminal_value", "supplier"),
        )
    )


def build_item_nodes(
    items: pl.DataFrame, sites: Sites, lanes: pl.DataFrame, rules: Assumptions
) -> pl.DataFrame:
    """Holding cost and terminal value at the centres: dearer space, one more haul."""
    haul = lanes.filter(
        (pl.col("origin") == sites.hub) & pl.col("destination").is_in(sites.centres)
    ).select(pl.col("destination").alias("node"), "cost")
    return items.join(haul, how="cross", maintain_order="left_right").select(
        "item",
        "node",
        (pl.col("holding_cost") * rules.centre_holding_factor).round(6),
        (
            pl.col("terminal_value")
            + rules.terminal_share * rules.kilograms_per_litre * pl.col("cost")
        ).round(4),
    )
