"""Training that can be left alone: resumed after a kill, rolled back where it diverges, told about.

The loop carries out updates, validates, keeps the policy validated best, and writes checkpoints at
multiples of `LearnerSettings.checkpoint_every`. Nothing that happens depends on time, so that a
training killed at any moment and resumed ends with the same policy as one that was not. Where it
diverges it goes back to the last checkpoint and on from there at half the learning rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.instance import Instance
from optrl.learning import find
from optrl.learning.base import Learner, LearnerSettings, Subject, TrainingError
from optrl.learning.folder import JOB, POLICY, Job, held, read_job, versions, write_job
from optrl.learning.loop import Loop, Progress
from optrl.learning.metrics import Sink
from optrl.simulation.rollout import DecidingPolicy


class Bed(Protocol):
    """A test bed, as far as training goes."""

    @property
    def instance(self) -> Instance:
        """The instance."""
        ...

    @property
    def demand(self) -> DemandModel:
        """Its true demand."""
        ...

    @property
    def warm_up(self) -> int:
        """First periods that do not count."""
        ...


@dataclass(frozen=True)
class Trainee:
    """What a training came to.

    Attributes:
        folder: Its folder.
        learner: Name of the learner.
        policy: The policy validated best; None where it stopped before the first validation.
        updates: Updates done.
        finished: Whether all are done; else resume to go on.
        validation_cost: Cost a period of the policy on the random numbers of validation, on which
            it was chosen: compare it on others. Infinite where there is none.
        goodput: Time of the updates and validations that count, as a share of all time spent:
            what was lost to checkpoints, kills, rollbacks and loading is the rest.
        rollbacks: How often it diverged.
    """

    folder: Path
    learner: str
    policy: DecidingPolicy | None
    updates: int
    finished: bool
    validation_cost: float
    goodput: float
    rollbacks: int


def train(
    subject: Subject | Instance | Bed,
    learner: str | type[Learner],
    out: Path | str,
    *,
    settings: LearnerSettings | None = None,
    seed: int = 0,
    resume: bool = False,
    time_limit: float | None = None,
    told: Callable[[Progress], None] = lambda _: None,
    sinks: Sequence[Sink] = (),
) -> Trainee:
    """Train a policy into a folder.

    Args:
        subject: What to train on: an instance, whose demand is then fitted to its history; a test
            bed; or a `Subject`.
        learner: Name of a learner (`optrl.learning.names`), or a class of your own.
        out: The folder; see `optrl.learning.folder` for what it holds.
        settings: Of the learner's class; its defaults when None.
        seed: Of everything random.
        resume: Whether to go on from the folder's last checkpoint; where there is none, training
            starts.
        time_limit: Seconds after which to stop at the next checkpoint.
        told: Called after each update, and for each message.
        sinks: What to send metrics to besides the folder; one that fails is left out from then on.

    Raises:
        TrainingError: If the folder holds a training and `resume` is false, or one of something
            else; if another process trains into it; or if training diverges time and again.
        OptrlError: If the learner does not apply to the subject, or a file cannot be written; the
            last checkpoint then stands.
    """
    begun = time.perf_counter()
    kind: Any = find(learner) if isinstance(learner, str) else learner
    chosen = kind.settings_class() if settings is None else settings
    if not isinstance(chosen, kind.settings_class):
        raise TrainingError(
            f"settings of learner {kind.name!r} are {kind.settings_class.__name__}, not "
            f"{type(chosen).__name__}"
        )
    what, folder = subject_of(subject), Path(out)
    job = Job.of(kind.name, what, chosen, seed)
    _refuse(folder, job, resume)
    trained: Learner = kind.begin(what, chosen, seed)
    with held(folder):
        _refuse(folder, job, resume)
        loop = Loop(trained, chosen, folder, begun, told, sinks)
        if (folder / JOB).exists():
            _tell_versions(folder, loop)
        else:
            write_job(folder, job)
        loop.run(time_limit)
    policy = None
    if (folder / POLICY).is_dir():
        policy = kind.load_policy(folder / POLICY, what.instance, what.demand)
    return Trainee(
        folder,
        kind.name,
        policy,
        loop.update,
        loop.update >= trained.total,
        loop.best,
        loop.goodput,
        loop.rollbacks,
    )


def subject_of(given: Subject | Instance | Bed) -> Subject:
    """What is trained on: an instance with demand fitted to its history, or a test bed's."""
    if isinstance(given, Subject):
        return given
    if isinstance(given, Instance):
        return Subject(given, fit(given))
    return Subject(given.instance, given.demand, endless=True, warm_up=given.warm_up)


def _refuse(folder: Path, job: Job, resume: bool) -> None:
    if not (folder / JOB).exists():
        if folder.is_dir() and any(folder.glob("checkpoint-*.safetensors")):
            raise TrainingError(
                f"{folder} holds checkpoints but no {JOB}: choose another folder to train anew"
            )
        return
    if not resume:
        raise TrainingError(
            f"{folder} holds a training already: resume it or choose another folder"
        )
    different = job.differences(read_job(folder)[0])
    if different:
        raise TrainingError(
            f"{folder} holds a training of other {', '.join(different)}: a resumed training keeps "
            "them; choose another folder to change them"
        )


def _tell_versions(folder: Path, loop: Loop) -> None:
    _, before = read_job(folder)
    changed = [
        f"{name} {version} instead of {before.get(name, 'none')}"
        for name, version in versions().items()
        if before.get(name) != version
    ]
    if changed:
        loop.say(f"resumed with {', '.join(changed)}: results may differ")
