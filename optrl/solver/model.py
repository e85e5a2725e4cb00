"""A program loaded into HiGHS: data pushed in bulk, solved again from the last basis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray

from optrl.solver.diagnosis import diagnose
from optrl.solver.errors import (
    InfeasibleError,
    NoSolutionError,
    NumericalTroubleError,
    SolverError,
    UnboundedError,
)
from optrl.solver.explanation import explain_infeasibility, unbounded_columns
from optrl.solver.highs import Progress, RunInfo, relative_gap
from optrl.solver.interrupt import interrupt_wish
from optrl.solver.pushing import LoadedProgram, Pricing
from optrl.solver.ranging import Ranging
from optrl.solver.solution import Solution, Status

_STATUS = {
    "kOptimal": Status.OPTIMAL,
    "kModelEmpty": Status.OPTIMAL,
    "kTimeLimit": Status.TIME_LIMIT,
    "kInterrupt": Status.INTERRUPTED,
    "kHighsInterrupt": Status.INTERRUPTED,
}


_EMPTY = RunInfo("kModelEmpty", True, 0.0, 0.0, 0, 0, 0.0, 0.0)


class Model(LoadedProgram):
    """One HiGHS object holding one program.

    The first solve presolves. Later ones start from the basis of the one before, which makes
    HiGHS skip presolve and need a few dual simplex iterations only. Everything is in the
    model's own sense: a maximizing model is given and gives its own costs, duals and bounds.

    Not safe for use by two threads at once; different models are, see `solve_all`.
    """

    def __init__(
        self,
        program: LinearProgram,
        *,
        threads: int = 1,
        scaling: bool = True,
        pricing: Pricing = "steepest_edge",
    ) -> None:
        """Load a program at its built-in data.

        Args:
            program: What to solve.
            threads: Threads for the MIP solver; LPs are solved by one.
            scaling: Whether the simplex method scales the matrix; see `LoadedProgram`.
            pricing: Of the dual simplex method; see `LoadedProgram`.
        """
        super().__init__(program, threads=threads, scaling=scaling, pricing=pricing)
        self._warnings = diagnose(program).warnings

    def solve(
        self,
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        start: FloatArray | None = None,
        interior_point: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Solution:
        """Solve from the basis at hand.

        Args:
            time_limit: Seconds, None for no limit.
            relative_gap: Gap at which a MIP counts as optimal; None for HiGHS' own 1e-4.
            start: A first solution of a MIP, shape (columns,), clipped to the bounds; HiGHS
                completes what is nan, and ignores what is infeasible.
            interior_point: Solve an LP by interior point and crossover, which leaves a basis
                for later solves: often faster from scratch above 50 thousand columns.
            progress: Told now and then where a MIP stands; LPs do not report.

        Raises:
            InfeasibleError: With the members in conflict.
            UnboundedError: With the columns that grow.
            NoSolutionError: If a limit was reached without a solution.
            NumericalTroubleError: If HiGHS cannot decide.
            KeyboardInterrupt: If Ctrl-C was pressed before there was a solution.
        """
        began = time.perf_counter()
        self._highs.set_options(
            time_limit=math.inf if time_limit is None else self._highs.seconds() + time_limit,
            solver="ipm" if interior_point and not self._solved.has_integers else "choose",
            mip_rel_gap=1e-4 if relative_gap is None else relative_gap,
        )
        if start is not None:
            # HiGHS refuses a start that violates a bound by rounding alone.
            bounds = self._solved.column_lower, self._solved.column_upper
            self._highs.set_start(np.clip(np.asarray(start, dtype=np.float64), *bounds))
        if not len(self._solved.cost):
            return self._solve_empty(began)
        info, interrupted = self._run(progress)
        warnings = self._warnings
        doubt = self._doubt(info)
        if doubt is not None:
            self._highs.forget()
            info, interrupted = self._run(progress)
            warnings += (f"solved again from scratch: {doubt}",)
            if self._doubt(info) is not None:
                raise NumericalTroubleError(
                    f"{self._doubt(info)}, also when solved from scratch; see diagnose() for "
                    "coefficient ranges"
                )
        if interrupted and not info.feasible:
            raise KeyboardInterrupt
        if not info.feasible:
            within = "" if time_limit is None else f" within the time limit of {time_limit:g} s"
            raise NoSolutionError(
                f"no feasible solution was found{within} (HiGHS ended with {info.status}); allow "
                "more time, offer a first solution, or see diagnose() for coefficient ranges",
                self._sign * info.bound,
            )
        worst = max(
            info.primal_violation, 0.0 if self._solved.has_integers else info.dual_violation
        )
        if info.status == "kOptimal" and worst > 1e-6:
            warnings += (f"HiGHS reports a violation of {worst:.1g}: see diagnose()",)
        return self._solution(info, time.perf_counter() - began, warnings)

    def ranging(self) -> Ranging:
        """Ranges of costs and right-hand sides at the optimal basis just found.

        Raises:
            SolverError: If the model is a MIP or was not just solved to optimality.
        """
        ranges = None if self._solved.has_integers else self._highs.ranging()
        if ranges is None:
            raise SolverError("ranging needs an LP that was just solved to optimality")
        shift = sum(self._shift.values(), start=np.zeros(len(self._base_lower)))
        lower, upper = ranges.cost_lower, ranges.cost_upper
        if self._sign < 0:
            lower, upper = -upper, -lower
        at_no_bound = np.where(ranges.row_basic, np.nan, 0.0)
        return Ranging(
            lower,
            upper,
            ranges.row_lower + shift + at_no_bound,
            ranges.row_upper + shift + at_no_bound,
            self.solved,
        )

    def _run(self, progress: Callable[[Progress], None] | None) -> tuple[RunInfo, bool]:
        return self._run_mip(progress) if self._solved.has_integers else (self._highs.run(), False)

    def _doubt(self, info: RunInfo) -> str | None:
        """Raise what is certain to be an error; say what is doubtful about a run."""
        if info.status in _STATUS:
            return None
        if info.status in ("kInfeasible", "kUnboundedOrInfeasible"):
            conflict = explain_infeasibility(self.solved, self.program, self._data)
            if conflict is not None:
                by_integers = any(m.kind == "integrality" for m in conflict.members)
                note = " (its continuous relaxation is feasible)" if by_integers else ""
                raise InfeasibleError(f"the model is infeasible{note}: {conflict}", conflict)
        if info.status in ("kUnbounded", "kUnboundedOrInfeasible"):
            columns = unbounded_columns(self.solved)
            if columns is not None:
                raise UnboundedError(
                    "the objective improves without limit along "
                    f"{', '.join(columns) or 'a ray HiGHS does not give'}; bound these variables "
                    "or check the signs of their costs",
                    columns,
                )
        return f"HiGHS ended with status {info.status.removeprefix('k')} and it is not confirmed"

    def _solve_empty(self, began: float) -> Solution:
        """Without columns HiGHS checks nothing."""
        p = self.solved
        if (p.row_lower > 0).any() or (p.row_upper < 0).any():
            self._doubt(replace(_EMPTY, status="kInfeasible"))
        info = replace(_EMPTY, objective=p.offset)
        return self._solution(info, time.perf_counter() - began, self._warnings)

    def _run_mip(self, progress: Callable[[Progress], None] | None) -> tuple[RunInfo, bool]:
        report = progress
        if progress is not None and self._solved.maximize:

            def report(p: Progress) -> None:
                progress(replace(p, objective=-p.objective, bound=-p.bound))

        with interrupt_wish() as pressed:
            self._highs.listen(report, pressed)
            try:
                return self._highs.run(), pressed()
            finally:
                self._highs.listen_no_more()

    def _solution(self, info: RunInfo, seconds: float, warnings: tuple[str, ...]) -> Solution:
        status = _STATUS[info.status]
        sign = self._sign
        if self._solved.has_integers:
            x, row_dual = self._highs.primal(), None
            bound = info.bound
        else:
            x, row_dual = self._highs.solution()
            row_dual *= sign
            bound = info.objective if status is Status.OPTIMAL else -math.inf
        objective = info.objective
        return Solution(
            status=status,
            objective=sign * objective,
            bound=sign * bound,
            gap=relative_gap(objective, bound),
            seconds=seconds,
            iterations=info.iterations,
            nodes=info.nodes,
            x=x,
            row_dual=row_dual,
            program=self.program,
            loaded=self._solved,
            appended=tuple(self._appended),
            warnings=warnings,
        )
