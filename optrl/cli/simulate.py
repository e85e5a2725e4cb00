"""``optrl simulate``: judge a policy on sampled or kept demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from optrl.cli.contenders import load_trained, split
from optrl.cli.failures import reported
from optrl.cli.terminal import messages, write_json
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl_formulations.network import FloatArray

    from optrl.demand.base import DemandModel
    from optrl.instance import Instance
    from optrl.simulation.rollout import DecidingPolicy

SCENARIOS = 100
"""Sampled unless said otherwise."""


@reported
def simulate(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Instance folder.")],
    policy: Annotated[
        str,
        typer.Option(metavar="NAME", help="See 'optrl policies'. NAME=FOLDER of a trained one."),
    ],
    scenarios: Annotated[
        int | None,
        typer.Option(min=1, help=f"{SCENARIOS} unless given; with --replay 1, draws of arrivals."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of demand and random arrivals.")] = 0,
    replay: Annotated[
        bool, typer.Option("--replay", help="On the observed demand kept from the start on.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Simulate a policy fitted to the history before the start.

    Demand is sampled from the model fitted to history, over the horizon; with --replay it is what
    was observed from the start on, all of it. Orders arrive at random where the instance says so.
    Policies that solve programs solve one a scenario and period: how long that takes is said on
    standard error.
    """
    console = messages()
    with console.status("reading"):
        from optrl.cli.memory import refuse_too_many_scenarios
        from optrl.cli.simulation_progress import simulation_progress
        from optrl.demand.fit import fit
        from optrl.evaluation.policy_names import find_simulated
        from optrl.simulation.kpis import Indicators
        from optrl.simulation.rollout import simulate as roll_out
        from optrl.tables import load

        names, trained = split(policy)
        if len(names) + len(trained) != 1:
            raise OptrlError(f"--policy {policy}: give one policy; compare several by compare")
        kinds = [find_simulated(name) for name in names]
        instance = load(folder)
    count = scenarios or (1 if replay else SCENARIOS)
    periods = instance.kept_periods if replay else instance.horizon
    refuse_too_many_scenarios(instance, count, periods)
    with console.status("fitting"):
        believed = fit(instance)
        demand = _paths(instance, believed, count, seed, replay=replay)
        decider: DecidingPolicy
        if kinds:
            decider = kinds[0].fit(instance, believed, seed=seed)
        else:
            decider = load_trained(*trained[0], instance).policy
    with simulation_progress(console, decider, count, demand.shape[3]) as (watched, batch):
        trajectory = roll_out(instance, watched, demand, seed=seed, batch=batch)
    indicators = Indicators.of(trajectory)
    from optrl.cli.simulation_report import as_dict, print_indicators

    settings = {
        "instance": instance.name,
        "demand": "replay" if replay else instance.demand_family,
        "first_period": instance.start,
        "seed": seed,
    }
    if json:
        write_json(as_dict(indicators, settings), indent=2)
    else:
        print_indicators(indicators, settings, instance)


def _paths(
    instance: Instance, believed: DemandModel, scenarios: int, seed: int, *, replay: bool
) -> FloatArray:
    """Demand paths, shape (S, N, D, T)."""
    import numpy as np

    generator = np.random.default_rng(seed)
    if not replay:
        return believed.sample(scenarios, instance.start, instance.horizon, generator)
    from optrl.demand.replay import Replay

    kept = instance.kept_periods
    if not kept:
        raise OptrlError(
            f"there is no demand to replay: the demand table ends before period {instance.start}, "
            "where planning starts. Leave --replay out, or add what was observed."
        )
    return Replay.fit(instance).sample(scenarios, instance.start, kept, generator)
