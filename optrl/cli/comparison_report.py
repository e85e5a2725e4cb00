"""What a comparison found, for a reader at the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from optrl.bounds.certificate import Certificate
from optrl.cli.terminal import output
from optrl.comparison.result import Comparison

_DROPPED_FIRST = ("seconds", "stock", "fill rate", "above bound", "interval")
"""Columns that a narrow terminal does without, the first one first."""

_BETWEEN = 2
"""Blanks between columns."""


def print_comparison(comparison: Comparison) -> None:
    """Print the ranking to standard output."""
    console = output()
    instance, settings = comparison.instance, comparison.settings
    scenarios = "1 scenario" if comparison.scenarios == 1 else f"{comparison.scenarios:,} scenarios"
    entered = len(comparison.policies)
    policies = "1 policy" if entered == 1 else f"{entered} policies"
    console.print(
        f"{instance.name}: {policies}, {scenarios}, seed {settings.seed}, "
        f"demand: {settings.demand}" + (f"; cost in {instance.money}" if instance.money else ""),
        style="bold",
        soft_wrap=True,
    )
    console.print()
    limited = bool(settings.limits) and comparison.ranking["scenarios"].n_unique() > 1
    certificates = comparison.certificates
    rows = [_row(comparison, row, limited=limited) for row in comparison.ranking.to_dicts()]
    table, left_out = _fitting(console, rows)
    console.print(table)
    console.print()
    if left_out:
        console.print(
            f"left out for want of width: {', '.join(left_out)} (--json and --out have them)",
            soft_wrap=True,
        )
    if limited:
        console.print(
            "policies with fewer scenarios are compared on those that both of a pair met; their "
            f"cost, fill rate and stock are those of {comparison.anchor} plus the difference there",
            soft_wrap=True,
        )
    confidence = f"{100 * settings.confidence:g} %"
    if certificates:
        _print_certificates(console, certificates, confidence)
        if comparison.uncertified:
            console.print(f"no fluid bound: {comparison.uncertified}", soft_wrap=True)
    else:
        console.print(f"no certified gap: {comparison.uncertified}", soft_wrap=True)
    if comparison.scenarios == 1:
        said = "one path of demand proves no ranking"
    elif len(comparison.policies) == 1:
        said = "one policy: there is nothing to rank"
    elif comparison.settled:
        said = f"the ranking is settled: every pair differs or is alike, {confidence} for all"
        if comparison.differences.same.any():
            said += "; pairs that cost the same in every scenario met are taken as alike"
    else:
        said = f"the ranking is not settled at {confidence} for all pairs together"
    console.print(said, soft_wrap=True)


def _row(comparison: Comparison, row: Mapping[str, Any], *, limited: bool) -> dict[str, str]:
    """What is shown of a policy, by column."""
    low, high = row["above_best_low"], row["above_best_high"]
    best, worst = row["best_rank"], row["worst_rank"]
    first = row["rank"] == 1
    cells = {"rank": str(best) if best == worst else f"{best}-{worst}", "policy": row["policy"]}
    if limited:
        cells["scenarios"] = f"{row['scenarios']:,}"
    cells["cost"] = f"{row['cost']:,.7g}"
    cells["above"] = "" if first else f"{row['above_best'] + 0.0:,.4g}"
    cells["interval"] = (
        "" if first or not math.isfinite(low) else f"{low + 0.0:,.4g} to {high + 0.0:,.4g}"
    )
    cells["fill rate"] = f"{row['fill_rate']:.2%}"
    cells["stock"] = f"{row['mean_stock']:,.4g}"
    if comparison.reference is not None:
        half = row["gap_half_width"]
        spread = f" ± {half:.2f}" if math.isfinite(half) else ""
        column = "above optimum" if comparison.reference == "optimum" else "above bound"
        cells[column] = f"{row['gap_percent']:.2f}{spread} %"
    if comparison.certificates:
        cells["certified gap"] = certified_gap(comparison.certificates[row["policy"]])
    cells["seconds"] = f"{row['seconds']:.1f}"
    return cells


def _fitting(console: Console, rows: Sequence[Mapping[str, str]]) -> tuple[Table, list[str]]:
    """The table as wide as the terminal allows, and the columns that it leaves out for that."""
    shown, left_out = list(rows[0]), []
    for column in _DROPPED_FIRST:
        needed = sum(max(len(c), *(len(row[c]) for row in rows)) for c in shown)
        if needed + _BETWEEN * (len(shown) - 1) <= console.width:
            break
        if column in shown:
            shown.remove(column)
            left_out.append(column)
    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN // 2))
    for column in shown:
        left = column in ("rank", "policy")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    return table, left_out


def certified_gap(certificate: Certificate) -> str:
    """How far above the cheapest possible, for a reader; above 100 % it is the bound that fails."""
    gap = certificate.relative_gap
    if not math.isfinite(gap):
        return "none"
    return f"{100 * gap:.2f} %" if gap <= 1 else "> 100 %"


def _print_certificates(
    console: Console, certificates: Mapping[str, Certificate], confidence: str
) -> None:
    bounds = {each.bound.name: each.bound for each in certificates.values()}
    console.print(
        f"certified gap: at most so far above the cheapest possible, {confidence} for all policies "
        "together, from "
        + "; and ".join(
            f"the {bound.name} bound of {bound.mean:,.7g} on {len(bound.sample):,} scenarios "
            f"({bound.assumption})"
            for bound in bounds.values()
        ),
        soft_wrap=True,
    )
