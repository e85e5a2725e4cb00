"""One policy network for a family of systems, learned by pathwise gradients.

As `optrl.learning.pathwise`, but every round simulates other systems of the family, side by side.
What is validated are other systems still, the same each time; the subject only says that a run has
no end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from optrl.learning.base import LearnerSettings, Subject, TrainingError
from optrl.learning.dual_sourcing_family import DualSourcingSystems
from optrl.learning.one_warehouse_family import OneWarehouseSystems
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.system_family import SinglePlaces, SystemFamily
from optrl.learning.training_instance import TrainingInstance
from optrl.policies.neural_conditions import InputSpace
from optrl.simulation.rollout import simulate

FAMILIES: tuple[SystemFamily, ...] = (
    SinglePlaces(),
    DualSourcingSystems(),
    OneWarehouseSystems(),
)
"""Families by the name in what they are trained for."""

_VALIDATION = 1_000_003
"""Seed of the systems and of the demand of validations."""


@dataclass(frozen=True, kw_only=True)
class GeneralistSettings(PathwiseSettings):
    """How to learn.

    Attributes:
        family: Name of the family of systems.
        systems: Systems of a round.
        later_groups_every: Updates between those that simulate the family's smaller groups.
    """

    updates: int = 5000
    checkpoint_every: int = 250
    validate_every: int = 500
    width: int = 64
    depth: int = 3
    rounds: int | None = 0
    paths: int = 24
    restart: int = 25
    spread: bool = True
    learning_rate: float = 3e-3
    family: str = "single places"
    systems: int = 88
    later_groups_every: int = 3
    validation_paths: int = 32
    validation_periods: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "systems", "later_groups_every")
        known = [str(family.about["family"]) for family in FAMILIES]
        if self.family not in known:
            raise TrainingError(f"family {self.family!r}: choose one of {', '.join(known)}")


class Generalist(Pathwise):
    """Learns one policy network for a family of systems."""

    name: ClassVar[str] = "generalist"
    settings_class: ClassVar[type[LearnerSettings]] = GeneralistSettings
    for_a_family: ClassVar[bool] = True
    """What is learned is not for the subject of the training alone."""

    _settings: GeneralistSettings

    @classmethod
    def begin(cls, subject: Subject, settings: GeneralistSettings, seed: int) -> Self:  # type: ignore[override]  # settings are the class's own
        """The learner before its first update.

        Raises:
            TrainingError: If the subject has an end: systems of a family have none.
        """
        if not subject.endless:
            raise TrainingError("a family of systems has no end: give a test bed as the subject")
        return cls(subject, settings, seed)

    @property
    def _family(self) -> SystemFamily:
        wanted = self._settings.family
        return next(family for family in FAMILIES if family.about["family"] == wanted)

    def _inputs(self) -> InputSpace:
        return self._family.space

    def _takes_part(self, group: int) -> bool:
        # Groups after the first are small and cost as many calls as the first.
        return group == 0 or self._done % self._settings.later_groups_every == 0

    def _draw(self) -> Sequence[TrainingInstance]:
        generator = np.random.default_rng([self._seed, self._round])
        return self._family.draw(self._settings.systems, generator)

    def validate(self) -> float:
        """Mean cost a period over fixed systems of the family, each over its scale."""
        settings, warm_up = self._settings, 50
        drawn = self._family.draw(settings.systems, np.random.default_rng(_VALIDATION))
        cost, systems = 0.0, 0
        for each in drawn:
            demand = each.demand.sample(
                settings.validation_paths,
                each.instance.start,
                warm_up + settings.validation_periods,
                np.random.default_rng(_VALIDATION),
            )
            policy = self.policy(each.original, each.demand)
            run = simulate(each.instance, policy, demand, seed=_VALIDATION, warm_up=warm_up)
            cost += float(run.period_cost[:, warm_up:].mean())
            systems += each.systems
        return cost / systems

    def _about(self) -> dict[str, Any]:
        return {**self._family.about, **super()._about()}
