"""The loop of a training: updates, validations, checkpoints, rollbacks, metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from optrl.learning.base import Learner, LearnerSettings, TrainingError
from optrl.learning.checkpoint import Checkpoint, holds_nan, read_checkpoint, write_checkpoint
from optrl.learning.divergence import LossWatch
from optrl.learning.folder import POLICY
from optrl.learning.metrics import MetricsFile, Sink, last_seconds
from optrl.simulation.errors import SimulationError
from optrl.tables.atomic import write_folder

ROLLBACKS = 8
"""Rollbacks after which a training is given up; the learning rate then is 1/256 of the first."""


class DivergedError(TrainingError):
    """A training diverges however small its learning rate."""


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        update: Updates done.
        total: Updates in total.
        metrics: Of the last update, with ``validation_cost`` where it was validated, ``throughput``
            (work a second of the update), ``goodput`` and ``seconds`` (of all runs so far).
        best: Lowest validated cost so far.
        message: What happened besides, or "".
    """

    update: int
    total: int
    metrics: Mapping[str, float]
    best: float
    message: str = ""


@dataclass(frozen=True)
class _Books:
    """What the loop keeps in a checkpoint."""

    best: float | None = None
    losses: tuple[float, ...] = ()
    rollbacks: Annotated[int, Field(ge=0, le=ROLLBACKS)] = 0
    useful: Annotated[float, Field(ge=0)] = 0.0
    elapsed: Annotated[float, Field(ge=0)] = 0.0
    metrics_size: Annotated[int, Field(ge=0)] = 0


