"""The second stage with integers relaxed: values and slopes for cuts, scenario by scenario.

Where a scenario is infeasible, how far it is from feasible (the least sum of slacks) is a convex
function of the state, whose tangent is a feasibility cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, eye, hstack

from optrl.decomposition.benders.cuts import Cut, tangent
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.sddp.pushing import push_outcome, push_state
from optrl.decomposition.sddp.stage import Outcome, Stage
from optrl.solver import InfeasibleError, Model, NumericalTroubleError, Solution

_FEASIBLE = 1e-7

_Key = tuple[str, int]


@dataclass(frozen=True)
class Evaluation:
    """The relaxed second stage at a state.

    Attributes:
        cuts: One a scenario, tangent at the state.
        values: Cost of each scenario, inf where it is infeasible, shape (S,).
    """

    cuts: tuple[Cut, ...]
    values: FloatArray


class RelaxedRecourse:
    """One hot program for each node and program of the second stage."""

    def __init__(self, problem: TwoStage) -> None:
        """Load nothing yet."""
        self._problem = problem
        self._models: dict[_Key, Model] = {}
        self._elastic: dict[_Key, Model] = {}

    def evaluate(self, state: FloatArray) -> Evaluation:
        """Solve all scenarios at a state, shape (K,)."""
        solved = list(self._solve_all(state))
        return Evaluation(tuple(cut for cut, _ in solved), np.array([v for _, v in solved]))

    def _solve_all(self, state: FloatArray) -> Iterator[tuple[Cut, float]]:
        for number, scenario in enumerate(self._problem.scenarios):
            stage = self._problem.second(scenario)
            outcome = stage.outcomes[scenario.outcome]
            key = (scenario.node, outcome.program)
            # Infeasibility is explained at length, so it is met by slacks from the second time on.
            short = self._shortfall(key, stage, outcome, state) if key in self._elastic else None
            if short is None or short.objective <= _FEASIBLE:
                if key not in self._models:
                    self._models[key] = Model(stage.relaxed()[key[1]], pricing="devex")
                try:
                    solved = self._solve(self._models[key], stage, outcome, state)
                except InfeasibleError:
                    short = self._shortfall(key, stage, outcome, state)
                except NumericalTroubleError:
                    # On the brink of infeasibility the solver's answers may differ.
                    if short is None:
                        raise
                else:
                    value = solved.objective
                    yield tangent(number, value, _slope(solved, stage), state), value
                    continue
            yield tangent(None, short.objective, _slope(short, stage), state), np.inf

    def _shortfall(self, key: _Key, stage: Stage, outcome: Outcome, state: FloatArray) -> Solution:
        """How far a scenario is from feasible."""
        if key not in self._elastic:
            self._elastic[key] = Model(elastic(stage.relaxed()[key[1]]), pricing="devex")
        return self._solve(self._elastic[key], stage, replace(outcome, cost={}), state)

    @staticmethod
    def _solve(model: Model, stage: Stage, outcome: Outcome, state: FloatArray) -> Solution:
        push_state(model, stage, state)
        push_outcome(model, outcome)
        return model.solve()


def elastic(program: LinearProgram) -> LinearProgram:
    """The program with slacks in all rows, whose sum is all it costs."""
    rows, columns = program.matrix.shape
    slack = hstack([eye(rows), -eye(rows)])
    return replace(
        program,
        cost=np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        offset=0.0,
        matrix=csr_matrix(hstack([program.matrix, slack], format="csr")),
        column_lower=np.concatenate([program.column_lower, np.zeros(2 * rows)]),
        column_upper=np.concatenate([program.column_upper, np.full(2 * rows, np.inf)]),
        integrality=np.concatenate([program.integrality, np.zeros(2 * rows, dtype=np.bool_)]),
        columns={**program.columns, "slack": Block("slack", columns, columns + 2 * rows, str)},
        data={n: replace(b, cost=np.zeros_like(b.cost)) for n, b in program.data.items()},
    )


def _slope(solved: Solution, stage: Stage) -> FloatArray:
    return np.concatenate([solved.gradient(name) for name in stage.incoming])
