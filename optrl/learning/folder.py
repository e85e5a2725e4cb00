"""The folder of a training, which says what it is, and the policy in it.

    training.json                   learner, seed, settings, what is trained on, versions
    checkpoint-00000100.safetensors the last two checkpoints
    metrics.jsonl                   a line an update
    policy/                         the policy validated best so far, as its learner writes it

Nothing in it is pickled: reading it runs no code of its own. What it says is checked all the same,
since a folder may come from anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.identity import IdentityError, code_version, hash_of, instance_hash, library_versions
from optrl.instance import Instance
from optrl.learning import find, names
from optrl.learning.base import LearnerSettings, Subject, TrainingError
from optrl.learning.settings import settings_as_json
from optrl.planning.json_text import json_text
from optrl.simulation.rollout import DecidingPolicy
from optrl.tables.atomic import write_file

JOB = "training.json"
POLICY = "policy"
_KIND = "optrl training"
_LARGEST = 1 << 20
"""Bytes of a job that is read, at most."""


@dataclass(frozen=True)
class Job:
    """What one training is; a resumed one must be the same.

    Attributes:
        learner: Name of the learner.
        seed: Of everything random.
        settings: Of the learner, as JSON.
        subject: Name and hashes of what is trained on.
    """

    learner: str
    seed: int
    settings: Mapping[str, Any]
    subject: Mapping[str, Any]

    @classmethod
    def of(cls, learner: str, subject: Subject, settings: LearnerSettings, seed: int) -> Job:
        """The job of a call."""
        about = {
            "instance": subject.instance.name,
            "instance_hash": instance_hash(subject.instance),
            "demand_hash": _demand_hash(subject.demand),
            "endless": subject.endless,
            "warm_up": subject.warm_up,
        }
        return cls(learner, seed, settings_as_json(settings), about)

    def differences(self, other: Job) -> list[str]:
        """What is not the same, by name."""
        found = [
            name for name in ("learner", "seed") if getattr(self, name) != getattr(other, name)
        ]
        if "learner" not in found:
            keys = self.settings.keys() | other.settings.keys()
            found += sorted(k for k in keys if self.settings.get(k) != other.settings.get(k))
        one, two = dict(self.subject), dict(other.subject)
        return found + ["instance or demand"] * (one != two)


def _demand_hash(demand: DemandModel) -> str | None:
    try:
        return hash_of(demand)
    except IdentityError:
        return None  # a model of the user's own, of which no hash can be taken


def write_job(folder: Path, job: Job) -> None:
    """Begin the folder of a training.

    Raises:
        OptrlError: If it cannot be written.
    """
    document = {"kind": _KIND, **vars(job), "versions": versions()}
    with write_file(folder / JOB) as path:
        path.write_text(json_text(document, indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """What computes here: optrl with a hash of its source, Python, and libraries."""
    return {"optrl": code_version(), **library_versions()}


def read_job(folder: Path) -> tuple[Job, dict[str, str]]:
    """The job of a folder, and the versions it was begun with.

    Raises:
        TrainingError: If the folder holds no training, or one that cannot be read.
    """
    path = folder / JOB
    try:
        if path.stat().st_size > _LARGEST:
            raise TrainingError(f"{path} is no description of a training: it is too large")
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(
            f"{folder} holds no training: {path.name} cannot be read ({error.strerror or error})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is damaged: {error}") from error
    kinds = {"learner": str, "seed": int, "settings": dict, "subject": dict, "versions": dict}
    if (
        not isinstance(found, dict)
        or found.get("kind") != _KIND
        or any(not isinstance(found.get(name), kind) for name, kind in kinds.items())
    ):
        raise TrainingError(f"{path} is no description of a training")
    job = Job(found["learner"], found["seed"], found["settings"], found["subject"])
    return job, {str(k): str(v) for k, v in found["versions"].items()}


def load_policy(folder: Path | str, instance: Instance, demand: DemandModel) -> DecidingPolicy:
    """The policy that was trained into a folder, the one validated best so far if unfinished.

    Args:
        folder: Folder of the training.
        instance: What the policy is to decide about.
        demand: What is believed about its demand.

    Raises:
        OptrlError: If the folder holds none, one of a learner that is not known or not installed,
            or one that does not fit the instance.
    """
    place = Path(folder)
    job, _ = read_job(place)
    if job.learner not in names():
        raise TrainingError(
            f"{place} is of learner {job.learner!r:.50}; there is {', '.join(names())}"
        )
    if not (place / POLICY).is_dir():
        raise TrainingError(f"{place} holds no policy yet: resume the training")
    return find(job.learner).load_policy(place / POLICY, instance, demand)


def stranger(folder: Path | str, instance: Instance, demand: DemandModel) -> str | None:
    """What a policy of a folder was trained on, where that is not what it is to decide about.

    A policy may be of use elsewhere: this is to be told, and is no error.

    Args:
        folder: Folder of the training.
        instance: What the policy is to decide about.
        demand: What is believed about its demand.

    Returns:
        The difference in words, such as ``instance 'a', not on 'b'``; None where instance and
        demand are those of the training, or where the learner trains for a family of systems.

    Raises:
        TrainingError: If the folder holds no training.
    """
    job, _ = read_job(Path(folder))
    if job.learner in names() and getattr(find(job.learner), "for_a_family", False):
        return None
    name = job.subject.get("instance")
    if job.subject.get("instance_hash") != instance_hash(instance):
        if name == instance.name:
            return f"another instance of the name {name!r}: its data were other than now"
        return f"instance {name!r:.80}, not on {instance.name!r}"
    before, now = job.subject.get("demand_hash"), _demand_hash(demand)
    if before is not None and now is not None and before != now:
        return f"instance {name!r} with another model of demand"
    return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a second process from training into the same folder.

    Raises:
        TrainingError: If another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise OptrlError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        with suppress(ImportError):  # systems without such locks
            import fcntl

            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TrainingError(
                    f"another process trains into {folder}: wait for it, or end it"
                ) from error
        yield
    finally:
        os.close(descriptor)
