"""How far a training is, on standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optrl.cli.terminal import write_line
from optrl.learning.loop import Progress as Training

_SECONDS = 15.0
"""Between two lines where standard error is no terminal."""


@contextmanager
def training_progress(
    console: Console, learner: str, total: int
) -> Iterator[Callable[[Training], None]]:
    """Show a bar with where the training stands; without a terminal, a line from time to time.

    Args:
        console: Standard error.
        learner: Name of the learner.
        total: Updates in total.

    Yields:
        What to tell about every update and message.
    """
    if not console.is_terminal:
        yield _lines(learner)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[standing]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(learner, total=total, standing="")

        def told(training: Training) -> None:
            if training.message:
                bar.console.print(training.message)
            bar.update(task, completed=training.update, standing=standing(training))

        yield told


def standing(training: Training) -> str:
    """Loss, validated cost, throughput and goodput in one line."""
    metrics = training.metrics
    parts = []
    if "loss" in metrics:
        parts.append(f"loss {metrics['loss']:.4g}")
    if math.isfinite(training.best):
        parts.append(f"cost {training.best:,.5g}")
    if metrics.get("throughput"):
        parts.append(f"{metrics['throughput']:,.0f} item-node-periods/s")
    if "goodput" in metrics:
        parts.append(f"goodput {metrics['goodput']:.0%}")
    return ", ".join(parts)


def _lines(learner: str) -> Callable[[Training], None]:
    last = time.perf_counter()

    def told(training: Training) -> None:
        nonlocal last
        if training.message:
            write_line(training.message, error=True)
        now = time.perf_counter()
        if now - last >= _SECONDS or (training.update == training.total and not training.message):
            last = now
            write_line(
                f"{learner}: {training.update:,} of {training.total:,} updates, "
                f"{standing(training)}",
                error=True,
            )

    return told
