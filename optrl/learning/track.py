"""Metrics of a training in TensorBoard or MLflow, besides its own file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optrl.errors import OptrlError
from optrl.learning.metrics import Line, Sink
from optrl.tables.atomic import write_file


class TensorBoardSink:
    """Events under ``tensorboard/`` of the training's folder, a scalar for each metric.

    After a resume or a rollback the events of the updates that are done again are void there too.

    Args:
        folder: Of the training.

    Raises:
        OptrlError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _missing("tensorboard", error) from error
        self._make: Callable[..., Any] = SummaryWriter
        self._folder = folder / "tensorboard"
        self._writer: Any = None

    def begin(self, update: int) -> None:
        """Open a file of events; those above `update` in earlier files are void."""
        self.close()
        self._writer = self._make(str(self._folder), purge_step=update + 1)

    def take(self, line: Line) -> None:
        """Add a scalar for each metric, and an event as text."""
        step = int(line["update"])
        if "event" in line:
            self._writer.add_text("event", f"{line['event']}: {line.get('reason', '')}", step)
            return
        for name, value in _metrics(line).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflowSink:
    """One run of an MLflow experiment for a training, however often it is resumed.

    Goes where ``MLFLOW_TRACKING_URI`` says, such as ``http://localhost:5000``. Updates that are
    done again after a resume are not sent again: they are the same.

    Args:
        folder: Of the training; it remembers the run.
        parameters: Learner, seed and settings, logged once.
        experiment: Name of the experiment.

    Raises:
        OptrlError: If MLflow is not installed, or it is not said where to send metrics.
    """

    def __init__(
        self, folder: Path, parameters: Mapping[str, Any], experiment: str = "optrl"
    ) -> None:
        try:
            from mlflow.entities import Metric
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise _missing("mlflow", error) from error
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise OptrlError(
                "MLFLOW_TRACKING_URI does not say where MLflow is: set it, for example to "
                "http://localhost:5000"
            )
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
        except MlflowException as error:
            raise OptrlError(f"MLflow at {uri} cannot be used: {error}") from error
        self._metric: Callable[..., Any] = Metric
        self._parameters, self._experiment = parameters, experiment
        self._memory = folder / "mlflow-run.txt"
        self._run = ""
        self._sent = 0

    def begin(self, update: int) -> None:
        """Start the run, or go on with it."""
        if self._run:
            return  # a rollback: what follows differs from what was sent, and is sent too
        if self._memory.is_file():
            self._run = self._memory.read_text(encoding="utf-8").strip()
            history = self._client.get_metric_history(self._run, "seconds")
            self._sent = max((int(entry.step) for entry in history), default=0)
            self._client.update_run(self._run, status="RUNNING")
            return
        client = self._client
        found = client.get_experiment_by_name(self._experiment)
        number = (
            client.create_experiment(self._experiment) if found is None else (found.experiment_id)
        )
        self._run = client.create_run(number).info.run_id
        for name, value in self._parameters.items():
            client.log_param(self._run, name, value)
        with write_file(self._memory) as path:
            path.write_text(self._run, encoding="utf-8")

    def take(self, line: Line) -> None:
        """Send the metrics of an update."""
        step = int(line["update"])
        if "event" in line:
            self._client.set_tag(self._run, f"{line['event']} to {step}", line.get("reason", ""))
            self._sent = min(self._sent, step)
        elif step > self._sent:
            self._sent = step
            now = round(1000 * time.time())
            metrics = [self._metric(k, v, now, step) for k, v in _metrics(line).items()]
            self._client.log_batch(self._run, metrics)

    def close(self) -> None:
        """End the run."""
        if self._run:
            self._client.set_terminated(self._run)


def sink_named(name: str, folder: Path, parameters: Mapping[str, Any]) -> Sink:
    """A sink by its name on the command line.

    Raises:
        OptrlError: If there is none of that name, or it is not installed.
    """
    match name:
        case "tensorboard":
            return TensorBoardSink(folder)
        case "mlflow":
            return MLflowSink(folder, parameters)
    raise OptrlError(f"metrics cannot be sent to {name!r}: choose tensorboard or mlflow")


def _metrics(line: Line) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in line.items()
        if name != "update" and isinstance(value, (int, float))
    }


def _missing(what: str, error: ImportError) -> OptrlError:
    return OptrlError(
        f"{what} is not installed here ({error}): pip install 'optrl[track]', or leave it out"
    )
