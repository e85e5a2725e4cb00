"""What a learner must offer; one file per learner, found by walking this package.

A learner is a state and one way to move it on: `Learner.update`. Everything that makes a training
safe to leave alone (checkpoints, resuming, divergence, metrics, progress) is the loop's,
`optrl.learning.training.train`, and the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
"""What a JSON document holds; numbers are finite."""


class TrainingError(OptrlError):
    """A training cannot start or go on, or a folder does not hold one that fits."""


@dataclass(frozen=True)
class Subject:
    """What is trained on.

    A learner of one network for many systems draws these from its settings; the subject then is
    what it is validated on.

    Attributes:
        instance: The instance.
        demand: Its demand: the true one of a test bed, else the one fitted to history.
        endless: Whether the instance stands for a run without end, as test beds do, so that the
            learner chooses how many periods to simulate; else the horizon ends where it ends.
        warm_up: First periods that do not count where endless.
    """

    instance: Instance
    demand: DemandModel
    endless: bool = False
    warm_up: int = 0


@dataclass(frozen=True)
class TrainingState:
    """All that a learner is, besides its subject, settings and seed.

    Two states of one learner have the same keys, shapes and kinds of tensors, and the same keys of
    numbers, from the first update to the last: a checkpoint is refused where they differ.

    Attributes:
        tensors: Parameters, optimizer state, torch generators, carried simulator state.
        numbers: Everything else, such as counters and numpy generators.
    """

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, JSON]


@dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """What every learner can be told; a learner's own settings derive from it.

    A derived class is a frozen dataclass of numbers, truth values, texts, None, tuples of them and
    further dataclasses of such, all with defaults, and checks them in `__post_init__` (call this
    one's first). It is made from texts (``--set name=value``) and from JSON by its annotations;
    see `optrl.learning.settings`.

    Attributes:
        updates: Updates in total.
        checkpoint_every: Updates between checkpoints. A training that diverges goes back to the
            last one, so that it is a part of what the result depends on.
        validate_every: Updates between validations; the policy validated best is kept.
        exploding: How many times the median of the losses before a loss must be, three updates in
            a row, to count as diverged; None where losses may jump. A loss that is no number always
            counts.
    """

    updates: int = 1000
    checkpoint_every: int = 100
    validate_every: int = 100
    exploding: float | None = 100.0

    def __post_init__(self) -> None:
        self._at_least(1, "updates", "checkpoint_every", "validate_every")
        if self.exploding is not None and not self.exploding > 1:
            raise TrainingError(f"exploding is {self.exploding}; it must be above 1, or none")

    def _at_least(self, bound: int, *names: str) -> None:
        """Refuse settings below a bound; those that are None are the learner's to choose."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not value >= bound:
                raise TrainingError(f"{name} is {value}; it must be at least {bound}")

    def _positive(self, *names: str) -> None:
        """Refuse settings that are not above 0."""
        for name in names:
            if not getattr(self, name) > 0:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be positive")


@runtime_checkable
class Learner(Protocol):
    """A way to train a policy, one atomic unit of work after the other.

    Determined by subject, settings and seed: whatever is random comes from generators that the
    learner owns and that are in its state. Restoring a state into a learner begun from the same
    three and going on gives the same as going on without.
    """

    name: ClassVar[str]
    """Name on the command line, in lower case with underscores; written in the class body as
    ``name: ClassVar[str] = "..."``, since files are read without being imported."""

    settings_class: ClassVar[type[LearnerSettings]]
    """What `begin` takes as settings, with defaults for every field."""

    learning_rate_factor: float
    """What `update` multiplies its learning rate by; 1 at first. The loop sets it after a
    divergence and keeps it: it is no part of `state`."""

    @classmethod
    def begin(cls, subject: Subject, settings: Any, seed: int) -> Self:
        """The learner before its first update.

        Args:
            subject: What to train on.
            settings: Of class `settings_class`.
            seed: Of everything random.

        Raises:
            optrl.errors.OptrlError: If the learner does not apply to the subject.
        """
        ...

    @property
    def total(self) -> int:
        """Updates in total."""
        ...

    def update(self) -> dict[str, float]:
        """Carry out the next update.

        Returns:
            Metrics by name: ``loss`` (watched for divergence), ``gradient_norm`` where there is
            one, ``work``, the item-node-periods simulated, and what else is worth a look.
        """
        ...

    def validate(self) -> float:
        """Cost a period on fixed common random numbers, of the policy that `save_policy` writes.

        Called after multiples of `LearnerSettings.validate_every` updates and after the last.
        Leaves the state as it is: no generator of the training is used.
        """
        ...

    def state(self) -> TrainingState:
        """The state now; may share memory with the learner."""
        ...

    def restore(self, state: TrainingState) -> None:
        """Go to a state that `state` gave; its keys, shapes and kinds are checked before."""
        ...

    def save_policy(self, folder: Path) -> None:
        """Write the policy as it is now into an empty folder, without pickle.

        See `optrl.networks.tensor_file`.
        """
        ...

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> DecidingPolicy:
        """The policy of a folder that `save_policy` wrote, which nobody vouches for.

        Raises:
            optrl.errors.OptrlError: If the folder holds no such policy, or one that does not fit
                the instance.
        """
        ...
