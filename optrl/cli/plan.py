"""``optrl plan``: from an instance folder to a plan."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from optrl.cli.failures import ExitCode, reported
from optrl.cli.terminal import messages, write_json, write_line


class TableFormat(StrEnum):
    """Of the tables written."""

    csv = "csv"
    parquet = "parquet"


@reported
def plan(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Instance folder.")],
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="How to plan; see 'optrl policies'.")
    ] = "cost_to_go",
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where to write the plan; nothing is written without it."),
    ] = None,
    table_format: Annotated[
        TableFormat, typer.Option("--format", help="Of the tables written.")
    ] = TableFormat.csv,
    time_limit: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="For the solver.")
    ] = None,
    gap: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SHARE", help="Relative gap at which a MIP may stop."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For policies that sample.")] = 0,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain/--no-explain",
            help="Plan once more without shared limits, for the items that they displace.",
        ),
    ] = True,
    certify: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Simulate the policy on N horizons for the certificate; 0 for none, by default "
            "as many as take no longer than planning.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Plan what to buy, move, hold and serve over the horizon.

    With --out the tables orders, serving, stock, service, prices and displaced, summary.json and
    network.png appear there as one folder, or nothing does. The plan is checked by a routine that
    does not know the model; where it breaks a row the exit code is 1. Ctrl-C stops a long integer
    program at its best solution, which is printed and written, with exit code 130.

    The policy is then simulated on random demand, and its cost held against a bound that no policy
    can be below: the summary says how far from optimal it can be, with what confidence, and what
    the bound assumes. --certify N simulates more horizons and bounds each by perfect information.
    """
    console = messages()
    with console.status("reading"):
        from optrl.bounds.policy_certificate import require_paths
        from optrl.planning.output import refuse_other_folder, write_plan
        from optrl.planning.plan import plan as make_plan
        from optrl.policies import find
        from optrl.solver.progress import progress_line
        from optrl.tables import load

        find(policy)
        if certify:
            require_paths(certify)
        if out is not None:
            refuse_other_folder(out)
        instance = load(folder)
    with progress_line(console) as progress:
        made = make_plan(
            instance,
            policy,
            seed=seed,
            explain=explain,
            time_limit=time_limit,
            relative_gap=gap,
            progress=progress,
        )
    interrupted = made.program is not None and made.program.status == "interrupted"
    if certify != 0 and not interrupted:
        with console.status("certifying") as status:
            from optrl.bounds.plan_certificate import certify_plan

            made = certify_plan(
                made,
                certify,
                seed=seed,
                time_limit=time_limit,
                told=lambda done: status.update(f"certifying: {done} horizons simulated"),
            )
    if out is not None:
        with console.status("writing"):
            write_plan(made, out, table_format.value)
    if json:
        write_json(made.summary(), indent=2)
    else:
        from optrl.cli.plan_report import print_plan

        print_plan(made)
        if out is not None:
            write_line(f"written to {out}")
    if interrupted:
        write_line("interrupted: this is the best plan found by then", error=True)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not made.verification.passed:
        count = len(made.verification.violations)
        write_line(f"the plan breaks {count:,} rows of the instance", error=True)
        raise typer.Exit(ExitCode.FAULTS)
