"""highspy behind typed signatures; the only file that knows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, FloatArray

from optrl.solver.errors import NumericalTroubleError

IndexArray = NDArray[np.int32]
Option = bool | int | float | str

_FEASIBLE = 2  # HiGHS SolutionStatus::kSolutionStatusFeasible

_PROGRESS_SECONDS = 0.2


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
        gap: See `relative_gap`; infinite without a solution.
        nodes: Nodes explored.
    """

    seconds: float
    objective: float
    bound: float
    gap: float
    nodes: int


@dataclass(frozen=True)
class InfeasibleSubset:
    """An irreducible infeasible subset: positions, and which of their sides take part."""

    rows: IndexArray
    row_lower: BoolArray
    row_upper: BoolArray
    columns: IndexArray
    column_lower: BoolArray
    column_upper: BoolArray


@dataclass(frozen=True)
class Ranges:
    """Cost and bound ranges in the sense of minimization; see `optrl.solver.ranging`."""

    cost_lower: FloatArray
    cost_upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    row_basic: BoolArray


def relative_gap(objective: float, bound: float) -> float:
    """|objective - bound| / |objective| of a minimum; 0 where the bound is reached."""
    if bound >= objective:
        return 0.0
    return (
        (objective - bound) / max(abs(objective), 1e-300) if math.isfinite(objective) else math.inf
    )


class Highs:
    """One HiGHS object. Programs are minimized; signs of maximization are handled above."""

    def __init__(self, **options: Option) -> None:
        self._highs: Any = highspy._core._Highs()
        self._raised: Exception | None = None
        self.set_options(output_flag=False, **options)

    def set_options(self, **options: Option) -> None:
        """Set HiGHS options by their own names."""
        for name, value in options.items():
            if self._highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
                raise ValueError(f"HiGHS has no option {name!r} that can be {value!r}")

    def pass_program(self, program: LinearProgram) -> None:
        """Load a program at its row bounds (its data's part is the caller's concern)."""
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
        self._accepted(status, "load a program")

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
        """Offer a first solution to a MIP; HiGHS completes what is nan."""
        known = np.flatnonzero(~np.isnan(x)).astype(np.int32)
        status = self._highs.setSolution(len(known), known, x[known])
        self._accepted(status, "set a first solution")

    def basis(self) -> Any:
        """The basis of the last run, to be given to `set_basis`."""
        return self._highs.getBasis()

    def set_basis(self, basis: Any) -> None:
        """Start the next run from a basis; what earlier runs left is dropped first."""
        self._highs.clearSolver()
        self._accepted(self._highs.setBasis(basis), "set a basis")

    def forget(self) -> None:
        """Drop basis and solution, so that the next run starts cold."""
        self._highs.clearSolver()

    def listen(self, progress: Callable[[Progress], None] | None, stop: Callable[[], bool]) -> None:
        """Report to `progress` and ask `stop` during the MIP runs to come.

        What `progress` raises ends the run and is raised from there, because an exception
        cannot pass through HiGHS.
        """
        kinds = highspy.cb.HighsCallbackType
        began = self.seconds()
        due = 0.0

        def heard(kind: Any, message: str, out: Any, answer: Any, data: Any) -> None:
            # The logging callback would come only with HiGHS' own output switched on.
            nonlocal due
            seconds = out.running_time - began
            improved = kind == kinds.kCallbackMipImprovingSolution
            if progress is not None and self._raised is None and (improved or seconds >= due):
                due = seconds + _PROGRESS_SECONDS
                try:
                    progress(
                        Progress(
                            seconds=seconds,
                            objective=out.mip_primal_bound,
                            bound=out.mip_dual_bound,
                            gap=relative_gap(out.mip_primal_bound, out.mip_dual_bound),
                            nodes=max(out.mip_node_count, 0),
                        )
                    )
                except Exception as error:
                    self._raised = error
            if not improved:
                answer.user_interrupt = stop() or self._raised is not None

        self._highs.setCallback(heard, None)
        self._highs.startCallback(kinds.kCallbackMipInterrupt)
        if progress is not None:
            self._highs.startCallback(kinds.kCallbackMipImprovingSolution)

    def listen_no_more(self) -> None:
        """End what `listen` began."""
        self._highs.setCallback(None, None)

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
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
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

    def solution(self) -> tuple[FloatArray, FloatArray]:
        """Column values and row duals, in the sense of minimization."""
        solution = self._highs.getSolution()
        return np.array(solution.col_value), np.array(solution.row_dual)

    def dual_ray(self) -> FloatArray | None:
        """Multipliers of a Farkas certificate after an infeasible run without presolve."""
        _, exists, ray = self._highs.getDualRay()
        return np.array(ray) if exists else None

    def primal_ray(self) -> FloatArray | None:
        """A ray after an unbounded run without presolve."""
        _, exists, ray = self._highs.getPrimalRay()
        return np.array(ray) if exists else None

    def irreducible_infeasible_subset(self) -> InfeasibleSubset | None:
        """Reduce an infeasible LP that was run; None if HiGHS does not succeed."""
        # The default strategy may return an empty subset with status ok.
        kinds: Any = highspy._core
        self.set_options(
            iis_strategy=int(kinds.kIisStrategyFromLp) + int(kinds.kIisStrategyIrreducible)
        )
        status, iis = self._highs.getIis()
        if status == highspy.HighsStatus.kError or not iis.valid_:
            return None
        lower = [int(kinds.kIisBoundStatusLower), int(kinds.kIisBoundStatusBoxed)]
        upper = [int(kinds.kIisBoundStatusUpper), int(kinds.kIisBoundStatusBoxed)]
        row_side = np.array([int(side) for side in iis.row_bound_], dtype=np.int64)
        column_side = np.array([int(side) for side in iis.col_bound_], dtype=np.int64)
        return InfeasibleSubset(
            rows=np.array(iis.row_index_, dtype=np.int32),
            row_lower=np.isin(row_side, lower),
            row_upper=np.isin(row_side, upper),
            columns=np.array(iis.col_index_, dtype=np.int32),
            column_lower=np.isin(column_side, lower),
            column_upper=np.isin(column_side, upper),
        )

    def ranging(self) -> Ranges | None:
        """Ranges at an optimal basis; None if there is none."""
        status, ranging = self._highs.getRanging()
        if status == highspy.HighsStatus.kError or not ranging.valid:
            return None
        basic = highspy.HighsBasisStatus.kBasic
        return Ranges(
            cost_lower=np.array(ranging.col_cost_dn.value_),
            cost_upper=np.array(ranging.col_cost_up.value_),
            row_lower=np.array(ranging.row_bound_dn.value_),
            row_upper=np.array(ranging.row_bound_up.value_),
            row_basic=np.array([s == basic for s in self._highs.getBasis().row_status]),
        )

    def seconds(self) -> float:
        """Run time so far, over all runs of this object."""
        return float(self._highs.getRunTime())

    def _accepted(self, status: Any, action: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise NumericalTroubleError(
                f"HiGHS refused to {action}: check for NaN or crossed bounds"
            )
