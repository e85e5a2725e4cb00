"""The master: the first stage and one column for each scenario's cost, bounded by cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, hstack

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

    def __init__(self, problem: TwoStage) -> None:
        """Without cuts but the derived lower bounds."""
        self._problem = problem
        first, count = problem.first, len(problem.scenarios)
        self._width = len(first.cost)
        program = replace(
            first,
            cost=np.concatenate([first.cost, problem.probability]),
            matrix=csr_matrix(hstack([first.matrix, csr_matrix((first.matrix.shape[0], count))])),
            column_lower=np.concatenate([first.column_lower, problem.lower]),
            column_upper=np.concatenate([first.column_upper, np.full(count, np.inf)]),
            integrality=np.concatenate([first.integrality, np.zeros(count, dtype=np.bool_)]),
            columns={
                **first.columns,
                "scenario_cost": Block(
                    "scenario_cost",
                    self._width,
                    self._width + count,
                    lambda k: problem.scenarios[k].label,
                ),
            },
        )
        relaxed = replace(program, integrality=np.zeros_like(program.integrality))
        self._integer = Model(program) if first.has_integers else None
        self._relaxed = Model(relaxed)
        self.cuts = 0

    def add(self, cuts: Sequence[Cut]) -> None:
        """Append cuts."""
        if not cuts:
            return
        count = len(self._problem.scenarios)
        slope = np.zeros((len(cuts), self._width + count))
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
            full = np.concatenate([start, np.full(len(self._problem.scenarios), np.nan)])
        solved = self._integer.solve(relative_gap=gap, time_limit=seconds, start=full)
        point = self._point(solved)
        whole = self._problem.first.integrality
        x = np.where(whole, np.round(point.x), point.x)
        return replace(point, x=x, state=x[self._problem.state])

    def _point(self, solved: Solution) -> MasterPoint:
        x = solved.x[: self._width]
        return MasterPoint(
            solved.bound, solved.objective, x, x[self._problem.state], solved.x[self._width :]
        )
