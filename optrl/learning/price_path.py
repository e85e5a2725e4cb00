"""Learns to forecast the prices of shared resources that re-solving every period would find.

An update first simulates `dual_guided` with its prices searched anew every period on fresh demand,
and keeps what was known about each resource with the price that was found (the teacher); then the
network takes some steps towards prices of the states kept so far. From the second half on every
other simulation follows the forecast itself and asks the teacher only for the prices, so that the
network is right where it leads. The policy that comes of it is `dual_guided` near forecast prices.

Source: Ross, Gordon & Bagnell (2011), A reduction of imitation learning and structured prediction
to no-regret online learning, AISTATS (learning where the learned policy goes).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from optrl.decomposition.allocation.recovery import allocate
from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.base import LearnerSettings, Subject, TrainingError, TrainingState
from optrl.learning.gradient_steps import GradientSteps
from optrl.learning.validation import Validation
from optrl.networks.price_network import PriceNetwork
from optrl.policies.dual_guided import DualGuided
from optrl.policies.learned_worth import FILE as WORTH_FILE
from optrl.policies.learned_worth import LearnedWorth
from optrl.policies.price_forecast import FEATURES, PriceForecast, features
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.simulation.state import Decision, State

_STREAM = 9_173


@dataclass(frozen=True, kw_only=True)
class PricePathSettings(LearnerSettings):
    """How to learn.

    Attributes:
        paths: Demand paths simulated in an update.
        periods: Periods of a path; the instance's horizon at most unless it is endless.
        steps: Steps of Adam in an update.
        batch: States of a step.
        learning_rate: Largest of the cycle.
        hidden: Units of the hidden layers.
        worth: Folder of the value of positions that `position_worth` learned; the rule's when None.
        validation_paths: Paths of a validation.
        validation_periods: Periods of a validation that count, where endless.
    """

    updates: int = 24
    checkpoint_every: int = 6
    validate_every: int = 24
    exploding: float | None = None
    paths: int = 2
    periods: int = 52
    steps: int = 200
    batch: int = 256
    learning_rate: float = 1e-2
    hidden: tuple[int, ...] = (32, 32)
    worth: str | None = None
    validation_paths: int = 4
    validation_periods: int = 52

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "paths", "periods", "steps", "batch")
        self._at_least(1, "validation_paths", "validation_periods")
        self._positive("learning_rate")
        if not self.hidden or not all(width > 0 for width in self.hidden):
            raise TrainingError(f"hidden is {self.hidden}; give positive numbers of units")


class PricePath:
    """See the module's docstring.

    Args:
        subject: What to train on.
        settings: How.
        seed: Of first weights, demand and batches.
    """

    name: ClassVar[str] = "price_path"
    settings_class: ClassVar[type[LearnerSettings]] = PricePathSettings

    learning_rate_factor: float

    def __init__(self, subject: Subject, settings: PricePathSettings, seed: int) -> None:
        if not subject.instance.network.resources:
            raise TrainingError(
                f"{subject.instance.name!r} has no shared resource, so that there is no price to "
                "forecast"
            )
        self._subject, self._settings, self._seed = subject, settings, seed
        self._worth = None if settings.worth is None else LearnedWorth.load(Path(settings.worth))
        # Refuses what does not fall apart by prices, before anything is learned.
        DualGuided(subject.instance, subject.demand, how="priced", worth=self._worth)
        self.learning_rate_factor = 1.0
        generator = torch.Generator().manual_seed(seed)
        self.network = PriceNetwork(len(FEATURES), settings.hidden, generator)
        self._steps = GradientSteps(self.network)
        periods = settings.periods
        if not subject.endless:
            periods = min(periods, subject.instance.horizon)
        self._periods = periods
        resources = len(subject.instance.network.resources)
        size = settings.updates * settings.paths * periods * resources
        self._known = torch.zeros(size, len(FEATURES))
        self._price = torch.zeros(size)
        self._done, self._kept = 0, 0

    @classmethod
    def begin(cls, subject: Subject, settings: PricePathSettings, seed: int) -> Self:
        """The learner before its first update."""
        return cls(subject, settings, seed)

    @property
    def total(self) -> int:
        """Updates in total."""
        return self._settings.updates

    def update(self) -> dict[str, float]:
        """Simulate some paths, then take some steps."""
        settings, instance = self._settings, self._subject.instance
        # Made from seed and number, so that no generator needs to be kept.
        generator = np.random.default_rng([self._seed, _STREAM, self._done])
        teacher = _Teacher(self._subject, self._leader() if self._leads() else None, self._worth)
        paths = self._subject.demand.sample(
            settings.paths, instance.start, self._periods, generator
        )
        simulate(instance, teacher, paths, seed=self._seed)
        known, price = teacher.found()
        place = slice(self._kept, self._kept + len(price))
        self._known[place], self._price[place] = known, price
        self._kept += len(price)
        loss, norm, rate = self._fit(generator)
        self._done += 1
        items, nodes = instance.on_hand.shape
        return {
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": rate,
            "scarce": float((price > 0).float().mean()),
            "work": float(settings.paths * self._periods * items * nodes),
        }

    def _leads(self) -> bool:
        """Whether the forecast decides in the simulation of this update."""
        return 2 * self._done >= self._settings.updates and self._done % 2 == 1

    def _leader(self) -> PriceForecast:
        return PriceForecast(self.network, self._subject.instance.periods_per_year)

    def _fit(self, generator: np.random.Generator) -> tuple[float, float, float]:
        settings = self._settings
        whole, total, norm, rate = settings.updates * settings.steps, 0.0, 0.0, 0.0
        for k in range(settings.steps):
            chosen = torch.from_numpy(generator.integers(0, self._kept, settings.batch))
            forecast = self.network(self._known[chosen])
            loss = functional.smooth_l1_loss(forecast, self._price[chosen], beta=0.1)
            rate = self._steps.cycle(self._done * settings.steps + k, whole, 0.2)
            rate *= settings.learning_rate * self.learning_rate_factor
            norm = self._steps.descend(loss, rate, 10.0)
            total += float(loss.detach())
        return total / settings.steps, norm, rate

    def validate(self) -> float:
        """Cost a period near forecast prices, on fixed paths."""
        settings, subject = self._settings, self._subject
        trial = Validation(subject, settings.validation_paths, settings.validation_periods)
        return trial.cost(self.policy(subject.instance, subject.demand))

    def policy(self, instance: Instance, demand: DemandModel) -> DualGuided:
        """The policy near prices that the network as it is now forecasts."""
        return DualGuided(
            instance, demand, how="forecast", forecast=self._leader(), worth=self._worth
        )

    def state(self) -> TrainingState:
        """The state now."""
        data = {"known": self._known, "price": self._price}
        return TrainingState(self._steps.tensors() | data, {"done": self._done, "kept": self._kept})

    def restore(self, state: TrainingState) -> None:
        """Go to a state."""
        self._steps.restore(state.tensors)
        self._known.copy_(state.tensors["known"])
        self._price.copy_(state.tensors["price"])
        numbers: Any = state.numbers
        self._done, self._kept = int(numbers["done"]), int(numbers["kept"])

    def save_policy(self, folder: Path) -> None:
        """Write the network as it is now."""
        self._leader().save(folder)
        if self._worth is not None:
            self._worth.save(folder)

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> DecidingPolicy:
        """The policy near prices that the network of a folder forecasts.

        Raises:
            optrl.errors.OptrlError: If the folder holds none, or the instance does not fall apart
                by prices.
        """
        worth = LearnedWorth.load(folder) if (folder / WORTH_FILE).is_file() else None
        forecast = PriceForecast.load(folder)
        return DualGuided(instance, demand, how="forecast", forecast=forecast, worth=worth)


class _Teacher:
    """Decides, by re-solving or by a forecast, and keeps states with the prices of re-solving."""

    name = "teacher"

    def __init__(
        self, subject: Subject, leader: PriceForecast | None, worth: LearnedWorth | None
    ) -> None:
        instance, demand = subject.instance, subject.demand
        self._solver = DualGuided(instance, demand, how="priced", worth=worth, time_limit=None)
        self._leader = None
        if leader is not None:
            self._leader = DualGuided(
                instance, demand, how="forecast", forecast=leader, worth=worth
            )
        self._known: list[np.ndarray] = []
        self._price: list[np.ndarray] = []

    def decide(self, state: State, period: int) -> Decision:
        """Keep what is known and the prices; see the class."""
        solver = self._solver
        lasting = solver.lasting(period)
        year = solver.instance.periods_per_year
        decision = solver.decide(state, period) if self._leader is None else None
        for s, problem in enumerate(solver.problems(state, period)):
            if decision is not None:
                prices = solver.repairs[s].prices
            else:
                prices = allocate(problem, solver.warm(s), time_limit=None).repair.prices
            self._known.append(features(problem, lasting, period, year))
            self._price.append(prices / problem.terms.typical_prices)
        if decision is None and self._leader is not None:
            decision = self._leader.decide(state, period)
        assert decision is not None
        return decision

    def found(self) -> tuple[Tensor, Tensor]:
        """Features (rows, features) and relative prices (rows,)."""
        known = torch.from_numpy(np.concatenate(self._known)).float()
        return known, torch.from_numpy(np.concatenate(self._price)).float()
