"""``optrl check``: every fault of an instance folder, or a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from optrl.cli.failures import ExitCode, faults_as_json, reported
from optrl.cli.terminal import write_json, write_line

if TYPE_CHECKING:
    from optrl.instance import Instance


@reported
def check(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Instance folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List every fault of an instance folder, or say what it holds.

    Exit code 0 without faults, 1 with.
    """
    from optrl.errors import InstanceError
    from optrl.tables import load

    try:
        instance = load(folder)
    except InstanceError as error:
        if json:
            faults = faults_as_json(error)
            write_json({"folder": folder, "faults": faults, "summary": None}, indent=2)
        else:
            for fault in error.faults:
                write_line(" ".join(str(fault).splitlines()))
        raise typer.Exit(ExitCode.FAULTS) from None
    summary = summarize(instance)
    if json:
        write_json({"folder": folder, "faults": [], "summary": summary}, indent=2)
    else:
        write_line(f"{folder}: no faults")
        for line in describe(summary):
            write_line(f"  {line}")


def summarize(instance: Instance) -> dict[str, Any]:
    """What an instance holds, ready for JSON."""
    import numpy as np
    from optrl_formulations.network import NodeKind

    network = instance.network
    kinds = np.bincount(network.kind, minlength=len(NodeKind))
    resources: dict[str, int] = {}
    for resource in network.resources:
        resources[resource.kind] = resources.get(resource.kind, 0) + 1
    return {
        "name": instance.name,
        "items": len(network.items),
        "nodes": {kind.name.lower(): int(kinds[kind]) for kind in NodeKind},
        "lanes": {
            "replenishment": len(network.replenishment_lanes),
            "serving": len(network.serving_lanes),
            "longest_lead_time": network.longest_lead_time,
            "random_arrivals": len(instance.arrivals),
        },
        "demand_nodes": len(instance.demand.nodes),
        "periods": {
            "length": instance.period,
            "history": int(instance.history.shape[2]),
            "start": instance.start,
            "horizon": instance.horizon,
            "kept": instance.kept_periods,
            "frozen": int(instance.frozen.shape[2]),
        },
        "resources": resources,
        "unmet": network.unmet,
        "integers": network.has_integers,
        "demand_family": instance.demand_family,
        "forecast": instance.forecast is not None,
    }


def describe(summary: dict[str, Any]) -> list[str]:
    """The summary in lines for a reader."""
    nodes, lanes, periods = summary["nodes"], summary["lanes"], summary["periods"]
    length = periods["length"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["resources"].items())
    integers = "with" if summary["integers"] else "no"
    return [
        f"{summary['name']}: {summary['items']:,} items, {nodes['supplier']:,} suppliers, "
        f"{nodes['stocking']:,} stocking nodes, {nodes['customer']:,} customers",
        f"lanes: {lanes['replenishment']:,} replenishment (lead time up to "
        f"{lanes['longest_lead_time']}, {lanes['random_arrivals']} with random arrivals), "
        f"{lanes['serving']:,} serving",
        f"periods ({length}): {periods['history']} of history, {periods['horizon']} to plan from "
        f"{periods['start']} on ({periods['frozen']} frozen), {periods['kept']} kept to judge on",
        f"demand: at {summary['demand_nodes']:,} nodes, family {summary['demand_family']}"
        + (", forecast given" if summary["forecast"] else ""),
        f"resources: {kinds or 'none'}",
        f"unmet demand: {'lost' if summary['unmet'] == 'lost' else 'waits'}; {integers} fixed "
        "costs, lots or minimum quantities",
    ]
