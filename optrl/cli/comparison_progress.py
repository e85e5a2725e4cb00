"""How far a comparison is, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optrl.cli.terminal import write_line
from optrl.comparison.runner import Advance

_SECONDS = 15.0
"""Between two lines where standard error is no terminal."""


@contextmanager
def comparison_progress(console: Console, total: int) -> Iterator[Callable[[Advance], None]]:
    """Show a bar, or a line from time to time where standard error is no terminal.

    Args:
        console: Standard error.
        total: Scenarios of all policies at most; fewer where the ranking settles before.

    Yields:
        What to tell about every part.
    """
    if not console.is_terminal:
        yield _lines(total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("scenarios at most"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("comparing", total=total)

        def tell(step: Advance) -> None:
            bar.update(task, advance=step.scenarios, description=step.policy)

        yield tell


def _lines(total: int) -> Callable[[Advance], None]:
    done = kept = 0
    last = time.perf_counter()

    def tell(step: Advance) -> None:
        nonlocal done, kept, last
        done += step.scenarios
        kept += step.scenarios * step.kept
        now = time.perf_counter()
        if now - last >= _SECONDS:
            last = now
            earlier = f", {kept:,} of them kept from before" if kept else ""
            write_line(
                f"{step.policy}: {done:,} of at most {total:,} scenarios{earlier}", error=True
            )

    return tell
