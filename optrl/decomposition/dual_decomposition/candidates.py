"""First stages tried: what they cost in all scenarios, and the best of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, eye, hstack, vstack

from optrl.decomposition.benders.integer_recourse import IntegerRecourse
from optrl.decomposition.benders.problem import TwoStage
from optrl.solver import Model

_INTEGER_WEIGHT = 0.01


@dataclass(frozen=True)
class Tried:
    """A first stage that all scenarios allow.

    Attributes:
        x: Its columns.
        recourse: Cost of each scenario's second stage, shape (S,).
        value: Of both stages.
    """

    x: FloatArray
    recourse: FloatArray
    value: float


class Candidates:
    """Those tried so far."""

    def __init__(
        self, problem: TwoStage, piece_seconds: float, in_time: Callable[[], bool]
    ) -> None:
        """Try nothing yet; `in_time` says whether there is time to go on."""
        self._problem, self._in_time = problem, in_time
        self._exact = IntegerRecourse(problem, piece_seconds)
        self._nearest: Model | None = None
        self._seen: set[bytes] = set()
        self.tried: list[Tried] = []

    @property
    def best(self) -> Tried | None:
        """The cheapest, None without one."""
        return min(self.tried, key=lambda t: t.value, default=None)

    def try_near(self, x: FloatArray) -> Tried | None:
        """The first stage nearest to a point, shape (columns,), that obeys rows and integers.

        Integers give way first: rounding a quantity's switch shall not change the quantity.
        """
        first = self._problem.first
        if self._nearest is None:
            self._nearest = Model(_distance(first))
        self._nearest.push_row_bounds("distance", x, x)
        solved = self._nearest.solve()
        return self.try_at(solved.x[: len(x)])

    def try_at(self, x: FloatArray) -> Tried | None:
        """A first stage; None where it is known, not feasible, or the time is up."""
        problem = self._problem
        x = np.where(problem.first.integrality, np.round(x), x)
        state = x[problem.state]
        key = np.round(state, 7).tobytes()
        if key in self._seen:
            return None
        recourse = np.zeros(len(problem.scenarios))
        for s in range(len(recourse)):
            if not self._in_time():
                return None
            recourse[s] = self._exact.value(s, state)[1]
            if not np.isfinite(recourse[s]):
                self._seen.add(key)
                return None
        self._seen.add(key)
        first = problem.first
        value = float(first.cost @ x) + first.offset + float(problem.probability @ recourse)
        self.tried.append(Tried(x, recourse, value))
        return self.tried[-1]


def _distance(first: LinearProgram) -> LinearProgram:
    """The first stage with the weighted distance from a point as its cost.

    Rows "distance": x - above + below = point.
    """
    rows, size = first.matrix.shape
    weight = np.where(first.integrality, _INTEGER_WEIGHT, 1.0)
    none = csr_matrix((rows, 2 * size))
    return LinearProgram(
        cost=np.concatenate([np.zeros(size), weight, weight]),
        offset=0.0,
        matrix=csr_matrix(
            vstack([hstack([first.matrix, none]), hstack([eye(size), -eye(size), eye(size)])])
        ),
        row_lower=np.concatenate([first.row_lower, np.zeros(size)]),
        row_upper=np.concatenate([first.row_upper, np.zeros(size)]),
        column_lower=np.concatenate([first.column_lower, np.zeros(2 * size)]),
        column_upper=np.concatenate([first.column_upper, np.full(2 * size, np.inf)]),
        integrality=np.concatenate([first.integrality, np.zeros(2 * size, dtype=np.bool_)]),
        columns={
            "first": Block("first", 0, size, str),
            "apart": Block("apart", size, 3 * size, str),
        },
        rows={
            "first": Block("first", 0, rows, str),
            "distance": Block("distance", rows, rows + size, str),
        },
    )
