"""Learns the shape of position values through the decisions of the programs that they end.

Each trial lets the program with one other `Shape` decide on fixed paths of demand and keeps it
where that costs less: a compass search (`optrl.learning.compass`) over the logarithms of its
numbers, with common random numbers, so that a difference in cost is one of decisions and not of
luck. The cost is that of the program's own decisions in the simulator, with all limits: nothing is
learned from values that the program would not meet.

An instance with history may be replayed instead: on the weeks before its start, from earlier
starts, each with demand fitted to what came before (`replays`), and fitted anew as the replay moves
on where policies are (`refit`). What lies after its start is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.evaluation.refitted import Refitted
from optrl.instance import Instance
from optrl.learning.base import Subject, TrainingError
from optrl.learning.compass import Compass
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.position_values import Shape
from optrl.policies.program_endings import PositionEnding
from optrl.simulation.rollout import DecidingPolicy, simulate

_NAMES = ("position", "stock", "overage")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How to search.

    Attributes:
        horizon: Periods of the program.
        scenarios: Simulated paths of a trial; 0 where replays are enough.
        periods: Periods of a simulated path, the instance's horizon at most.
        replays: Starts of replays, absolute periods before the instance's start.
        replay_periods: Periods of a replay.
        refit: Periods after which demand is fitted anew in a replay, or 0 to fit once.
        first: Numbers of the first shape: position, stock and overage.
        lead_time: Of all shapes, see `Shape`; not searched.
        step: First step of the logarithm.
        smallest: Step below which the search begins anew from its best, with the first step.
    """

    horizon: int = 4
    scenarios: int = 2
    periods: int = 52
    replays: tuple[int, ...] = ()
    replay_periods: int = 52
    refit: int = 0
    first: tuple[float, ...] = (1.0, 1.0, 1.0)
    lead_time: float = 1.0
    step: float = 0.5
    smallest: float = 0.05

    def __post_init__(self) -> None:
        least = {"horizon": 1, "periods": 1, "replay_periods": 1, "scenarios": 0, "refit": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be at least {bound}")
        if not self.scenarios and not self.replays:
            raise TrainingError("give scenarios to simulate, or replays of history")
        if len(self.first) != len(_NAMES) or not all(x > 0 for x in self.first):
            raise TrainingError(f"first is {self.first}; give three positive numbers")
        if not 0 < self.smallest < self.step:
            raise TrainingError(f"step {self.step} must be above smallest {self.smallest} > 0")


@dataclass(frozen=True)
class _Trial:
    """What shapes are tried on."""

    instance: Instance
    demand: DemandModel
    paths: FloatArray
    warm_up: int
    refit: int = 0


class PositionSearch:
    """See the module's docstring.

    Args:
        subject: What to train on.
        settings: How.
        seed: Of simulated demand.
    """

    def __init__(self, subject: Subject, settings: SearchSettings, seed: int) -> None:
        self._subject, self._settings, self._seed = subject, settings, seed
        self._trials = [*_simulated(subject, settings, seed), *_replayed(subject, settings)]
        start = np.log(np.array(settings.first))
        self._compass = Compass(start, settings.step, settings.smallest)

    @property
    def shape(self) -> Shape:
        """The best shape so far."""
        return self._shape(self._compass.best)

    @property
    def best(self) -> float:
        """Its cost a period, on the paths that it was chosen on."""
        return self._compass.cost

    def trial(self) -> float:
        """Try one more shape.

        Returns:
            Its cost a period.
        """
        tried = self._compass.propose()
        cost = self._cost(self._shape(tried))
        self._compass.tell(tried, cost)
        return cost

    def _shape(self, logarithms: FloatArray) -> Shape:
        numbers = dict(zip(_NAMES, np.exp(logarithms).tolist(), strict=True))
        return Shape(**numbers, lead_time=self._settings.lead_time)

    def policy(self, instance: Instance, demand: DemandModel) -> CostToGo:
        """The program with the best shape so far."""
        return _policy(instance, demand, self._settings.horizon, self.shape)

    def _decides(self, trial: _Trial, shape: Shape) -> DecidingPolicy:
        horizon = self._settings.horizon
        if not trial.refit:
            return _policy(trial.instance, trial.demand, horizon, shape)
        return Refitted(
            trial.instance, lambda i, d: _policy(i, d, horizon, shape), every=trial.refit
        )

    def _cost(self, shape: Shape) -> float:
        """Mean cost a period over trials."""
        costs = []
        for trial in self._trials:
            policy = self._decides(trial, shape)
            run = simulate(
                trial.instance,
                policy,
                trial.paths,
                seed=self._seed,
                warm_up=trial.warm_up,
                dtype=torch.float64,
            )
            counted = trial.paths.shape[3] - trial.warm_up
            total = (
                run.total_cost
                if not self._subject.endless
                else run.period_cost[:, trial.warm_up :].sum(dim=1)
            )
            costs.append(float(total.mean()) / counted)
        return float(np.mean(costs))


def _policy(instance: Instance, demand: DemandModel, horizon: int, shape: Shape) -> CostToGo:
    return CostToGo(PositionEnding(instance, demand, horizon, shape), demand, horizon=horizon)


def _simulated(subject: Subject, settings: SearchSettings, seed: int) -> list[_Trial]:
    if not settings.scenarios:
        return []
    instance = subject.instance
    periods = settings.periods if subject.endless else min(settings.periods, instance.horizon)
    warm_up = min(subject.warm_up, 50) if subject.endless else 0
    generator = np.random.default_rng([seed, 5])
    paths = subject.demand.sample(settings.scenarios, instance.start, warm_up + periods, generator)
    return [_Trial(instance, subject.demand, paths, warm_up)]


def _replayed(subject: Subject, settings: SearchSettings) -> list[_Trial]:
    trials = []
    for start in settings.replays:
        instance = subject.instance
        stop = start + settings.replay_periods
        first = instance.demand.first_period
        if not first < start or stop > instance.start:
            raise TrainingError(
                f"a replay from period {start} to {stop - 1} does not lie between the first "
                f"observed period {first} and the start {instance.start}"
            )
        known = replace(instance, start=start, horizon=settings.replay_periods)
        paths = instance.demand.between(start, stop)[None]
        trials.append(_Trial(known, fit(known), paths, 0, settings.refit))
    return trials
