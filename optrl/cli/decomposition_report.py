"""What a decomposition found: on the terminal, as JSON, and as a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.table import Table

from optrl.cli.plan_report import compact_periods
from optrl.cli.terminal import output
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.price_table import price_table
from optrl.decomposition.blocks.result import Result
from optrl.decomposition.blocks.trace import table, write_trace
from optrl.decomposition.blocks.trace_plot import plot_trace
from optrl.planning.json_text import json_text
from optrl.tables.atomic import write_file

_ROUNDS_SHOWN = 12
_RESOURCES_SHOWN = 20
_NOTHING = 1e-9


def summary(problem: ReplenishmentItems, result: Result, oracle: str) -> dict[str, Any]:
    """Bounds, why it ended, and the worth of each resource that binds."""
    return {
        "items": len(problem),
        "oracle": oracle,
        "lower_bound": _finite(result.lower),
        "upper_bound": _finite(result.upper),
        "relative_gap": _finite(result.gap),
        "assumption": _assumption(problem),
        "rounds": len(result.trace),
        "seconds": result.trace[-1].seconds if result.trace else 0.0,
        "stopped": result.stopped,
        "plan": result.plan is not None and math.isfinite(result.upper),
        "largest_excess": _largest_excess(problem, result),
        "failure": None if result.failure is None else str(result.failure),
        "resources": _resources(problem, result),
    }


def _assumption(problem: ReplenishmentItems) -> str:
    parts = ["demand is as expected"]
    if problem.data.delivery is not None:
        parts.append("of random arrivals comes what is expected")
    if problem.network.has_integers:
        parts.append("integers are relaxed")
    return "; ".join(parts)


def _largest_excess(problem: ReplenishmentItems, result: Result) -> str | None:
    """Where the average uses most above a capacity that must hold, relative to it."""
    if result.usage is None or math.isfinite(result.upper):
        return None
    used = price_table(problem, result.prices, result.usage).with_columns(
        excess=(pl.col("used") - pl.col("capacity")) / pl.max_horizontal("capacity", 1.0)
    )
    firm = [r.name for r in problem.network.resources if math.isinf(r.overflow_cost)]
    worst = used.filter(pl.col("resource").is_in(firm)).sort("excess").row(-1, named=True)
    return f"{worst['excess']:.2%} on {worst['resource']} in period {worst['period']}"


def _resources(problem: ReplenishmentItems, result: Result) -> list[dict[str, Any]]:
    priced = price_table(problem, result.prices, result.usage).filter(pl.col("price_then") > 1e-9)
    return [
        {
            "resource": name,
            "periods": rows["period"].unique().sort().to_list(),
            "largest_price": rows["price_then"].max(),
            "capacity_value": float((rows["price"] * rows["capacity"]).sum()),
        }
        for (name,), rows in priced.group_by("resource", maintain_order=True)
    ]


def print_result(found: dict[str, Any], result: Result) -> None:
    """Print trace, bounds, and what binding resources are worth, to standard output."""
    console = output()
    rounds = Table(box=None, pad_edge=False)
    for name in ("round", "lower bound", "upper bound", "gap", "seconds", "price step", "columns"):
        rounds.add_column(name, justify="right", no_wrap=True)
    for row in _some(result):
        low, high = (f"{x:,.7g}" if math.isfinite(x) else "-" for x in (row.lower, row.upper))
        gap = f"{row.gap:.3%}" if math.isfinite(row.gap) else "-"
        rounds.add_row(
            *(str(row.iteration), low, high, gap, f"{row.seconds:.1f}"),
            *(f"{row.step:.2g}", f"{row.columns:,}"),
        )
    console.print(rounds)
    console.print()
    console.print(conclusion(found), soft_wrap=True)
    if not found["rounds"]:
        return
    resources = found["resources"]
    if not resources:
        alone = found["relative_gap"] is not None and found["relative_gap"] <= _NOTHING
        console.print(
            "no capacity is worth anything: the items can be planned one by one"
            if alone
            else "what capacities are worth is lost in the gap; a smaller --gap shows it"
        )
        return
    worth = Table(box=None, pad_edge=False)
    for name, justify in (
        ("resource that binds", "left"),
        ("periods", "left"),
        ("worth of a unit, at most", "right"),
        ("worth of all", "right"),
    ):
        worth.add_column(name, justify=justify)  # type: ignore[arg-type]  # a literal each
    for row in sorted(resources, key=lambda r: -r["capacity_value"])[:_RESOURCES_SHOWN]:
        worth.add_row(
            row["resource"],
            compact_periods(row["periods"]),
            f"{row['largest_price']:,.5g}",
            f"{row['capacity_value']:,.6g}",
        )
    console.print()
    console.print(worth)


def conclusion(found: dict[str, Any]) -> str:
    """What is known about the cheapest plan, in a sentence or two."""
    ended = f"stopped: {found['stopped']} after {found['rounds']:,} rounds"
    if not found["rounds"]:
        return f"no round was done, so that nothing is known; {ended}: allow more time"
    low, high, gap = found["lower_bound"], found["upper_bound"], found["relative_gap"]
    below = "no oracle claims a bound" if low is None else f"no plan costs less than {low:,.7g}"
    if high is None:
        above = (
            "no average of the plans answered so far holds the capacities "
            f"(largest excess: {found['largest_excess']}), so that there is no plan"
        )
    else:
        above = f"the averaged plan costs {high:,.7g}"
        if not found["plan"]:
            above += " (it was not asked for again: there was no time for it)"
    within = "no gap is certified" if gap is None else f"gap {gap:.3%}"
    return f"{below}; {above}: {within}, if {found['assumption']}; {ended}"


def write_result(
    problem: ReplenishmentItems, result: Result, found: dict[str, Any], folder: Path
) -> None:
    """Write trace.csv, trace.png, prices.csv, orders.csv and summary.json, each whole or not.

    Raises:
        optrl.errors.OptrlError: If one cannot be written.
    """
    write_trace(result.trace, folder / "trace.csv")
    if result.trace:
        plot_trace(result.trace, folder / "trace.png")
    with write_file(folder / "prices.csv") as temporary:
        price_table(problem, result.prices, result.usage).write_csv(temporary)
    if found["plan"]:
        with write_file(folder / "orders.csv") as temporary:
            _orders(problem, result).write_csv(temporary)
    with write_file(folder / "summary.json") as temporary:
        temporary.write_text(json_text(found, indent=2) + "\n", encoding="utf-8")


def as_json(found: dict[str, Any], result: Result) -> dict[str, Any]:
    """The summary with the whole trace."""
    return found | {"trace": table(result.trace).to_dicts()}


def _orders(problem: ReplenishmentItems, result: Result) -> pl.DataFrame:
    """Orders of the averaged plan above rounding, by item, lane and period."""
    order = np.zeros((0, 0, 0)) if result.plan is None else result.plan["order"]
    item, lane, node = np.nonzero(order > 1e-9)
    network = problem.network
    names, nodes = np.array(network.items, dtype=object), np.array(network.nodes, dtype=object)
    return pl.DataFrame(
        {
            "item": names[item].tolist(),
            "from": nodes[network.origin[lane]].tolist(),
            "to": nodes[network.destination[lane]].tolist(),
            "period": problem.first_period + problem.tree.depth[node],
            "quantity": order[item, lane, node],
        },
        schema={
            "item": pl.String,
            "from": pl.String,
            "to": pl.String,
            "period": pl.Int64,
            "quantity": pl.Float64,
        },
    )


def _some(result: Result) -> list[Any]:
    """All rounds, or of many the first and last."""
    rows = list(result.trace)
    if len(rows) <= _ROUNDS_SHOWN:
        return rows
    half = _ROUNDS_SHOWN // 2
    return rows[:half] + rows[-half:]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
