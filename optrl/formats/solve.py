"""Solve the problems of a file in any known format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optrl_formulations.linear_program import LinearProgram

from optrl.formats.problem import FormatError, OpenParameters, Problem
from optrl.formats.recognition import formats, recognize
from optrl.solver import (
    InfeasibleError,
    Model,
    NoSolutionError,
    Progress,
    UnboundedError,
)


@dataclass(frozen=True)
class FileResult:
    """What was found for one problem of a file.

    Attributes:
        file: The path as given.
        format: Name of the format.
        problem: Name of the problem: the stem, with the parameters that tell several apart.
        objective: Of the best solution, in the file's own sense, or None without one.
        bound: Proved bound on the optimal value, or None.
        gap: Between the two, relative to the objective; None without both.
        status: ``optimal`` (proved within the gap asked for), ``time limit``, ``interrupted``,
            ``infeasible``, ``unbounded`` or ``no solution`` (within the time limit).
        seconds: Wall time of building and solving.
        size: Counts that the file states or holds.
        parameters: Open parameters in force.
        notes: What a reader of the result should know.
    """

    file: str
    format: str
    problem: str
    objective: float | None
    bound: float | None
    gap: float | None
    status: str
    seconds: float
    size: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def solve_file(
    path: str | Path,
    *,
    time_limit: float | None = None,
    relative_gap: float = 1e-6,
    capacity: float | None = None,
    holding_rate: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[FileResult]:
    """Recognize, read and solve a file; yields each result as soon as it is there.

    Most files hold one problem; OR-Library's capa, capb and capc hold four.

    Args:
        path: The file; for SMPS any of its three files, or their common stem.
        time_limit: Seconds for the solver, for each problem; building comes on top.
        relative_gap: Gap at which a mixed-integer problem counts as solved.
        capacity: See `OpenParameters`.
        holding_rate: See `OpenParameters`.
        progress: Told now and then where a mixed-integer problem stands.

    Raises:
        FormatError: If no format recognizes the file or it does not follow its format.
    """
    place = Path(path)
    name = recognize(place)
    given = OpenParameters(capacity=capacity, holding_rate=holding_rate)
    for problem in formats()[name].read(place, given):
        yield _solve(place, name, problem, time_limit, relative_gap, progress)


def _solve(
    path: Path,
    name: str,
    problem: Problem,
    time_limit: float | None,
    relative_gap: float,
    progress: Callable[[Progress], None] | None,
) -> FileResult:
    began = time.perf_counter()
    objective = bound = gap = None
    try:
        model = Model(_program(path, problem))
        solution = model.solve(time_limit=time_limit, relative_gap=relative_gap, progress=progress)
    except InfeasibleError:
        status = "infeasible"
    except UnboundedError:
        status = "unbounded"
    except NoSolutionError as error:
        status, bound = "no solution", error.bound
    else:
        objective, bound, gap = solution.objective, solution.bound, solution.gap
        status = solution.status.value
    return FileResult(
        file=str(path),
        format=name,
        problem=problem.name,
        objective=objective,
        bound=bound,
        gap=gap,
        status=status,
        seconds=time.perf_counter() - began,
        size=problem.size,
        parameters=problem.parameters,
        notes=problem.notes,
    )


def _program(path: Path, problem: Problem) -> LinearProgram:
    try:
        return problem.program()
    except ValueError as error:  # what a formulation finds wrong with its data
        raise FormatError(path, None, str(error), "Correct the file.") from error
