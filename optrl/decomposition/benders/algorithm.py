"""Benders' decomposition of two-stage programs with integers in either stage, in two phases.

**Relaxation.** The master's integers are relaxed; cuts from the relaxed second stage are separated
between the master's solution and the point of the iteration before, which takes fewer iterations
than at the vertex, until none cuts off.

**Integer.** The master is solved with its integers, its bound is taken, its solution is cut off:
first by cuts of the relaxed second stage; where these are all but tight and the second stage has
integers, by Lagrangian cuts, and for binary states by integer L-shaped cuts, which end the method
after finitely many iterations. HiGHS takes no cuts inside its search, so the master is solved again
and again, from the best solution at hand.

Source: Benders (1962), Numerische Mathematik 4; Birge & Louveaux (1988), European Journal of
Operational Research 34(3) (multi-cut); Ben-Ameur & Neto (2007), Networks 49(1) (separation in
between); Laporte & Louveaux (1993), Operations Research Letters 13(3); Angulo, Ahmed & Dey (2016),
INFORMS Journal on Computing 28(3) (relaxed cuts before integer ones).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.cuts import Cut, integer_l_shaped
from optrl.decomposition.benders.events import (
    BendersIterated,
    BendersSettings,
    Ended,
    Phase,
    Told,
    TwoStageResult,
    gap_of,
)
from optrl.decomposition.benders.integer_recourse import IntegerRecourse
from optrl.decomposition.benders.master import Master, MasterPoint
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.benders.recourse import Evaluation, RelaxedRecourse
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.solver import NoSolutionError

_VIOLATED = 1e-6
_STALLED_AFTER, _STALLED = 12, 1e-5
# Integer cuts come when the relaxed second stage explains all but this part of the gap.
_ALMOST = 0.1


class Benders:
    """One run's state.

    Attributes:
        problem: The program.
        settings: How to run.
        bound: Best lower bound so far.
        value: Cost of the best solution so far.
        x: Its first stage's columns.
    """

    def __init__(
        self,
        graph: PolicyGraph,
        settings: BendersSettings | None = None,
        *,
        told: Told | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take the graph apart and load the master.

        Args:
            graph: Of two stages, see `TwoStage.of`; `two_stage_graph` makes one of a core and
                scenarios, `pyomo_stage` stages of Pyomo blocks.
            settings: How to run.
            told: Called after every master.
            clock: Seconds, for limits and the trace.

        Raises:
            NotTwoStageError: If the graph is not one of two stages, or see `TwoStage.of`.
        """
        self.problem = TwoStage.of(graph)
        self.settings = BendersSettings() if settings is None else settings
        self.bound, self.value = -np.inf, np.inf
        self.x: FloatArray | None = None
        self._told, self._clock = told, clock
        self._relaxed = RelaxedRecourse(self.problem)
        self._master = Master(self.problem, self._hardest(self.settings.retained))
        self._integer = IntegerRecourse(self.problem, self.settings.piece_seconds)
        self._steps = 0
        self._known: dict[bytes, tuple[FloatArray, FloatArray]] = {}
        self._trace: list[tuple[int, float, float, float]] = []
        self._began = clock()

    def run(self) -> TwoStageResult:
        """Run until the gap is closed or a limit is reached.

        Raises:
            InfeasibleError: If no first stage leaves the second one feasible.
        """
        self._began = self._clock()
        ended = self._relaxation()
        whole = self._master.has_integers or self.problem.integer_recourse
        if ended is None and whole:
            ended = self._branch_and_cut()
        if ended is None:
            ended = "optimal" if self._gap() <= self.settings.gap else "no cut"
        return TwoStageResult(
            *(self.bound, self.value, self.x, ended),
            *(len(self._trace), self._master.cuts, tuple(self._trace)),
        )

    def _hardest(self, count: int) -> list[int]:
        """Scenarios that the cheapest first stage of all serves worst: infeasible, then costly."""
        if count == 0:
            return []
        state = Master(self.problem).solve_relaxed().state
        found = self._relaxed.evaluate(state)
        height = np.array([cut.height(state) for cut in found.cuts])
        cost = np.where(np.isfinite(found.values), self.problem.probability, 1.0) * height
        order = np.lexsort((-cost, np.isfinite(found.values)))
        return sorted(order[:count].tolist())

    def _relaxation(self) -> Ended | None:
        """Cuts for the relaxed master; the end of the run, or None to go on."""
        weight, centre = self.settings.centre, None
        bounds: list[float] = []
        while True:
            point = self._master.solve_relaxed()
            self.bound = max(self.bound, point.bound)
            between = (
                point.state if centre is None else weight * centre + (1 - weight) * point.state
            )
            violated = self._relaxed_cuts(between, point)
            if not violated and centre is not None:
                between = point.state
                violated = self._relaxed_cuts(between, point)
            self._master.add(violated)
            ended = self._tell("relaxation")
            if ended is not None:
                return ended
            bounds.append(point.bound)
            rise = point.bound - bounds[max(len(bounds) - 1 - _STALLED_AFTER, 0)]
            slow = len(bounds) > _STALLED_AFTER and rise <= _STALLED * abs(point.bound)
            if not violated or (slow and self._master.has_integers):
                return None
            centre = between

    def _relaxed_cuts(self, at: FloatArray, point: MasterPoint) -> list[Cut]:
        """Tangents at a state that cut off a point; costs at its own state become a value."""
        evaluated = self._relaxed.evaluate(at)
        exact = not (self.problem.first.has_integers or self.problem.integer_recourse)
        if exact and at is point.state:
            self._offer(point, evaluated.values)
        return _cutting_off(evaluated.cuts, point)

    def _branch_and_cut(self) -> Ended | None:
        """The integer phase; None where no cut cuts off any more."""
        wanted = self.settings.gap
        finest = False
        while True:
            left = self._left()
            loose = wanted / 4 if finest else max(wanted / 4, min(0.01, self._gap() / 10))
            try:
                point = self._solve_master(loose, left)
            except NoSolutionError as error:
                self.bound = max(self.bound, error.bound)
                return "seconds"
            self.bound = max(self.bound, min(point.bound, self.value))
            evaluated = self._relaxed.evaluate(point.state)
            cuts = _cutting_off(evaluated.cuts, point)
            if self.problem.integer_recourse:
                if self._nearly_tight(evaluated, point):
                    cuts += self._integer_cuts(evaluated, point)
            else:
                self._offer(point, evaluated.values)
            self._master.add(cuts)
            ended = self._tell("integer")
            if ended is not None:
                return ended
            if not cuts:
                if finest:
                    return None
                # The master's own tolerance may be all that is left of the gap.
                finest = True

    def _solve_master(self, gap: float, seconds: float | None) -> MasterPoint:
        if self._master.has_integers:
            return self._master.solve_integer(gap, seconds, self.x)
        return self._master.solve_relaxed()

    def _nearly_tight(self, evaluated: Evaluation, point: MasterPoint) -> bool:
        if not np.isfinite(evaluated.values).all():
            return False
        short = float(self.problem.probability @ np.maximum(evaluated.values - point.theta, 0.0))
        room = self.value - self.bound if np.isfinite(self.value) else abs(self.bound)
        return short <= max(_ALMOST * room, _VIOLATED * (1 + abs(self.bound)))

    def _integer_cuts(self, evaluated: Evaluation, point: MasterPoint) -> list[Cut]:
        """Cuts from integer programs of the scenarios, where they cut off the point.

        Multipliers are improved only when those at hand give no cut any more: a step costs as
        much as a cut.
        """
        lower, upper = self._exact_values(point.state)
        self._offer(point, upper)
        most = self.settings.lagrangian_steps
        while True:
            cuts = self._integer_round(evaluated, point, lower, self._steps)
            if cuts or self._steps >= most:
                return cuts
            self._steps = min(max(2 * self._steps, 1), most)

    def _integer_round(
        self, evaluated: Evaluation, point: MasterPoint, lower: FloatArray, steps: int
    ) -> list[Cut]:
        """Lagrangian cuts, and integer L-shaped ones where the last step gives none."""
        cuts: list[Cut] = []
        last = self.problem.binary_state and steps >= self.settings.lagrangian_steps
        for s, relaxed in enumerate(evaluated.cuts):
            target = float(lower[s])
            feasible = np.isfinite(target)
            if feasible and target <= point.theta[s] + _VIOLATED * (1 + abs(target)):
                continue
            if target == -np.inf:
                continue
            if self._left() == 0.0:
                break
            height = target if feasible else 0.0
            cut = self._integer.lagrangian(s, relaxed.slope, point.state, height, steps)
            found = _cutting_off([] if cut is None else [cut], point)
            if last and not found:
                found = [self._l_shaped(s, target, point.state)]
            cuts += found
        return cuts

    def _l_shaped(self, scenario: int, target: float, state: FloatArray) -> Cut:
        if np.isfinite(target):
            return integer_l_shaped(scenario, target, float(self.problem.lower[scenario]), state)
        # An infeasible binary state is excluded by itself: 1 - (distance from it) <= 0.
        one = integer_l_shaped(scenario, 1.0, 0.0, state)
        return Cut(None, one.intercept, one.slope)

    def _exact_values(self, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds (lower, upper) of each scenario's cost; nothing is known of those out of time."""
        key = np.round(state, 9).tobytes()
        if key not in self._known:
            count = len(self.problem.scenarios)
            lower, upper = np.full(count, -np.inf), np.full(count, np.inf)
            for s in range(count):
                if self._left() == 0.0:
                    return lower, upper
                lower[s], upper[s] = self._integer.value(s, state)
            self._known[key] = lower, upper
        return self._known[key]

    def _offer(self, point: MasterPoint, costs: FloatArray) -> None:
        """Take a first stage with the costs of its scenarios where it is the best so far."""
        if not np.isfinite(costs).all():
            return
        first = self.problem.first
        value = float(first.cost @ point.x) + first.offset + float(self.problem.probability @ costs)
        if value < self.value:
            self.value, self.x = value, point.x

    def _tell(self, phase: Phase) -> Ended | None:
        """Trace and event of an iteration; the end of the run where a limit is reached."""
        seconds = self._clock() - self._began
        number = len(self._trace) + 1
        self._trace.append((number, self.bound, self.value, seconds))
        if self._told is not None:
            cuts = self._master.cuts
            self._told(BendersIterated(number, phase, self.bound, self.value, cuts, seconds))
        settings = self.settings
        if self._gap() <= settings.gap:
            return "optimal"
        if settings.iterations is not None and number >= settings.iterations:
            return "iterations"
        if self._left() == 0.0:
            return "seconds"
        return None

    def _gap(self) -> float:
        return gap_of(self.value, self.bound)

    def _left(self) -> float | None:
        if self.settings.seconds is None:
            return None
        return max(self.settings.seconds - (self._clock() - self._began), 0.0)


def _cutting_off(cuts: Iterable[Cut], point: MasterPoint) -> list[Cut]:
    """The cuts that a point of the master violates."""
    found = []
    for cut in cuts:
        height = cut.height(point.state)
        below = 0.0 if cut.scenario is None else float(point.theta[cut.scenario])
        if height > below + _VIOLATED * (1 + abs(height)):
            found.append(cut)
    return found
