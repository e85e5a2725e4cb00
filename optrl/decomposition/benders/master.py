"""The master: the first stage and one column for each scenario's cost, bounded by cuts.

Scenarios may be *retained*: their second stage stands in the master with its integers, and the
column of their cost is at least what it costs there. Cuts of the others then start from a first
stage that serves these, and the solver sees the structure that cuts hide from it.

Source: Crainic, Hewitt, Maggioni & Rei (2021), Transportation Science 55(2) (partial Benders
decomposition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, hstack, vstack

from optrl.decomposition.benders.cuts import Cut
from optrl.decomposition.benders.problem import TwoStage
from optrl.solver import Model, Solution


@dataclass(frozen=True)
class MasterPoint:
    """A solution of the master.

    Attributes:
        bound: Proved lower bound on the master's optimum.
        value: Objective of the solution.
        x: First stage's columns.
        state: What the second stage sees of them, shape (K,).
        theta: Cost of each scenario under the cuts, shape (S,).
    """

    bound: float
    value: float
    x: FloatArray
    state: FloatArray
    theta: FloatArray


class Master:
    """With integers and relaxed, each solved from where it stood, with the same cuts."""

    def __init__(self, problem: TwoStage, retained: Sequence[int] = ()) -> None:
        """Without cuts but the derived lower bounds; `retained` are numbers of scenarios."""
        self._problem = problem
        self._width = len(problem.first.cost)
        program = _with_costs(problem)
        for number in retained:
            program = _retaining(program, problem, number)
        self.has_integers = program.has_integers
        self._columns = len(program.cost)
        relaxed = replace(program, integrality=np.zeros_like(program.integrality))
        self._integer = Model(program) if self.has_integers else None
        self._relaxed = Model(relaxed)
        self.cuts = 0

    def add(self, cuts: Sequence[Cut]) -> None:
        """Append cuts."""
        if not cuts:
            return
        slope = np.zeros((len(cuts), self._columns))
        slope[:, self._problem.state] = [-cut.slope for cut in cuts]
        for row, cut in enumerate(cuts):
            if cut.scenario is not None:
                slope[row, self._width + cut.scenario] = 1.0
        matrix = csr_matrix(slope)
        lower = np.array([cut.intercept for cut in cuts])
        for model in (self._relaxed, self._integer):
            if model is not None:
                model.add_rows(f"cuts {self.cuts}", matrix, lower, np.full(len(cuts), np.inf))
        self.cuts += len(cuts)

    def solve_relaxed(self) -> MasterPoint:
        """The master with integers relaxed.

        Raises:
            InfeasibleError: If the first stage and the cuts leave no state.
        """
        return self._point(self._relaxed.solve())

    def solve_integer(
        self, gap: float, seconds: float | None, start: FloatArray | None
    ) -> MasterPoint:
        """The master with its integers.

        Args:
            gap: Relative gap at which to end.
            seconds: At most, None for no limit.
            start: First stage's columns of a solution, None for none.

        Raises:
            InfeasibleError: If the first stage and the cuts leave no state.
            NoSolutionError: If the time was up before a solution was found.
        """
        assert self._integer is not None
        full = None
        if start is not None:
            full = np.full(self._columns, np.nan)
            full[: self._width] = start
        solved = self._integer.solve(relative_gap=gap, time_limit=seconds, start=full)
        point = self._point(solved)
        whole = self._problem.first.integrality
        x = np.where(whole, np.round(point.x), point.x)
        return replace(point, x=x, state=x[self._problem.state])

    def _point(self, solved: Solution) -> MasterPoint:
        x = solved.x[: self._width]
        theta = solved.x[self._width : self._width + len(self._problem.scenarios)]
        return MasterPoint(solved.bound, solved.objective, x, x[self._problem.state], theta)


def _with_costs(problem: TwoStage) -> LinearProgram:
    """The first stage and, after it, a column for each scenario's cost."""
    first, count = problem.first, len(problem.scenarios)
    width = len(first.cost)
    costs = Block("scenario_cost", width, width + count, lambda k: problem.scenarios[k].label)
    return replace(
        first,
        cost=np.concatenate([first.cost, problem.probability]),
        matrix=csr_matrix(hstack([first.matrix, csr_matrix((first.matrix.shape[0], count))])),
        column_lower=np.concatenate([first.column_lower, problem.lower]),
        column_upper=np.concatenate([first.column_upper, np.full(count, np.inf)]),
        integrality=np.concatenate([first.integrality, np.zeros(count, dtype=np.bool_)]),
        columns={**first.columns, "scenario_cost": costs},
    )


def _retaining(program: LinearProgram, problem: TwoStage, number: int) -> LinearProgram:
    """A master with a scenario's second stage behind its columns and rows.

    The scenario's cost column is at least what the second stage and the state cost in it.
    """
    part = problem.recourse(number)
    second, theta = part.program, len(problem.first.cost) + number
    rows, columns = program.matrix.shape
    height, width = second.matrix.shape
    seen = np.zeros(columns)
    seen[theta], seen[problem.state] = 1.0, -part.state_cost
    size = len(problem.state)
    place = csr_matrix((np.ones(size), (np.arange(size), problem.state)), (size, columns))
    matrix = vstack(
        [
            hstack([program.matrix, csr_matrix((rows, width))]),
            hstack([csr_matrix(part.linking @ place), second.matrix]),
            hstack([csr_matrix(seen), csr_matrix(-second.cost)]),
        ]
    )
    name = f"retained {number}"
    return replace(
        program,
        cost=np.concatenate([program.cost, np.zeros(width)]),
        matrix=csr_matrix(matrix),
        row_lower=np.concatenate([program.row_lower, second.row_lower, [second.offset]]),
        row_upper=np.concatenate([program.row_upper, second.row_upper, [np.inf]]),
        column_lower=np.concatenate([program.column_lower, second.column_lower]),
        column_upper=np.concatenate([program.column_upper, second.column_upper]),
        integrality=np.concatenate([program.integrality, second.integrality]),
        columns={**program.columns, name: Block(name, columns, columns + width, str)},
        rows={**program.rows, name: Block(name, rows, rows + height + 1, str)},
    )
