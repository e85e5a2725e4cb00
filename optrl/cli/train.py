"""``optrl train``: train a policy into a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from optrl.cli.compare import read_subject
from optrl.cli.failures import ExitCode, reported
from optrl.cli.terminal import messages, output, write_json, write_line


@reported
def train(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="DIR|TESTBED", help="Instance folder, or family/case.")
    ],
    learner: Annotated[str, typer.Option(metavar="NAME", help="See 'optrl learners'.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of checkpoints, metrics and policy.")
    ],
    updates: Annotated[
        int | None, typer.Option(min=1, help="In total; else as the learner has it.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the learner, see 'optrl learners NAME'; repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SECONDS", help="Stop at the first checkpoint after."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Send metrics to tensorboard or mlflow; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a policy by simulation.

    The folder keeps checkpoints, the metrics of each update, and the policy validated best so far.
    A training that was interrupted or killed at any moment goes on with --resume and ends with the
    same policy as one that was not. Where the loss diverges, training goes back to the last
    checkpoint and on at half the learning rate.

    Compare what was learned with `optrl compare ... --policies base_stock,learned=DIR`.
    """
    console = messages()
    with console.status("reading"):
        import torch

        # Its operations are small: two threads took twice the time of one.
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)
        from optrl.cli.training_progress import training_progress
        from optrl.learning import find
        from optrl.learning.settings import settings_as_json, settings_from_texts
        from optrl.learning.track import sink_named
        from optrl.learning.training import train as run

        kind = find(learner)
        texts = [*(set_ or []), *([] if updates is None else [f"updates={updates}"])]
        settings = settings_from_texts(kind.settings_class, texts)
        parameters = {"learner": learner, "seed": seed, **settings_as_json(settings)}
        sinks = [sink_named(name, out, parameters) for name in dict.fromkeys(track or [])]
        what = read_subject(subject)
    with training_progress(console, learner, settings.updates) as told:
        try:
            done = run(
                what,
                learner,
                out,
                settings=settings,
                seed=seed,
                resume=resume,
                time_limit=time_limit,
                told=told,
                sinks=sinks,
            )
        except KeyboardInterrupt:
            write_line(
                f"interrupted; {out} stands at its last checkpoint: give the same command with "
                "--resume to go on",
                error=True,
            )
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    result = {
        "folder": str(out),
        "learner": done.learner,
        "seed": seed,
        "updates": done.updates,
        "finished": done.finished,
        "validation_cost": done.validation_cost,
        "goodput": done.goodput,
        "rollbacks": done.rollbacks,
    }
    if json:
        write_json(result, indent=2)
        return
    write_line(
        f"{done.updates:,} updates; validated cost a period {done.validation_cost:,.6g}; goodput "
        f"{done.goodput:.1%}; policy in {out}"
    )
    if not done.finished:
        write_line("stopped at the time limit: give the same command with --resume to go on")


@reported
def learners(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Learner whose settings to list.")
    ] = None,
) -> None:
    """List the names of all learners, or the settings of one with their defaults."""
    from optrl.learning import find, names

    if name is None:
        for each in names():
            write_line(each)
        return
    from rich.table import Table

    from optrl.learning.settings import settings_of

    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("default", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for setting in settings_of(find(name).settings_class):
        table.add_row(setting.name, setting.default, setting.about)
    output().print(table)
