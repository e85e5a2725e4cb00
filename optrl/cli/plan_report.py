"""What a planner reads about a plan on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from optrl.cli.terminal import output
from optrl.planning.plan import Plan

_RESOURCES_SHOWN = 20
_VIOLATIONS_SHOWN = 10
_ITEMS_SHOWN = 2


def print_plan(plan: Plan) -> None:
    """Print a plan's summary to standard output."""
    summary = plan.summary()
    console = output()
    first, last = plan.instance.start, plan.instance.start + plan.instance.horizon - 1
    console.print(
        f"{summary['instance']}: {summary['policy']} plan, {summary['period']}s {first} to {last}",
        style="bold",
        soft_wrap=True,
    )
    console.print()
    _costs(console, summary)
    console.print()
    _resources(console, summary)
    _verification(console, plan)
    _program(console, summary)
    _certificate(console, summary)
    console.print(f"planned in {summary['planning_seconds']:.1f} s", soft_wrap=True)


def compact_periods(periods: Sequence[int]) -> str:
    """Periods as ranges: 3-5, 9."""
    ranges: list[list[int]] = []
    for period in periods:
        if ranges and period == ranges[-1][1] + 1:
            ranges[-1][1] = period
        else:
            ranges.append([period, period])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _certificate(console: Console, summary: dict[str, Any]) -> None:
    found = summary["certificate"]
    if found is None:
        console.print(f"no certificate: {summary['uncertified']}", soft_wrap=True)
        return
    gap, likely = found["relative_gap"], found["estimated_relative_gap"]
    within = "by how much is not certified" if gap is None else f"at most {gap:.2%}"
    within += "" if likely is None else f", estimated {likely:.2%}"
    low, high = (
        "unknown" if found[key] is None else f"{found[key]:,.7g}"
        for key in ("lower_bound", "upper_bound")
    )
    _lines(
        console,
        [
            f"certificate on {found['paths']} horizons of random demand, {found['confidence']:.0%} "
            "for all of it:",
            f"  {found['policy']} costs {found['cost']:,.7g}, at most {high}",
            f"  every policy costs at least {low} ({found['bound']})",
            f"  {found['policy']} is above the cheapest by {within}",
            *(f"  it assumes: {each}" for each in found["assumption"].split("; ")),
        ],
    )


def _costs(console: Console, summary: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for kind, value in summary["cost"].items():
        if value:
            table.add_row(kind.replace("_", " "), f"{value:,.2f}")
    table.add_row("less value of what is left", f"{-summary['terminal_value'] or 0.0:,.2f}")
    table.add_row(f"cost in {summary['money']}", f"{summary['total_cost']:,.2f}", style="bold")
    rate = summary["fill_rate"]
    table.add_row("fill rate", "no demand" if rate is None else f"{rate:.3%}")
    table.add_row(f"{summary['quantity']} ordered and moved", f"{summary['ordered']:,.0f}")
    console.print(table)


def _resources(console: Console, summary: dict[str, Any]) -> None:
    binding = summary["binding_resources"]
    if not binding:
        console.print("no resource binds")
        return
    priced = summary["program"] is not None
    table = Table(box=None, pad_edge=False)
    table.add_column("binding resource", overflow="fold")
    table.add_column(f"{summary['period']}s", justify="right")
    if priced:
        table.add_column("one more unit saves up to", justify="right")
        table.add_column("in", justify="right")
    table.add_column(f"binds in {summary['period']}s", overflow="fold")
    explained = binding[0]["displaced"] is not None
    if explained:
        table.add_column("displaces most", overflow="fold")
    for row in binding[:_RESOURCES_SHOWN]:
        price = row["largest_price"]
        saved = ["" if price is None else f"{price:,.4g} {summary['money']}"]
        saved += ["" if price is None else str(row["largest_price_period"])]
        over = len(row["over_capacity"])
        table.add_row(
            row["resource"] + (f" (overflows in {over})" if over else ""),
            str(len(row["periods"])),
            *(saved if priced else ()),
            compact_periods(row["periods"]),
            *((_displaced(row["displaced"]),) if explained else ()),
        )
    console.print(table)
    more = len(binding) - _RESOURCES_SHOWN
    if more > 0:
        console.print(f"and {more} more resources")


def _displaced(items: list[dict[str, Any]]) -> str:
    shown = [f"{each['item']} ({each['missed']:,.4g})" for each in items[:_ITEMS_SHOWN]]
    return ", ".join(shown) or "nothing"


def _verification(console: Console, plan: Plan) -> None:
    verification = plan.verification
    console.print()
    if verification.passed:
        rows = sum(verification.rows.values())
        console.print(
            f"verified: all {rows:,} rows hold, largest violation {verification.largest:.1g}",
            style="green",
        )
        return
    count = len(verification.violations)
    console.print(f"the plan breaks {count:,} rows", style="red")
    _lines(
        console,
        (
            f"  {v.rule}: {v.place}, by {v.amount:,.6g}"
            for v in verification.violations[:_VIOLATIONS_SHOWN]
        ),
    )
    if count > _VIOLATIONS_SHOWN:
        console.print(f"  and {count - _VIOLATIONS_SHOWN:,} more")


def _program(console: Console, summary: dict[str, Any]) -> None:
    program = summary["program"]
    if program is None:
        console.print(
            "no program was solved: this policy decides by a rule, so there are no prices"
        )
        return
    count = program["programs"]
    console.print(f"planned by {program['method']}", soft_wrap=True)
    console.print(
        ("program" if count == 1 else f"{count} programs, each")
        + f" of {program['columns']:,} columns and {program['rows']:,} rows: "
        f"{program['status']}, {'' if count == 1 else 'largest '}gap {program['gap']:.2%}, "
        f"{program['seconds']:.1f} s",
        soft_wrap=True,
    )
    if summary["cut"]:
        reasons = ", ".join(f"{amount:,.6g} by {why}" for why, amount in summary["cut"].items())
        _lines(
            console,
            [
                f"the order of events cut planned flows: {reasons}",
                "  (stock went to demand that the program would refuse; the tables show the rest)",
            ],
        )
    _lines(console, (f"  {warning}" for warning in program["warnings"]))


def _lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
