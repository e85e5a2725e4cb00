"""Compare policies on common random numbers, in steps, until their ranking is settled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from optrl.bounds.errors import BoundFaultError
from optrl.bounds.lower_bound import LowerBound
from optrl.comparison.contender import Entry, contenders
from optrl.comparison.measurement import Measurement, join
from optrl.comparison.result import Comparison, Settings
from optrl.comparison.run_folder import RunFolder
from optrl.comparison.runner import PART, Advance, Runner
from optrl.comparison.scenarios import Scenarios
from optrl.comparison.statistics import looks
from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.evaluation.judge import kept_demand
from optrl.identity import code_version, hash_of, instance_hash, library_versions
from optrl.instance import Instance
from optrl.testbeds.base import TestBed

FIRST_LOOK = 32
"""Scenarios before the ranking is first looked at."""


def compare(
    subject: Instance | TestBed,
    policies: Sequence[Entry],
    *,
    scenarios: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    tolerance: float = 0.001,
    until_settled: bool = True,
    demand: DemandModel | None = None,
    believed: DemandModel | None = None,
    replay: bool = False,
    warm_up: int | None = None,
    bound_scenarios: int = 0,
    optimum: float | None = None,
    limits: Mapping[str, int] | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: Callable[[Advance], None] = lambda _: None,
) -> Comparison:
    """Roll policies out on the same demand and the same random arrivals and rank them.

    After 32, 64, 128, ... scenarios the ranking is looked at; it is settled when every pair of
    policies is proven to differ, or to differ by at most `tolerance`. All statements of all looks
    hold together with probability `confidence` (`optrl.comparison.statistics`), so that stopping
    early does not cheat.

    Each policy gets a certificate of how far above the cheapest possible it can be, from the fluid
    bound (`optrl.bounds.fluid`) on all scenarios and, where asked for, from perfect information.

    Policies that take long may meet fewer scenarios than the others (`limits`), the first of the
    same ones: each pair is then compared on the scenarios that both met, and the run goes on until
    the pairs that still can be told apart by more scenarios are.

    Args:
        subject: An instance, or a test bed: its own demand, warm-up and optimum are then taken.
        policies: Names, classes with `name`, `fit` and `decide`, or `Trained` policies.
        scenarios: Run at most so many.
        seed: Of demand, random arrivals and policies that sample.
        confidence: Of all statements together, and of each interval by itself.
        tolerance: Difference that does not matter, as a share of the cheapest policy's cost.
        until_settled: False runs all scenarios and looks once.
        demand: Draws demand; fitted to the instance when None.
        believed: What policies believe about demand; `demand`, or the fit, when None.
        replay: Whether to replay observed demand from the start on in place of drawing it.
        warm_up: First periods left out of cost and indicators; when None those of a test bed, and
            none of an instance.
        bound_scenarios: Scenarios for which the perfect-information bound is solved; it counts all
            periods, so that there is none where a warm-up is left out.
        optimum: Known optimal cost of the instance, to measure gaps against; that of a test bed is
            for its own demand and warm-up, and not used with another or a shorter one.
        limits: Most scenarios of some policies, by name; at least one policy has none.
        folder: Where finished parts are kept; a run that was interrupted continues from there.
        progress: Told about every part.

    Raises:
        OptrlError: If a number is out of range, a policy is unknown or does not apply, or there is
            nothing to replay.
    """
    _check(scenarios, confidence, tolerance, bound_scenarios)
    instance = subject.instance if isinstance(subject, TestBed) else subject
    if isinstance(subject, TestBed):
        instance = replace(instance, name=subject.name)
        warm_up = subject.warm_up if warm_up is None else warm_up
        its_own = demand is None and not replay
        demand = subject.demand if its_own else demand
        believed = subject.demand if believed is None else believed
        # The optimum is an average after the bed's warm-up, which earlier periods are not.
        known = subject.optimum if its_own and warm_up >= subject.warm_up else None
        if optimum is None and known is not None and _is_plain(instance):
            optimum = known * (instance.horizon - warm_up)
    warm_up = warm_up or 0
    entered = contenders(policies, kept=folder is not None)
    limits = _checked_limits(limits or {}, [each.name for each in entered])
    if replay and demand is not None:
        raise OptrlError("demand is to be replayed and drawn from a model: choose one of the two")
    if replay:
        kept_demand(instance)  # complains where nothing was kept, before anything is fitted
    fitted = demand if demand is not None else fit(instance)
    drawn = Scenarios(instance, None if replay else fitted, seed)
    if not 0 <= warm_up < drawn.periods:
        raise OptrlError(f"warm_up is {warm_up}; it must be at least 0 and below {drawn.periods}")
    if warm_up and bound_scenarios:
        raise OptrlError(
            f"the perfect-information bound counts all {drawn.periods} periods, and the first "
            f"{warm_up} of them are left out of the cost of policies: ask for no bound, or count "
            "all periods"
        )
    most = scenarios if drawn.most is None else min(scenarios, drawn.most)
    provenance = {
        "instance_hash": instance_hash(instance),
        "code_version": code_version(),
        "libraries": dict(library_versions()),
        "seed": seed,
    }
    settings = Settings(
        seed=seed,
        scenarios=most,
        confidence=confidence,
        tolerance=tolerance,
        schedule=looks(most, FIRST_LOOK if until_settled else most),
        demand="replay" if replay else str(getattr(fitted, "name", type(fitted).__name__)),
        warm_up=warm_up,
        limits={name: limit for name, limit in limits.items() if limit < most},
    )
    kept = RunFolder(None, {})
    if folder is not None:
        models = {
            "demand": "replay" if replay else "fitted" if demand is None else hash_of(demand),
            "believed": "demand" if believed is None else hash_of(believed),
        }
        kept = RunFolder.at(Path(folder), provenance | models | {"warm_up": warm_up})
    runner = Runner(drawn, fitted if believed is None else believed, kept, warm_up, progress)
    parts: dict[str, list[Measurement]] = {}
    prefixes: dict[int, dict[str, Measurement]] = {}
    low = 0
    for look, stop in enumerate(settings.schedule):
        for high in sorted({x for x in settings.limits.values() if low < x < stop} | {stop}):
            going = [x for x in entered if settings.limits.get(x.name, most) > low]
            for first in range(low, high, PART):
                for each in going:
                    part = runner.run(each, first, min(first + PART, high))
                    parts.setdefault(each.name, []).append(part)
            for each in going:
                parts[each.name] = [join(parts[each.name])]
            measured = {name: part for name, (part,) in parts.items()}
            if high in settings.limits.values():
                prefixes[high] = {each.name: measured[each.name] for each in going}
            low = high
        result = Comparison(
            instance, settings, look, measured, np.zeros(0), optimum, provenance, prefixes
        )
        if result.settled_among([x for x in measured if settings.limits.get(x, most) > stop]):
            break
    bound = runner.bound(0, min(bound_scenarios, result.scenarios))
    fluid, uncertified = _fluid(runner, result)
    return _certified(replace(result, bound=bound, fluid=fluid, uncertified=uncertified))


def _certified(result: Comparison) -> Comparison:
    """The comparison, without the fluid bound where costs contradict it: the ranking stays."""
    try:
        _ = result.certificates
    except BoundFaultError as error:
        if result.fluid is None:
            raise
        return _certified(replace(result, fluid=None, uncertified=str(error)))
    return result


def _fluid(runner: Runner, result: Comparison) -> tuple[LowerBound | None, str]:
    """The fluid bound on the scenarios met, or why there is none."""
    if runner.scenarios.model is None:
        return None, "replayed demand is one path, of which nothing is expected"
    if runner.warm_up:
        return None, f"costs leave out the first {runner.warm_up} periods, and bounds count all"
    try:
        return runner.fluid(result.scenarios), ""
    except OptrlError as error:
        return None, str(error)


def _is_plain(instance: Instance) -> bool:
    """Whether cost of the horizon is cost a period times periods."""
    network = instance.network
    return network.discount == 1 and not network.terminal_value.any()


def _check(scenarios: int, confidence: float, tolerance: float, bound_scenarios: int) -> None:
    if scenarios < 1:
        raise OptrlError(f"scenarios is {scenarios}; at least 1 is needed")
    if not 0 < confidence < 1:
        raise OptrlError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    if not 0 <= tolerance < 1:
        raise OptrlError(f"tolerance is {tolerance}; it must be at least 0 and below 1")
    if bound_scenarios < 0:
        raise OptrlError(f"bound_scenarios is {bound_scenarios}; it must be at least 0")


def _checked_limits(limits: Mapping[str, int], names: Sequence[str]) -> Mapping[str, int]:
    for name, limit in limits.items():
        if name not in names:
            raise OptrlError(
                f"scenarios are limited for {name!r}, which is not compared; the policies are "
                f"{', '.join(names)}"
            )
        if limit < 1:
            raise OptrlError(f"{name!r} is limited to {limit} scenarios; at least 1 is needed")
    if all(name in limits for name in names):
        raise OptrlError(
            "the scenarios of every policy are limited: leave one without a limit, or lower the "
            "number of scenarios of all"
        )
    return limits
