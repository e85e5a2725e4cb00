"""What a comparison found, for a reader at the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from optrl.bounds.certificate import Certificate
from optrl.cli.terminal import output
from optrl.comparison.result import Comparison


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
    table = Table(box=None, pad_edge=False)
    table.add_column("rank")
    table.add_column("policy", no_wrap=True)
    columns = ["cost", "above", "interval", "fill rate", "stock"]
    limited = bool(settings.limits) and comparison.ranking["scenarios"].n_unique() > 1
    if limited:
        columns.insert(0, "scenarios")
    if comparison.reference is not None:
        columns.append("above optimum" if comparison.reference == "optimum" else "above bound")
    certificates = comparison.certificates
    if certificates:
        columns.append("certified gap")
    for column in (*columns, "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in comparison.ranking.to_dicts():
        low, high = row["above_best_low"], row["above_best_high"]
        shown = "" if row["rank"] == 1 or not math.isfinite(low) else f"{low:,.4g} to {high:,.4g}"
        best, worst = row["best_rank"], row["worst_rank"]
        cells = [
            str(best) if best == worst else f"{best}-{worst}",
            row["policy"],
            f"{row['cost']:,.7g}",
            "" if row["rank"] == 1 else f"{row['above_best']:,.4g}",
            shown,
            f"{row['fill_rate']:.2%}",
            f"{row['mean_stock']:,.4g}",
        ]
        if limited:
            cells.insert(2, f"{row['scenarios']:,}")
        if comparison.reference is not None:
            half = row["gap_half_width"]
            spread = f" ± {half:.2f}" if math.isfinite(half) else ""
            cells.append(f"{row['gap_percent']:.2f}{spread} %")
        if certificates:
            cells.append(certified_gap(certificates[row["policy"]]))
        table.add_row(*cells, f"{row['seconds']:.1f}")
    console.print(table)
    console.print()
    if limited:
        console.print(
            "policies with fewer scenarios are compared on those that both of a pair met; their "
            f"cost, fill rate and stock are those of {comparison.anchor} plus the difference there",
            soft_wrap=True,
        )
    confidence = f"{100 * settings.confidence:g} %"
    if certificates:
        _print_certificates(console, certificates, confidence)
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
