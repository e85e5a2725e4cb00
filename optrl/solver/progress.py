"""A line on the terminal that says where a long MIP stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from optrl.solver.highs import Progress


def progress_text(progress: Progress) -> str:
    """One line for a state of the solver."""
    solution = "none yet" if math.isinf(progress.objective) else f"{progress.objective:,.6g}"
    gap = "-" if math.isinf(progress.gap) else f"{progress.gap:.2%}"
    return (
        f"{progress.seconds:6.0f} s  solution {solution}  bound {progress.bound:,.6g}  "
        f"gap {gap}  {progress.nodes:,} nodes"
    )


@contextmanager
def progress_line(console: Console | None = None) -> Iterator[Callable[[Progress], None] | None]:
    """Show a line while a model is solved, on standard error and only if that is a terminal.

    Args:
        console: Where to write; None for standard error.

    Yields:
        What to give to `Model.solve` as `progress`; None where nothing is shown.
    """
    console = Console(stderr=True) if console is None else console
    if not console.is_terminal:
        yield None
        return
    with console.status("solving") as line:
        yield lambda progress: line.update(progress_text(progress))
