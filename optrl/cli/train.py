"""``optrl train``: train a policy by reinforcement learning into a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optrl.cli.failures import reported
from optrl.cli.terminal import messages, write_json
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.demand.base import DemandModel
    from optrl.env.encoding import ActionKind
    from optrl.instance import Instance


@reported
def train(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="DIR|TESTBED", help="Instance folder, or family/case.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of checkpoints and curve.")],
    steps: Annotated[int, typer.Option(min=1, help="Periods over all episodes.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder.")] = False,
    episode: Annotated[
        int, typer.Option(min=1, help="Periods of an episode on a test bed, whose runs are long.")
    ] = 100,
    actions: Annotated[
        str, typer.Option(help="What an action is: order or order_up_to (a level).")
    ] = "order",
    largest: Annotated[
        float, typer.Option(help="Largest order, in periods of the item's demand.")
    ] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train proximal policy optimization (PPO) by stable-baselines3.

    A killed training goes on with --resume and ends as if it had not been killed. Compare the
    policy with `optrl compare ... --policies ppo=DIR`. Needs the extra `optrl[rl]`.
    """
    console = messages()
    with console.status("reading"):
        from optrl.env.encoding import EncodingSettings

        try:
            from optrl.learning.ppo import PPOSettings, train_ppo
        except ImportError as error:
            raise OptrlError(
                f"training needs what is not installed here ({error}): pip install 'optrl[rl]'"
            ) from error
        instance, demand, endless = _subject(subject, episode)
    curve: list[dict[str, float]] = []

    def told(line: dict[str, float]) -> None:
        curve.append(line)
        console.print(
            f"{line['steps']:>12,.0f} of {steps:,} steps, cost a period {line['cost']:,.4g}, "
            f"{line['throughput']:,.0f} steps/s ({line['goodput']:,.0f} with checkpoints)"
        )

    train_ppo(
        instance,
        demand,
        out,
        steps=steps,
        seed=seed,
        resume=resume,
        settings=PPOSettings(truncates=endless),
        encoding=EncodingSettings(
            actions=_kind(actions),
            largest=largest,
            whole=bool((instance.network.lot_size == 1).any()),
            clock=not endless,
        ),
        told=told,
    )
    if json:
        write_json({"folder": str(out), "seed": seed, "curve": curve}, indent=2)


def _kind(actions: str) -> ActionKind:
    match actions:
        case "order" | "order_up_to":
            return actions
    raise OptrlError(f"--actions {actions}: choose order or order_up_to")


def _subject(subject: str, episode: int) -> tuple[Instance, DemandModel, bool]:
    """Instance, true or fitted demand, and whether episodes stand for a longer run."""
    if Path(subject).is_dir():
        from optrl.demand.fit import fit
        from optrl.tables import load

        instance = load(subject)
        return instance, fit(instance), False
    from optrl.testbeds import find_bed

    bed = find_bed(subject)
    return replace(bed.instance, horizon=episode), bed.demand, True
