"""What a solve returns: values, duals, bound, and checks that do not trust the solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray

from optrl.solver.appended import AppendedRows, with_rows
from optrl.solver.errors import NumericalTroubleError, SolverError
from optrl.solver.highs import Highs


class Status(Enum):
    """How a solve that has a solution ended."""

    OPTIMAL = "optimal"
    """Proved within the tolerances and the gap asked for."""

    TIME_LIMIT = "time limit"
    """A feasible solution; the time was up before it was proved optimal."""

    INTERRUPTED = "interrupted"
    """A feasible solution; the user stopped the solver."""


@dataclass(frozen=True)
class Residuals:
    """Largest violations, recomputed from the arrays.

    Attributes:
        primal: Of row and column bounds.
        integrality: Distance of integer columns from integers.
        dual: Of the signs of duals and reduced costs: nonzero only where the bound of that sign
            is active. None without duals.
    """

    primal: float
    integrality: float
    dual: float | None


@dataclass(frozen=True)
class Solution:
    """A feasible, usually optimal, solution in the model's own sense.

    Attributes:
        status: How the solve ended.
        objective: Value of the solution.
        bound: Proved bound on the optimal value, equal to `objective` for an optimal LP.
        gap: |objective - bound| / |objective|; 0 where they agree.
        seconds: Wall time of the solve.
        iterations: Simplex iterations.
        nodes: Nodes of branch and bound.
        x: Column values, shape (columns,).
        row_dual: Derivative of the optimal value with respect to each row's bound, shape (rows,);
            None for a MIP, see `fixed_duals`.
        program: The program with its blocks.
        loaded: The numbers that were solved, with the data's part in the row bounds, but for
            `appended`.
        appended: Rows added to them, not stacked yet.
        warnings: Numerical trouble noticed.
    """

    status: Status
    objective: float
    bound: float
    gap: float
    seconds: float
    iterations: int
    nodes: int
    x: FloatArray = field(repr=False)
    row_dual: FloatArray | None = field(repr=False)
    program: LinearProgram = field(repr=False)
    loaded: LinearProgram = field(repr=False)
    appended: tuple[AppendedRows, ...] = field(repr=False, default=())
    warnings: tuple[str, ...] = ()

    @cached_property
    def solved(self) -> LinearProgram:
        """The numbers that were solved, with the data's part in the row bounds."""
        return with_rows(self.loaded, self.appended)

    @cached_property
    def reduced_cost(self) -> FloatArray:
        """Derivative of the optimal value with respect to each column's active bound.

        It is cost - matrix' row_dual, shape (columns,).
        """
        cost = self._sign * self.solved.cost
        reduced: FloatArray = cost - self.solved.matrix.T @ self._row_dual()
        return reduced

    def values(self, columns: Block | str) -> FloatArray:
        """Values of a column block, in the order of its component."""
        return self.x[_find(self.solved.columns, columns).slice]

    def duals(self, rows: Block | str) -> FloatArray:
        """Duals of a row block, in the order of its component.

        Raises:
            SolverError: If there are none; see `fixed_duals`.
        """
        return self._row_dual()[_find(self.solved.rows, rows).slice]

    def reduced_costs(self, columns: Block | str) -> FloatArray:
        """Reduced costs of a column block, in the order of its component."""
        return self.reduced_cost[_find(self.solved.columns, columns).slice]

    def gradient(self, data: str) -> FloatArray:
        """Derivative of the optimal value with respect to a data block, shape (size,).

        It is data_cost - data_matrix' y. Where the optimal value has a kink this is one of its
        subgradients; for a MIP (after `fixed_duals`) integers are held.
        """
        block = self.program.data[data]
        dual = self._row_dual()[: len(self.program.row_lower)]
        gradient: FloatArray = self._sign * block.cost - block.transposed @ dual
        return gradient

    def residuals(self) -> Residuals:
        """Recompute the largest violations in numpy."""
        p = self.solved
        activity = p.matrix @ self.x
        primal = max(
            _largest(p.row_lower - activity),
            _largest(activity - p.row_upper),
            _largest(p.column_lower - self.x),
            _largest(self.x - p.column_upper),
        )
        integers = self.x[p.integrality]
        integrality = _largest(np.abs(integers - np.round(integers)))
        if self.row_dual is None:
            return Residuals(primal, integrality, None)
        y, z = self._sign * self.row_dual, self._sign * self.reduced_cost
        dual = max(
            _sign_violation(y, activity, p.row_lower, p.row_upper),
            _sign_violation(z, self.x, p.column_lower, p.column_upper),
        )
        return Residuals(primal, integrality, dual)

    def fixed_duals(self) -> Solution:
        """The same solution with duals of the LP that holds integer columns at their values.

        Raises:
            NumericalTroubleError: If that LP is not solved to optimality.
        """
        if self.row_dual is not None:
            return self
        fixed = np.round(self.x[self.solved.integrality])
        lower, upper = self.solved.column_lower.copy(), self.solved.column_upper.copy()
        lower[self.solved.integrality] = upper[self.solved.integrality] = fixed
        highs = Highs(threads=1)
        highs.pass_program(
            replace(
                self.solved,
                column_lower=lower,
                column_upper=upper,
                integrality=np.zeros_like(self.solved.integrality),
            )
        )
        info = highs.run()
        if info.status != "kOptimal":
            raise NumericalTroubleError(
                f"the LP with integers fixed at the solution ended with {info.status}; tighten "
                "the bounds that multiply integer columns"
            )
        x, row_dual = highs.solution()
        objective = self._sign * info.objective
        return replace(self, x=x, objective=objective, row_dual=self._sign * row_dual)

    @property
    def _sign(self) -> float:
        return -1.0 if self.program.maximize else 1.0

    def _row_dual(self) -> FloatArray:
        if self.row_dual is None:
            raise SolverError(
                "a mixed-integer solution has no duals: call fixed_duals() for those with "
                "integers held, or solve the relaxation"
            )
        return self.row_dual


def _find(blocks: Mapping[str, Block], block: Block | str) -> Block:
    return block if isinstance(block, Block) else blocks[block]


def _largest(violation: FloatArray) -> float:
    return float(violation.max(initial=0.0)) + 0.0  # turns -0.0 into 0.0


def _sign_violation(
    dual: FloatArray, value: FloatArray, lower: FloatArray, upper: FloatArray
) -> float:
    """A dual may be positive only at the lower bound and negative only at the upper."""
    tolerance = 1e-6 * np.maximum(1.0, np.abs(value))
    at_lower, at_upper = value <= lower + tolerance, value >= upper - tolerance
    return max(_largest(dual[~at_lower]), _largest(-dual[~at_upper]))
