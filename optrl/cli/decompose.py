"""``optrl decompose``: bounds on an instance from prices on its capacities."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from optrl.cli.failures import ExitCode, reported
from optrl.cli.terminal import messages, write_json, write_line
from optrl.errors import OptrlError


class MasterName(StrEnum):
    """What sets prices."""

    level_bundle = "level_bundle"
    cutting_planes = "cutting_planes"
    dantzig_wolfe = "dantzig_wolfe"
    subgradient = "subgradient"


class EngineName(StrEnum):
    """Where oracles run."""

    in_process = "in_process"
    process_pool = "process_pool"


class OracleChoice(StrEnum):
    """What answers prices."""

    flow = "flow"
    scenario_lp = "scenario_lp"


@reported
def decompose(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Instance folder.")],
    master: Annotated[MasterName, typer.Option(help="What sets prices.")] = MasterName.level_bundle,
    engine: Annotated[EngineName, typer.Option(help="Where items are asked.")] = (
        EngineName.in_process
    ),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of the process pool; else one a processor.")
    ] = None,
    oracle: Annotated[
        OracleChoice | None,
        typer.Option(help="What answers for the items; else the fastest that applies."),
    ] = None,
    gap: Annotated[float, typer.Option(min=0.0, help="Relative gap at which to stop.")] = 0.001,
    time_limit: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="Of wall time, for all of it.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="At most.")] = 200,
    block: Annotated[int | None, typer.Option(min=1, help="Items of a block.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Items that give the first prices.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Draws the sample.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of checkpoint, trace, prices and orders."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Bound the cheapest plan from both sides by prices on shared capacities.

    Items are free of each other once capacities have prices: each is planned by itself, prices
    follow what all use together, and the average of what was planned holds the capacities. Demand
    is as expected, integers are relaxed. Shown are the trace, the certified gap, and what each
    capacity is worth by period.

    With --out a checkpoint is kept after every round; a run that was killed or interrupted goes on
    with --resume. Ctrl-C ends with the best so far, with exit code 130; an item whose oracle fails
    is named, and the best so far is printed and written, with exit code 2. With --time-limit enough
    is kept back from the rounds to write the plan.
    """
    if resume and out is None:
        raise OptrlError("--resume needs a folder to go on from: give --out DIR")
    console = messages()
    with console.status("reading"):
        from optrl.cli.decomposition_progress import decomposition_progress
        from optrl.cli.decomposition_report import as_json, print_result, summary, write_result
        from optrl.cli.outputs import check_outputs
        from optrl.decomposition.blocks.engines import engine_named
        from optrl.decomposition.blocks.events import Stopping
        from optrl.decomposition.blocks.items import ReplenishmentItems
        from optrl.decomposition.blocks.masters import master_named
        from optrl.decomposition.blocks.replenishment import decompose as run
        from optrl.decomposition.blocks.replenishment import fitting_oracle
        from optrl.demand.fit import fit
        from optrl.tables import load

        check_outputs([], [None if out is None else str(out)])
        instance = load(folder)
        expected = fit(instance).mean(instance.start, instance.horizon)
        problem = ReplenishmentItems.of(instance, expected)
        chosen = fitting_oracle(problem) if oracle is None else oracle.value
    with decomposition_progress(console) as told:
        result = run(
            problem,
            oracle=chosen,
            master=master_named(master.value),
            engine=engine_named(engine.value, workers),
            stopping=Stopping(gap=gap, seconds=time_limit, iterations=rounds),
            size=block,
            sample=sample,
            seed=seed,
            folder=out,
            resume=resume,
            told=told,
        )
    found = summary(problem, result, chosen)
    if out is not None:
        with console.status("writing"):
            write_result(problem, result, found, out)
    if json:
        write_json(as_json(found, result), indent=2)
    else:
        print_result(found, result)
        if out is not None:
            write_line(f"written to {out}")
    if result.stopped == "interrupted":
        write_line("interrupted: this is the best by then", error=True)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if result.failure is not None:
        raise typer.Exit(ExitCode.ERROR)
