"""How far a decomposition is, on standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from optrl.cli.terminal import write_line
from optrl.decomposition.blocks.events import (
    Answered,
    Begun,
    Event,
    Failed,
    FirstPrices,
    Iterated,
    Told,
)
from optrl.decomposition.blocks.trace import TraceRow

_SECONDS = 15.0
"""Between two lines where standard error is no terminal."""


@contextmanager
def decomposition_progress(console: Console) -> Iterator[Told]:
    """Show a bar of the blocks that answered and the bounds; without a terminal, lines.

    Args:
        console: Standard error.

    Yields:
        What to tell about every event.
    """
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("round {task.fields[number]}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[standing]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, number=1, standing="")

        def told(event: Event) -> None:
            match event:
                case FirstPrices():
                    bar.console.print(first_prices(event))
                case Begun():
                    bar.console.print(begun(event))
                    bar.update(task, total=event.blocks, number=event.resumed + 1)
                case Answered():
                    bar.update(task, completed=event.answered, number=event.iteration)
                case Iterated():
                    bar.update(task, completed=0, standing=standing(event.row))
                case Failed():
                    bar.console.print(str(event))

        yield told


def first_prices(event: FirstPrices) -> str:
    """Where the first prices are from, in one line."""
    origin = f"from a sample of {event.items:,} items" if event.items else "zero"
    return f"first prices: {origin}, after {event.seconds:.1f} s"


def begun(event: Begun) -> str:
    """What is decomposed, in one line."""
    again = f", going on after round {event.resumed}" if event.resumed else ""
    return (
        f"{event.items:,} items in {event.blocks:,} blocks, coupled by {event.rows:,} capacity "
        f"rows{again}"
    )


def standing(row: TraceRow) -> str:
    """Both bounds and the gap in one line."""
    low, high = (
        f"{value:,.7g}" if math.isfinite(value) else "none" for value in (row.lower, row.upper)
    )
    gap = f", gap {row.gap:.3%}" if math.isfinite(row.gap) else ""
    return f"lower bound {low}, upper bound {high}{gap}"


def _lines() -> Told:
    last = -math.inf

    def told(event: Event) -> None:
        nonlocal last
        now = time.perf_counter()
        match event:
            case FirstPrices():
                write_line(first_prices(event), error=True)
            case Begun():
                write_line(begun(event), error=True)
            case Iterated() if now - last >= _SECONDS:
                last = now
                write_line(f"round {event.row.iteration}: {standing(event.row)}", error=True)
            case Failed():
                write_line(str(event), error=True)

    return told
