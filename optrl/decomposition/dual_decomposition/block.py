"""A block: some scenarios with a copy of the first stage of their own.

    D_g(lambda) = min { P_g c' x + lambda' x[state] + sum_{s in g} p_s q_s' y_s }

over first and second stage together with their integers; P_g is the block's share of the
probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.copied import with_copy
from optrl.decomposition.benders.problem import TwoStage
from optrl.solver import Model, NoSolutionError, Status, UnboundedError


@dataclass(frozen=True)
class Answer:
    """A block at its multipliers.

    Attributes:
        bound: Proved lower bound of D_g; -inf where it has none.
        cost: Of the point found, without the multipliers' part.
        x: Its first stage's columns; None where no point was found.
        stopped: Whether the time was up before it was solved.
    """

    bound: float
    cost: float
    x: FloatArray | None
    stopped: bool


class ScenarioBlock:
    """One program in HiGHS, whose costs are pushed."""

    def __init__(self, problem: TwoStage, scenarios: Sequence[int]) -> None:
        """Join the scenarios of these numbers."""
        self.scenarios = tuple(scenarios)
        probability = problem.probability
        self.share = float(probability[list(scenarios)].sum() / probability.sum())
        first = problem.first
        own = replace(first, cost=self.share * first.cost, offset=self.share * first.offset)
        parts = [problem.recourse(s) for s in scenarios]
        program, self._state = with_copy(parts, own, problem.state)
        self._copy = program.columns["copy"]
        self._cost = program.cost
        self._model = Model(program)

    def solve(
        self,
        multipliers: FloatArray,
        gap: float,
        seconds: float | None,
        start: FloatArray | None = None,
    ) -> Answer:
        """Solve at multipliers.

        Args:
            multipliers: Shape (K,).
            gap: Relative gap at which to stop.
            seconds: At most, None for no limit.
            start: A first stage to start from, None for none.

        Raises:
            InfeasibleError: If no first stage serves the block's scenarios.
        """
        cost = self._cost.copy()
        cost[self._state] += multipliers
        self._model.push_cost(self._copy, cost[self._copy.slice])
        full = None
        if start is not None:
            full = np.full(len(cost), np.nan)
            full[self._copy.slice] = start
        try:
            solved = self._model.solve(relative_gap=gap, time_limit=seconds, start=full)
        except NoSolutionError as error:
            return Answer(float(error.bound), np.inf, None, True)
        except UnboundedError:
            return Answer(-np.inf, np.inf, None, False)
        priced = float(multipliers @ solved.x[self._state])
        stopped = solved.status is not Status.OPTIMAL
        return Answer(solved.bound, solved.objective - priced, solved.x[self._copy.slice], stopped)
