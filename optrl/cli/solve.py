"""``optrl solve``: files in the field's own formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optrl.cli.failures import ExitCode, reported
from optrl.cli.terminal import messages, output, write_json, write_line
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optrl.formats import FileResult
    from optrl.solver import Progress

SMPS_SUFFIXES = frozenset({".cor", ".core", ".tim", ".time", ".sto", ".stoch"})
"""Of the three files that are one problem."""


@reported
def solve(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to solve.")],
    time_limit: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SECONDS", help="For the solver, for each problem."),
    ] = None,
    relative_gap: Annotated[
        float, typer.Option(min=0.0, help="Gap at which an integer problem counts as solved.")
    ] = 1e-6,
    capacity: Annotated[
        float | None,
        typer.Option(help="Of each warehouse where an OR-Library file says 'capacity'."),
    ] = None,
    holding_rate: Annotated[
        float | None,
        typer.Option(help="Holding cost per money in stock, for guaranteed-service networks."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line a result.")] = False,
) -> None:
    """Solve files: OR-Library cap, DIMACS min-cost flow, FCNetLib, guaranteed-service networks,
    Trigeiro lot sizing, SMPS two-stage, MPS.

    The format is recognized. The three files of an SMPS problem given together are solved once. A
    file that cannot be read gives its error on standard error and the others still run; the exit
    code is then 1. Ctrl-C stops at the best solution so far, prints it, and exits with 130.
    """  # noqa: D205
    from optrl.formats import solve_file

    results, failed, interrupted = [], False, False
    try:
        for file in distinct(files):
            try:
                with _progress(Path(file).name) as progress:
                    for result in solve_file(
                        file,
                        time_limit=time_limit,
                        relative_gap=relative_gap,
                        capacity=capacity,
                        holding_rate=holding_rate,
                        progress=progress,
                    ):
                        results.append(result)
                        if json:
                            write_json(as_dict(result))
                        if result.status == "interrupted":
                            raise KeyboardInterrupt
            except OptrlError as error:
                failed = True
                message = " ".join(str(error).splitlines())
                write_line(message if file in message else f"{file}: {message}", error=True)
    except KeyboardInterrupt:
        interrupted = True
        write_line("interrupted", error=True)
    if results and not json:
        _print_table(results)
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if failed:
        raise typer.Exit(ExitCode.FAULTS)


def distinct(files: Sequence[str]) -> Iterator[str]:
    """The files in their order, each once, and one of the files of an SMPS problem."""
    seen: set[Path] = set()
    for file in files:
        path = Path(file)
        key = path.with_suffix("") if path.suffix.lower() in SMPS_SUFFIXES else path
        if key not in seen:
            seen.add(key)
            yield file


def as_dict(result: FileResult) -> dict[str, Any]:
    """A result ready for JSON."""
    return {
        "file": result.file,
        "format": result.format,
        "problem": result.problem,
        "objective": result.objective,
        "bound": result.bound,
        "gap": result.gap,
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "size": dict(result.size),
        "parameters": dict(result.parameters),
        "notes": list(result.notes),
    }


@contextmanager
def _progress(name: str) -> Iterator[Callable[[Progress], None] | None]:
    """A line on a terminal's standard error that names the file and says where its MIP stands."""
    from optrl.solver.progress import progress_text

    console = messages()
    if not console.is_terminal:
        yield None
        return
    with console.status(f"{name}: solving") as line:
        yield lambda progress: line.update(f"{name}: {progress_text(progress)}")


def _print_table(results: Sequence[FileResult]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("problem", "format"):
        table.add_column(name, overflow="fold")
    for name in ("objective", "bound", "gap"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status")
    table.add_column("seconds", justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            result.problem,
            result.format,
            _number(result.objective),
            _number(result.bound),
            "" if result.gap is None else f"{result.gap:.2%}",
            result.status,
            f"{result.seconds:.2f}",
        )
    console = output()
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.problem}: {note}", soft_wrap=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"