class Loop:
    """One run of a training, from its last checkpoint on.

    Args:
        learner: Before its first update.
        settings: Of the learner.
        folder: Of the training; held by this process.
        begun: When the run began, by `time.perf_counter`.
        told: Called after each update, and for each message.
        sinks: What to send metrics to.
    """

    def __init__(
        self,
        learner: Learner,
        settings: LearnerSettings,
        folder: Path,
        begun: float,
        told: Callable[[Progress], None],
        sinks: Sequence[Sink],
    ) -> None:
        self.learner, self.settings, self.folder = learner, settings, folder
        self.update = 0
        self._told, self._sinks = told, list(sinks)
        self._books = _Books()
        self._watch = LossWatch(settings.exploding)
        self._begun = begun
        self._line: dict[str, Any] = {}

    @property
    def best(self) -> float:
        """Lowest validated cost so far."""
        return math.inf if self._books.best is None else self._books.best

    @property
    def rollbacks(self) -> int:
        """How often the training diverged."""
        return self._books.rollbacks

    @property
    def seconds(self) -> float:
        """Time of all runs so far."""
        return self._books.elapsed + time.perf_counter() - self._begun

    @property
    def goodput(self) -> float:
        """Share of that time which went into updates and validations that count."""
        return self._books.useful / max(self.seconds, 1e-9)

    def say(self, message: str) -> None:
        """Tell what happened."""
        self._told(Progress(self.update, self.learner.total, dict(self._line), self.best, message))

    def run(self, time_limit: float | None) -> None:
        """Go on to the end, or to the first checkpoint after so many seconds.

        Raises:
            DivergedError: If it diverges more often than `ROLLBACKS` times.
            OptrlError: If a file cannot be written; the last checkpoint stands.
        """
        self._start()
        metrics = MetricsFile(self.folder, self._books.metrics_size)
        try:
            self._each_sink(lambda sink: sink.begin(self.update))
            while self.update < self.learner.total:
                problem = self._update()
                if problem is not None:
                    self._roll_back(problem, metrics)
                    continue
                metrics.take(self._line)
                self._each_sink(lambda sink: sink.take(self._line))
                if self._due(self.settings.checkpoint_every):
                    self._keep(metrics)
                    if time_limit is not None and time.perf_counter() - self._begun >= time_limit:
                        break
                self.say("")
        finally:
            metrics.close()
            self._each_sink(lambda sink: sink.close())

    def _due(self, every: int) -> bool:
        return self.update % every == 0 or self.update == self.learner.total

    def _start(self) -> None:
        found = read_checkpoint(self.folder, self.learner.state(), self.say)
        # Lines after the checkpoint are dropped; the time they took was spent all the same.
        seconds = last_seconds(self.folder)
        if found is None:
            self._write()
        else:
            self._restore(found)
            self.say(f"resumed at update {self.update:,} of {self.learner.total:,}")
        self._books = replace(self._books, elapsed=max(seconds, self._books.elapsed))

    def _update(self) -> str | None:
        """Carry out an update, with its validation where one is due; the problem if it diverged."""
        begun = time.perf_counter()
        try:
            metrics = self.learner.update()
        except SimulationError as error:
            return str(error)
        updated = time.perf_counter()
        self.update += 1
        problem = self._watch.see(metrics)
        if problem is None and self._due(self.settings.checkpoint_every):
            problem = "a parameter is no number" if holds_nan(self.learner.state()) else None
        if problem is not None:
            return problem
        validated, cost = time.perf_counter(), None
        if self._due(self.settings.validate_every):
            try:
                cost = self.learner.validate()
            except SimulationError as error:
                return str(error)
            if not math.isfinite(cost):
                return f"the validated cost is {cost}"
        useful = updated - begun + time.perf_counter() - validated
        self._books = replace(self._books, useful=self._books.useful + useful)
        if cost is not None and cost < self.best:
            self._books = replace(self._books, best=cost)
            with write_folder(self.folder / POLICY) as folder:
                self.learner.save_policy(folder)
        self._line = {
            "update": self.update,
            **metrics,
            **({} if cost is None else {"validation_cost": cost}),
            "throughput": metrics.get("work", 0.0) / max(updated - begun, 1e-9),
            "goodput": self.goodput,
            "seconds": self.seconds,
        }
        return None

    def _keep(self, metrics: MetricsFile) -> None:
        if self._watch.calm or self.update == self.learner.total:
            losses = tuple(self._watch.as_json())
            self._books = replace(self._books, losses=losses, metrics_size=metrics.flush())
            self._write()

    def _write(self) -> None:
        books = replace(self._books, elapsed=self.seconds)
        write_checkpoint(self.folder, Checkpoint(self.update, self.learner.state(), asdict(books)))

    def _roll_back(self, problem: str, metrics: MetricsFile) -> None:
        at, best, rollbacks = self.update, self._books.best, self._books.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise DivergedError(
                f"the training diverges at update {at} ({problem}) after {ROLLBACKS} rollbacks, "
                f"with 1/{2**ROLLBACKS} of its learning rate. {self.folder} keeps the last "
                "checkpoint and the policy validated best. Train anew with a lower learning rate "
                "or other settings"
            )
        found = read_checkpoint(self.folder, self.learner.state(), self.say)
        if found is None:
            raise TrainingError(f"the checkpoints of {self.folder} are gone: train anew")
        elapsed = self._books.elapsed
        self._restore(found)
        self._books = replace(self._books, best=best, rollbacks=rollbacks, elapsed=elapsed)
        self.learner.learning_rate_factor = 0.5**rollbacks
        event = {
            "update": self.update,
            "event": "rolled back",
            "from": at,
            "reason": problem,
            "learning_rate_factor": self.learner.learning_rate_factor,
            "seconds": self.seconds,
        }
        metrics.take(event)
        self._each_sink(lambda sink: sink.begin(self.update))
        self._each_sink(lambda sink: sink.take(event))
        self._books = replace(self._books, metrics_size=metrics.flush())
        self._write()
        self.say(
            f"diverged at update {at:,} ({problem}): back at update {self.update:,} with "
            f"{self.learner.learning_rate_factor:g} of the learning rate"
        )

    def _restore(self, found: Checkpoint) -> None:
        try:
            books = TypeAdapter(_Books).validate_python(dict(found.loop))
            self.learner.restore(found.state)
        except (ValidationError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise TrainingError(
                f"the checkpoint of update {found.update} in {self.folder} is not one of this "
                f"training: {error}"
            ) from error
        self.update, self._books = found.update, books
        self.learner.learning_rate_factor = 0.5**books.rollbacks
        self._watch.restore(books.losses)

    def _each_sink(self, call: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                call(sink)
            # Whatever a tracking service does must not end a training.
            except Exception as error:
                self._sinks.remove(sink)
                self.say(f"metrics are no longer sent to {type(sink).__name__}: {error}")
