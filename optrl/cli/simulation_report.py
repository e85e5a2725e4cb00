"""What a simulation found, for a reader and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from optrl.cli.terminal import output
from optrl.instance import Instance
from optrl.simulation.kpis import Estimate, Indicators

_SHARES = ("fill_rate", "cycle_service")


def as_dict(indicators: Indicators, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The indicators ready for JSON; standard errors are null with one scenario."""
    rows = indicators.table().drop("policy").rows()
    return {
        **settings,
        "policy": indicators.policy,
        "scenarios": indicators.scenarios,
        "periods": indicators.periods,
        "indicators": {name: {"mean": mean, "standard_error": error} for name, mean, error in rows},
        "resources": indicators.resource_table().to_dicts(),
    }


def print_indicators(
    indicators: Indicators, settings: Mapping[str, Any], instance: Instance
) -> None:
    """Print the indicators to standard output."""
    console = output()
    scenarios = "1 scenario" if indicators.scenarios == 1 else f"{indicators.scenarios:,} scenarios"
    console.print(
        f"{instance.name}: {indicators.policy}, {scenarios} of {indicators.periods} "
        f"{instance.period}s from {settings['first_period']} on, demand: {settings['demand']}",
        style="bold",
        soft_wrap=True,
    )
    console.print()
    _indicators(console, indicators, instance)
    if indicators.resources:
        console.print()
        _resources(console, indicators)


def _indicators(console: Console, indicators: Indicators, instance: Instance) -> None:
    period, money, quantity = instance.period, instance.money, instance.quantity
    table = Table(box=None, pad_edge=False)
    table.add_column("indicator")
    table.add_column("mean", justify="right")
    table.add_column("standard error", justify="right")
    table.add_column("unit")

    def add(name: str, estimate: Estimate, unit: str, style: str | None = None) -> None:
        form = ".3%" if unit == "" else ",.2f"
        error = estimate.standard_error
        shown = "" if math.isnan(error) else format(error, form)
        table.add_row(name, format(estimate.mean, form), shown, unit, style=style)

    add("cost less value of what is left", indicators.cost, money, "bold")
    per_period = f"{money} a {period}"
    add("cost", indicators.cost_per_period, per_period)
    for kind, estimate in indicators.cost_by_kind.items():
        if estimate.mean:
            add(f"  {kind.replace('_', ' ')}", estimate, per_period)
    add("fill rate", indicators.fill_rate, "")
    add("cycle service", indicators.cycle_service, "")
    add("turns", indicators.turns, "a year")
    add("days of stock", indicators.days_of_stock, "days")
    add("mean stock", indicators.mean_stock, quantity)
    for reason, estimate in indicators.cut.items():
        if estimate.mean:
            add(f"cut: {reason.replace('_', ' ')}", estimate, f"{quantity} a {period}")
    if indicators.lost_in_transit.mean:
        add("never arrives", indicators.lost_in_transit, f"{quantity} a {period}")
    console.print(table)


def _resources(console: Console, indicators: Indicators) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("resource", overflow="fold")
    table.add_column("kind")
    for name in ("mean use", "largest", "share of capacity", "periods above", "mean excess"):
        table.add_column(name, justify="right")
    for use in indicators.resources:
        above = use.violation_rate > 0
        table.add_row(
            use.name,
            use.kind,
            f"{use.mean:,.1f}",
            f"{use.largest:,.1f}",
            f"{use.share:.1%}",
            f"{use.violation_rate:.1%}" if above else "",
            f"{use.mean_excess:,.1f}" if above else "",
            style="yellow" if above else None,
        )
    console.print(table)
