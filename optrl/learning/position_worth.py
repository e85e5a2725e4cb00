"""Learns the cost-to-go of dual-guided decisions: what positions are worth, by kind of item.

Few numbers serve all items (`optrl.policies.learned_worth`), so that they are searched directly:
each update lets `dual_guided` decide with other numbers on the same paths of demand, all limits
kept, and stays with them where that costs less. The share of the price of lasting scarcity is one
of the numbers: where a toll costs more than it brings on these paths, it is not charged. Learning
sees the capacity, which learning item by item does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.base import LearnerSettings, Subject, TrainingError, TrainingState
from optrl.learning.compass import Compass
from optrl.learning.validation import Validation
from optrl.policies.dual_guided import DualGuided
from optrl.policies.learned_worth import LearnedWorth
from optrl.policies.sourcing import NOWHERE
from optrl.simulation.rollout import DecidingPolicy, simulate

_STREAM = 6_007


@dataclass(frozen=True, kw_only=True)
class PositionWorthSettings(LearnerSettings):
    """How to search.

    Attributes:
        paths: Demand paths that every trial meets.
        periods: Periods of a path that count, where endless; else the horizon is simulated.
        step: First step of the numbers.
        smallest: Step below which the search begins anew from its best, with the first step.
        validation_paths: Paths of a validation.
        validation_periods: Periods of a validation that count, where endless.
    """

    updates: int = 120
    checkpoint_every: int = 30
    validate_every: int = 120
    exploding: float | None = None
    paths: int = 8
    periods: int = 52
    step: float = 0.4
    smallest: float = 0.05
    validation_paths: int = 4
    validation_periods: int = 52

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "paths", "periods", "validation_paths", "validation_periods")
        if not 0 < self.smallest < self.step:
            raise TrainingError(f"step {self.step} must be above smallest {self.smallest} > 0")


class PositionWorth:
    """See the module's docstring.

    Args:
        subject: What to train on.
        settings: How.
        seed: Of demand.

    Raises:
        optrl.errors.OptrlError: If the instance does not fall apart by prices.
    """

    name: ClassVar[str] = "position_worth"
    settings_class: ClassVar[type[LearnerSettings]] = PositionWorthSettings

    learning_rate_factor: float

    def __init__(self, subject: Subject, settings: PositionWorthSettings, seed: int) -> None:
        self._subject, self._settings, self._seed = subject, settings, seed
        self.learning_rate_factor = 1.0
        instance, first = subject.instance, LearnedWorth()
        parent = self._policy(instance, subject.demand, first).stage.sourcing.parent
        feeding, tolls = bool((parent != NOWHERE).any()), len(instance.network.resources) > 0
        self._searched = np.flatnonzero(first.matter(feeding, tolls))
        least = np.where(np.array(first.names()) == "toll_share", 0.0, -np.inf)
        self._compass = Compass(
            first.vector()[self._searched], settings.step, settings.smallest, least[self._searched]
        )
        self._done = 0
        self._warm_up = subject.warm_up if subject.endless else 0
        periods = self._warm_up + settings.periods if subject.endless else instance.horizon
        self._paths = subject.demand.sample(
            settings.paths, instance.start, periods, np.random.default_rng([seed, _STREAM])
        )

    @classmethod
    def begin(cls, subject: Subject, settings: PositionWorthSettings, seed: int) -> Self:
        """The learner before its first update."""
        return cls(subject, settings, seed)

    @property
    def total(self) -> int:
        """Updates in total."""
        return self._settings.updates

    @property
    def worth(self) -> LearnedWorth:
        """The best numbers so far."""
        return self._worth(self._compass.best)

    def _worth(self, searched: FloatArray) -> LearnedWorth:
        """The rule with other values of the numbers that are searched."""
        vector = LearnedWorth().vector()
        vector[self._searched] = searched
        return LearnedWorth.of(vector)

    def update(self) -> dict[str, float]:
        """Try other numbers."""
        subject, paths = self._subject, self._paths
        tried = self._compass.propose(self.learning_rate_factor)
        policy = self._policy(subject.instance, subject.demand, self._worth(tried))
        run = simulate(subject.instance, policy, paths, seed=self._seed, warm_up=self._warm_up)
        if subject.endless:
            cost = float(run.period_cost[:, self._warm_up :].mean())
        else:
            cost = float(run.total_cost.mean()) / subject.instance.horizon
        self._compass.tell(tried, cost)
        self._done += 1
        items = len(subject.instance.network.items)
        nodes = len(policy.stage.sourcing.stocking)
        return {
            "loss": self._compass.cost,
            "tried": cost,
            "work": float(paths.shape[0] * paths.shape[3] * items * nodes),
        }

    def validate(self) -> float:
        """Cost a period with the best numbers so far, on fixed paths."""
        settings, subject = self._settings, self._subject
        trial = Validation(subject, settings.validation_paths, settings.validation_periods)
        return trial.cost(self._policy(subject.instance, subject.demand, self.worth))

    def state(self) -> TrainingState:
        """The state now."""
        return TrainingState(
            self._compass.tensors(), {**self._compass.numbers(), "done": self._done}
        )

    def restore(self, state: TrainingState) -> None:
        """Go to a state."""
        numbers: Any = state.numbers
        self._compass.restore(state.tensors, numbers)
        self._done = int(numbers["done"])

    def save_policy(self, folder: Path) -> None:
        """Write the best numbers so far."""
        self.worth.save(folder)

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> DecidingPolicy:
        """The policy with the numbers of a folder, its prices searched.

        Raises:
            optrl.errors.OptrlError: If the folder holds none, or the instance does not fall apart
                by prices.
        """
        return cls._policy(instance, demand, LearnedWorth.load(folder))

    @staticmethod
    def _policy(instance: Instance, demand: DemandModel, worth: LearnedWorth) -> DualGuided:
        return DualGuided(instance, demand, how="priced", worth=worth)
