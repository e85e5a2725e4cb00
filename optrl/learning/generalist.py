"""One policy network for a family of systems, learned by pathwise gradients.

As `optrl.learning.pathwise`, but every round simulates other systems of the family, side by side. The
subject is what the network is validated on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from optrl.learning.base import LearnerSettings, TrainingError
from optrl.learning.pathwise import POLICY_FILE, Pathwise, PathwiseSettings
from optrl.learning.system_family import SinglePlaces, SystemFamily
from optrl.learning.training_instance import TrainingInstance
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import write_network

FAMILIES: tuple[SystemFamily, ...] = (SinglePlaces(),)
"""Families by the name in what they are trained for."""


@dataclass(frozen=True, kw_only=True)
class GeneralistSettings(PathwiseSettings):
    """How to learn.

    Attributes:
        family: Name of the family of systems.
        systems: Systems of a round.
    """

    updates: int = 7000
    checkpoint_every: int = 250
    validate_every: int = 500
    width: int = 128
    depth: int = 3
    rounds: int | None = 0
    paths: int = 24
    restart: int = 25
    spread: bool = True
    learning_rate: float = 3e-3
    family: str = "single places"
    systems: int = 88

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [str(family.about["family"]) for family in FAMILIES]
        if self.family not in known:
            raise TrainingError(f"family {self.family!r}: choose one of {', '.join(known)}")


class Generalist(Pathwise):
    """Learns one policy network for a family of systems."""

    name: ClassVar[str] = "generalist"
    settings_class: ClassVar[type[LearnerSettings]] = GeneralistSettings

    _settings: GeneralistSettings

    @property
    def _family(self) -> SystemFamily:
        wanted = self._settings.family
        return next(family for family in FAMILIES if family.about["family"] == wanted)

    def _inputs(self) -> InputSpace:
        return self._family.space

    def _draw(self) -> Sequence[TrainingInstance]:
        generator = np.random.default_rng([self._seed, self._round])
        return self._family.draw(self._settings.systems, generator)

    def save_policy(self, folder: Path) -> None:
        """Write the network as it is now."""
        about = {
            **self._family.about,
            "learner": self.name,
            "seed": self._seed,
            "settings": asdict(self._settings),
        }
        write_network(folder / POLICY_FILE, self.network, self._space, about)
