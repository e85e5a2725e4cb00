"""``optrl compare``: policies on the same random numbers until their ranking is settled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optrl.cli.contenders import load_trained, split
from optrl.cli.failures import ExitCode, reported
from optrl.cli.limits import read_limits
from optrl.cli.outputs import check_outputs
from optrl.cli.terminal import messages, write_json, write_line
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.comparison.contender import Entry
    from optrl.instance import Instance
    from optrl.testbeds.base import TestBed

RUNS = "optrl-runs"
"""Folder of finished parts unless said otherwise."""


@reported
def compare(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(metavar="DIR|TESTBED", help="Instance folder, or a test bed's full name."),
    ],
    policies: Annotated[
        str,
        typer.Option(
            metavar="A,B,C",
            help="Names; see 'optrl policies'. NAME+updated learns of demand on its way; "
            "NAME=FOLDER of trained ones.",
        ),
    ],
    scenarios: Annotated[int, typer.Option(min=1, help="Run at most so many.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of demand, arrivals and policies.")] = 0,
    confidence: Annotated[
        float, typer.Option(help="Of all statements together, between 0 and 1.")
    ] = 0.95,
    tolerance: Annotated[
        float, typer.Option(help="Difference that does not matter, share of the lowest cost.")
    ] = 0.001,
    all_scenarios: Annotated[
        bool, typer.Option("--all-scenarios", help="Do not stop when the ranking is settled.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="On the observed demand kept from the start on.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY=N", help="Run a policy that takes long on the first N only; repeatable."
        ),
    ] = None,
    bound: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Scenarios to solve the perfect-information bound on."
        ),
    ] = 0,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as a page (HTML).")
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the results as JSON; - prints them.")
    ] = None,
    parquet: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write the tables as Parquet.")
    ] = None,
    runs: Annotated[str, typer.Option(metavar="DIR", help="Where finished parts are kept.")] = RUNS,
) -> None:
    """Compare policies on the same demand and the same random arrivals.

    Differences are taken scenario by scenario, and all pairs of policies are judged together. The
    run stops when every pair is proven to differ or to be alike, and otherwise after --scenarios.
    Policies that take long may meet fewer scenarios (--limit lookahead=16): each pair is judged on
    the scenarios that both met.
    Finished parts are kept under --runs: an interrupted run continues from there when the same
    command is given again, and gives the same numbers.
    """
    console = messages()
    check_outputs((out, None if json == "-" else json), (parquet,))
    names, trained = split(policies)
    limits = read_limits(limit or [])
    with console.status("reading"):
        from optrl.cli.comparison_progress import comparison_progress
        from optrl.comparison.compare import compare as run
        from optrl.evaluation.policy_names import find_simulated

        for name in names:
            find_simulated(name)
        instance = read_subject(subject)
        entries: list[Entry] = [*names]
        entries += [load_trained(name, path, instance) for name, path in trained]
    total = (
        len(entries) * scenarios
        + bound
        - sum(scenarios - min(scenarios, n) for n in limits.values())
    )
    with comparison_progress(console, total) as progress:
        try:
            result = run(
                instance,
                entries,
                scenarios=scenarios,
                seed=seed,
                confidence=confidence,
                tolerance=tolerance,
                until_settled=not all_scenarios,
                replay=replay,
                bound_scenarios=bound,
                limits=limits,
                folder=runs,
                progress=progress,
            )
        except KeyboardInterrupt:
            write_line(
                f"interrupted; finished parts are kept in {runs}: give the same command again to "
                "continue",
                error=True,
            )
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if out is not None:
        result.to_html(out)
    if parquet is not None:
        result.to_parquet(parquet)
    if json == "-":
        write_json(result.summary(), indent=2)
        return
    if json is not None:
        result.to_json(json)
    from optrl.cli.comparison_report import print_comparison

    print_comparison(result)
    for path in (out, json, parquet):
        if path is not None:
            write_line(f"written: {path}")


def read_subject(subject: str) -> Instance | TestBed:
    """The instance folder or the test bed of that name.

    Raises:
        OptrlError: If it is neither.
    """
    from optrl.testbeds import find, find_bed, names

    family = subject.split("/")[0]
    if Path(subject).is_dir() or (family not in names() and Path(subject).exists()):
        from optrl.tables import load

        return load(subject)
    if family not in names():
        example = next(iter(find(names()[0]).cases())).name
        raise OptrlError(
            f"{subject!r} is neither an instance folder nor a test bed. Test beds are those of "
            f"the families {', '.join(names())}, such as {example}"
        )
    if "/" in subject:
        return find_bed(subject)
    cases = list(find(subject).cases())
    if len(cases) == 1:
        return cases[0]
    raise OptrlError(
        f"{subject!r} holds {len(cases)} instances, and policies are compared on one: choose from "
        f"{', '.join(bed.name for bed in cases)}"
    )
