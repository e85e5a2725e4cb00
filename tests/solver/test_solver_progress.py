import io
import math

from rich.console import Console

from optrl.solver import Progress, progress_line
from optrl.solver.progress import progress_text


def test_text_says_where_the_solver_stands():
    """Seconds, solution, bound, gap and nodes, also before there is a solution."""
    text = progress_text(Progress(12.3, 1234.5, 1200.0, 0.0279, 5678))
    assert text.strip() == "12 s  solution 1,234.5  bound 1,200  gap 2.79%  5,678 nodes"
    assert "none yet" in progress_text(Progress(0, math.inf, -math.inf, math.inf, 0))
    assert "none yet" in progress_text(Progress(0, -math.inf, math.inf, math.inf, 0))


def test_line_is_shown_on_a_terminal_only():
    """A file gets no line; a terminal does."""
    with progress_line(Console(file=io.StringIO())) as report:
        assert report is None
    terminal = io.StringIO()
    with progress_line(Console(file=terminal, force_terminal=True, width=100)) as report:
        report(Progress(1.0, 10.0, 9.0, 0.1, 3))
    assert "bound 9" in terminal.getvalue()
