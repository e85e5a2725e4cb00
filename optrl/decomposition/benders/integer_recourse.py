"""The second stage with its integers: exact values, and Lagrangian cuts.

For any multipliers pi

    Q_s(state) >= v_s(pi) + pi' state,    v_s(pi) = min { q' y - pi' z : (y, z) together feasible }

where z is a copy of the first stage within its own rows, bounds and integers. With pi from the
duals of the relaxation this is the strengthened Benders cut; better multipliers at a state raise
it, up to the convex hull. What an integer program has not proved in its time is no part of a
cut: its bound is, which is valid at any time.

Source: Caroe & Schultz (1999), Operations Research Letters 24(1-2) (the relaxation); Zou, Ahmed &
Sun (2019), Mathematical Programming 175 (both cuts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import csr_matrix

from optrl.decomposition.benders.copied import Recourse, with_copy
from optrl.decomposition.benders.cuts import Cut, tangent
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.sddp.pushing import push_outcome, push_state
from optrl.solver import InfeasibleError, Model, NoSolutionError, UnboundedError

_FAR = 1e20


@dataclass(frozen=True)
class _Copied:
    """A scenario's program joined to a copy of the first stage, and the columns of the state."""

    model: Model
    state: IntArray
    base_cost: FloatArray


class IntegerRecourse:
    """Integer programs of one scenario each."""

    def __init__(self, problem: TwoStage, seconds: float) -> None:
        """Load nothing yet; each program may take `seconds`."""
        self._problem, self._seconds = problem, seconds
        self._exact: dict[tuple[str, int], Model] = {}
        self._copied: dict[tuple[str, int], _Copied] = {}

    def value(self, number: int, state: FloatArray) -> tuple[float, float]:
        """Bounds (lower, upper) of a scenario's cost at a state; (inf, inf) where infeasible."""
        scenario = self._problem.scenarios[number]
        stage = self._problem.second(scenario)
        key = (scenario.node, stage.outcomes[scenario.outcome].program)
        if key not in self._exact:
            self._exact[key] = Model(stage.programs[key[1]])
        model = self._exact[key]
        push_state(model, stage, state)
        push_outcome(model, stage.outcomes[scenario.outcome])
        try:
            solved = model.solve(time_limit=self._seconds, relative_gap=1e-7)
        except InfeasibleError:
            return np.inf, np.inf
        except NoSolutionError as error:
            return float(error.bound), np.inf
        return solved.bound, solved.objective

    def lagrangian(
        self, number: int, slope: FloatArray, state: FloatArray, target: float, steps: int
    ) -> Cut | None:
        """A Lagrangian cut, from multipliers at hand and, if need be, better ones.

        Args:
            number: Scenario.
            slope: First multipliers, shape (K,).
            state: Where the cut shall be high, shape (K,).
            target: Height at `state` that is enough, the scenario's cost.
            steps: Improvements of the multipliers, at most.

        Returns:
            The highest cut met, None where no multipliers gave a bound.
        """
        copied = self._copy(number)
        radius = 2.0 * (1.0 + float(np.abs(slope).max(initial=0.0)))
        centre, best = slope, -np.inf
        # What multipliers can give at most at the state, from the points met so far.
        pieces: list[tuple[float, FloatArray]] = []
        multipliers, cut = slope, None
        for step in range(steps + 1):
            bound, cost, z = self._relaxed(copied, number, multipliers)
            height = bound + float(multipliers @ state)
            if height > best:
                best, centre = height, multipliers
                cut = tangent(number, height, multipliers, state)
            else:
                radius /= 2
            if z is None and pieces and step < steps:
                # Out of the dual's domain: nearer to the best, where it is known to be finite.
                multipliers = (centre + multipliers) / 2
                continue
            if step == steps or z is None or best >= target - 1e-6 * (1 + abs(target)):
                break
            pieces.append((cost, state - z))
            promised, multipliers = _steepest(pieces, centre, radius)
            if promised <= best + 1e-6 * (1 + abs(best)):
                break
        return cut

    def _relaxed(
        self, copied: _Copied, number: int, multipliers: FloatArray
    ) -> tuple[float, float, FloatArray | None]:
        """Bound of v_s, and cost and state of the point found.

        Where the first stage has no bounds v_s may be -inf at improved multipliers.
        """
        scenario = self._problem.scenarios[number]
        outcome = self._problem.second(scenario).outcomes[scenario.outcome]
        push_outcome(copied.model, outcome)
        cost = copied.base_cost.copy()
        cost[copied.state - copied.model.solved.columns["copy"].start] -= multipliers
        copied.model.push_cost("copy", cost)
        try:
            solved = copied.model.solve(time_limit=self._seconds, relative_gap=1e-6)
        except NoSolutionError as error:
            return float(error.bound), np.inf, None
        except UnboundedError:
            return -np.inf, np.inf, None
        z = solved.x[copied.state]
        return solved.bound, solved.objective + float(multipliers @ z), z

    def _copy(self, number: int) -> _Copied:
        scenario = self._problem.scenarios[number]
        stage = self._problem.second(scenario)
        key = (scenario.node, stage.outcomes[scenario.outcome].program)
        if key not in self._copied:
            recourse = Recourse.of(stage, stage.programs[key[1]])
            program, state = with_copy([recourse], self._problem.free, self._problem.state)
            block = program.columns["copy"]
            self._copied[key] = _Copied(Model(program), state, program.cost[block.slice])
        return self._copied[key]


def _steepest(
    pieces: list[tuple[float, FloatArray]], centre: FloatArray, radius: float
) -> tuple[float, FloatArray]:
    """Multipliers within a box where the least of the pieces is highest, and that height.

    A piece is cost + multipliers' direction.
    """
    size = len(centre)
    matrix = np.column_stack([np.ones(len(pieces)), -np.array([d for _, d in pieces])])
    program = LinearProgram(
        cost=np.append(-1.0, np.zeros(size)),
        offset=0.0,
        matrix=csr_matrix(matrix),
        row_lower=np.full(len(pieces), -np.inf),
        row_upper=np.array([cost for cost, _ in pieces]),
        column_lower=np.append(-_FAR, centre - radius),
        column_upper=np.append(_FAR, centre + radius),
        integrality=np.zeros(size + 1, dtype=np.bool_),
        columns={"multipliers": Block("multipliers", 0, size + 1, str)},
        rows={"pieces": Block("pieces", 0, len(pieces), str)},
    )
    solved = Model(program).solve()
    return -solved.objective, solved.x[1:]
