"""Key figures of a plan, ready for JSON, and which resources bind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from optrl._version import __version__

if TYPE_CHECKING:
    from optrl.planning.plan import Plan

KIND = "optrl plan"
"""What summary.json says it is, by which a plan's folder is recognized."""

SMALLEST_PRICE = 1e-6
"""Prices up to it are the solver's rounding."""

CUT_TOLERANCE = 1e-3
"""Quantity cut from planned flows up to which it is rounding."""

_AT_LIMIT = 1 - 1e-6
_VIOLATIONS_LISTED = 20
_ITEMS_LISTED = 5


def summarize(plan: Plan) -> dict[str, Any]:
    """Key figures of a plan.

    ``fill_rate`` is demand met in its own period over demand, None without demand.
    ``binding_resources`` are those of `binding_resources`, each with the items that it holds back
    most (`optrl.planning.displacement`; None where that was not asked for or not found in time).
    ``uncertified`` says why ``certificate`` is None.
    """
    instance, tables, verification = plan.instance, plan.tables, plan.verification
    held_back = most_displaced(tables.displaced)
    return {
        "kind": KIND,
        "optrl": __version__,
        "instance": instance.name,
        "policy": plan.policy,
        "money": instance.money,
        "quantity": instance.quantity,
        "period": instance.period,
        "first_period": instance.start,
        "periods": instance.horizon,
        "items": len(instance.network.items),
        "cost": {kind: round(value, 6) for kind, value in plan.cost.items()},
        "terminal_value": round(plan.terminal_value, 6),
        "total_cost": round(plan.total_cost, 6),
        "fill_rate": fill_rate(tables.service),
        "ordered": float(tables.orders["quantity"].sum()),
        "orders": tables.orders.height,
        "binding_resources": [
            row | {"displaced": held_back.get(row["resource"], []) if plan.explained else None}
            for row in binding_resources(tables.prices)
        ],
        "program": None if plan.program is None else plan.program.as_dict(),
        "certificate": None if plan.certificate is None else dict(plan.certificate),
        "uncertified": plan.uncertified,
        "cut": {reason: amount for reason, amount in plan.cut.items() if amount > CUT_TOLERANCE},
        "verified": {
            "passed": verification.passed,
            "rows": dict(verification.rows),
            "largest_violation": verification.largest,
            "violations": [vars(v) for v in verification.violations[:_VIOLATIONS_LISTED]],
            "violation_count": len(verification.violations),
        },
        "planning_seconds": round(plan.seconds, 3),
    }


def fill_rate(service: pl.DataFrame) -> float | None:
    """Demand met in its own period over demand; what waited from before is served first."""
    demand = float(service["demand"].sum())
    late = float(service.select(pl.min_horizontal("demand", "unmet").sum()).item())
    return 1 - late / demand if demand else None


def binding_resources(prices: pl.DataFrame) -> list[dict[str, Any]]:
    """Resources that hold the plan back, those that save most first.

    A resource binds in the periods in which one more unit would save money; where no price is
    known, in those in which it is used up.

    Args:
        prices: The plan's table of that name.

    Returns:
        By resource: ``resource``, ``periods`` in which it binds, ``largest_price`` (money saved by
        one more unit) and its ``largest_price_period``, ``saving`` (by one more unit in each
        period), all three None without prices, and ``over_capacity``, the periods in which storage
        overflows at a cost.
    """
    found = (
        binding_rows(prices)
        .group_by("resource", maintain_order=True)
        .agg(
            pl.col("period").alias("periods"),
            pl.col("price").max().alias("largest_price"),
            pl.col("period").sort_by("price").last().alias("largest_price_period"),
            pl.when(pl.col("price").is_null().all())
            .then(None)
            .otherwise(pl.col("price").sum())
            .alias("saving"),
            pl.col("period").filter("over").alias("over_capacity"),
        )
        .sort("saving", descending=True, nulls_last=True, maintain_order=True)
    )
    rows = found.to_dicts()
    for row in rows:
        if row["largest_price"] is None:
            row["largest_price_period"] = None
    return rows


def binding_rows(prices: pl.DataFrame) -> pl.DataFrame:
    """Rows of the table of prices where a resource binds; ``over`` tells overflowing storage."""
    used_up = (pl.col("used") >= _AT_LIMIT * pl.col("capacity")) & (pl.col("used") > 0)
    over = pl.col("used") * _AT_LIMIT > pl.col("capacity")
    marked = prices.with_columns(
        binds=pl.col("price").is_null() & used_up | (pl.col("price") > SMALLEST_PRICE),
        over=over,
    )
    return marked.with_columns(
        binds=pl.col("binds").fill_null(value=False) | pl.col("over")
    ).filter("binds")


def most_displaced(displaced: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """By resource the items that it holds back most, with the capacity units they miss."""
    missed = (
        displaced.group_by("resource", "item", maintain_order=True)
        .agg((pl.col("wanted") - pl.col("planned")).sum().alias("missed"))
        .sort("missed", descending=True, maintain_order=True)
        .group_by("resource", maintain_order=True)
        .head(_ITEMS_LISTED)
    )
    return {
        str(name): group.select("item", "missed").to_dicts()
        for (name,), group in missed.group_by("resource", maintain_order=True)
    }
