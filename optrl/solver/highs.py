"""highspy behind typed signatures; the only file that knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray

from optrl.solver.errors import NumericalTroubleError

IndexArray = NDArray[np.int32]
Option = bool | int | float | str

_FEASIBLE = 2  # HiGHS SolutionStatus::kSolutionStatusFeasible


@dataclass(frozen=True)
class RunInfo:
    """What a run reports, in the sense of minimization.

    Attributes:
        status: Name of the HiGHS model status, for example ``kOptimal`` or ``kTimeLimit``.
        feasible: Whether a primal feasible solution is at hand.
        objective: Its value.
        bound: Bound on the optimal value of a MIP, -inf where none is known.
        nodes: Nodes of branch and bound.
        iterations: Simplex iterations.
        primal_violation: Largest violation of a bound or row HiGHS reports.
        dual_violation: Largest violation of dual feasibility HiGHS reports.
    """

    status: str
    feasible: bool
    objective: float
    bound: float
    nodes: int
    iterations: int
    primal_violation: float
    dual_violation: float


@dataclass(frozen=True)
class Progress:
    """Where a running MIP stands, in the model's own sense.

    Attributes:
        seconds: Since the solve began.
        objective: Of the best solution so far, infinite before there is one.
        bound: Best bound so far.
        gap: (objective - bound) / objective, as HiGHS defines it; infinite without a solution.
        nodes: Nodes explored.
    """

    seconds: float
    objective: float
    bound: float
    gap: float
    nodes: int


class Highs:
    """One HiGHS object. Programs are minimized; signs of maximization are handled above."""

    def __init__(self, **options: Option) -> None:
        self._highs: Any = highspy._core._Highs()
        self.set_options(output_flag=False, **options)

    def set_options(self, **options: Option) -> None:
        """Set HiGHS options by their own names."""
        for name, value in options.items():
            if self._highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
                raise ValueError(f"HiGHS has no option {name!r} that can be {value!r}")

    def pass_program(self, program: LinearProgram) -> bool:
        """Load a program at its row bounds (its data's part is the caller's concern).

        Returns:
            Whether HiGHS took it without a warning, such as for tiny coefficients dropped.
        """
        matrix = program.matrix
        status = self._highs.passModel(
            matrix.shape[1],
            matrix.shape[0],
            matrix.nnz,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            program.offset,
            program.cost,
            program.column_lower,
            program.column_upper,
            program.row_lower,
            program.row_upper,
            matrix.indptr.astype(np.int32, copy=False),
            matrix.indices.astype(np.int32, copy=False),
            matrix.data,
            program.integrality.astype(np.int32),
        )
        return self._accepted(status, "pass a program")

    def change_cost(self, columns: IndexArray, cost: FloatArray) -> None:
        """Replace objective coefficients."""
        self._accepted(self._highs.changeColsCost(len(columns), columns, cost), "change costs")

    def change_offset(self, offset: float) -> None:
        """Replace the constant of the objective."""
        self._accepted(self._highs.changeObjectiveOffset(offset), "change the offset")

    def change_column_bounds(
        self, columns: IndexArray, lower: FloatArray, upper: FloatArray
    ) -> None:
        """Replace column bounds."""
        status = self._highs.changeColsBounds(len(columns), columns, lower, upper)
        self._accepted(status, "change column bounds")

    def change_row_bounds(self, rows: IndexArray, lower: FloatArray, upper: FloatArray) -> None:
        """Replace row bounds."""
        status = self._highs.changeRowsBounds(len(rows), rows, lower, upper)
        self._accepted(status, "change row bounds")

    def add_rows(self, lower: FloatArray, upper: FloatArray, matrix: Any) -> None:
        """Append rows given as a CSR matrix; the basis stays."""
        status = self._highs.addRows(
            matrix.shape[0],
            lower,
            upper,
            matrix.nnz,
            matrix.indptr[:-1].astype(np.int32, copy=False),
            matrix.indices.astype(np.int32, copy=False),
            matrix.data,
        )
        self._accepted(status, "add rows")

    def set_start(self, x: FloatArray) -> None:
        """Offer a first solution to a MIP."""
        index = np.arange(len(x), dtype=np.int32)
        self._accepted(self._highs.setSolution(len(x), index, x), "set a first solution")

    def forget(self) -> None:
        """Drop basis and solution, so that the next run starts cold."""
        self._highs.clearSolver()

    def listen(
        self, progress: Callable[[Progress], None] | None, stop: Callable[[], bool] | None
    ) -> None:
        """Report to `progress` and ask `stop` during the MIP runs to come.

        Neither may raise: the exception would have to pass through C++.
        """
        kinds = highspy.cb.HighsCallbackType
        if progress is None and stop is None:
            self._highs.setCallback(None, None)
            return

        def heard(kind: Any, message: str, out: Any, answer: Any, data: Any) -> None:
            if kind == kinds.kCallbackMipInterrupt:
                if stop is not None and stop():
                    answer.user_interrupt = True
            elif progress is not None:
                progress(
                    Progress(
                        seconds=out.running_time,
                        objective=out.mip_primal_bound,
                        bound=out.mip_dual_bound,
                        gap=out.mip_gap,
                        nodes=out.mip_node_count,
                    )
                )

        self._highs.setCallback(heard, None)
        if stop is not None:
            self._highs.startCallback(kinds.kCallbackMipInterrupt)
        if progress is not None:
            self._highs.startCallback(kinds.kCallbackMipLogging)

    def run(self) -> RunInfo:
        """Solve from the basis at hand."""
        status = self._highs.run()
        if (
            status == highspy.HighsStatus.kError
            and self._highs.getModelStatus() == highspy.HighsModelStatus.kNotset
        ):
            # The scheduler of this thread was begun for another number of threads.
            highspy._core._Highs.resetGlobalScheduler(True)
            status = self._highs.run()
        info = self._highs.getInfo()
        return RunInfo(
            status=self._highs.getModelStatus().name,
            feasible=info.primal_solution_status == _FEASIBLE,
            objective=info.objective_function_value,
            bound=info.mip_dual_bound,
            nodes=max(info.mip_node_count, 0),
            iterations=max(info.simplex_iteration_count, 0),
            primal_violation=info.max_primal_infeasibility,
            dual_violation=info.max_dual_infeasibility,
        )

    def primal(self) -> FloatArray:
        """Column values, shape (columns,)."""
        return np.array(self._highs.getSolution().col_value)

    def solution(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Column values, row duals and reduced costs, in the sense of minimization."""
        solution = self._highs.getSolution()
        return (
            np.array(solution.col_value),
            np.array(solution.row_dual),
            np.array(solution.col_dual),
        )

    def seconds(self) -> float:
        """Run time so far, over all runs of this object."""
        return float(self._highs.getRunTime())

    def _accepted(self, status: Any, action: str) -> bool:
        if status == highspy.HighsStatus.kError:
            raise NumericalTroubleError(
                f"HiGHS refused to {action}: check for NaN or crossed bounds"
            )
        return bool(status == highspy.HighsStatus.kOk)
