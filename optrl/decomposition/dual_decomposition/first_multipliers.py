"""First multipliers: the duals of the relaxed extensive form.

With y_s the duals of scenario s' rows and T_s what the first stage does to them,

    lambda_s = T_s' y_s - p_s d_s - share_s sum_r (T_r' y_r - p_r d_r)

(d: what the state costs in the second stage) sum to zero and give a bound at least as high as the
relaxation's: each block's relaxation has the same duals.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.copied import with_copy
from optrl.decomposition.benders.problem import TwoStage
from optrl.solver import Model


def first_multipliers(problem: TwoStage) -> tuple[FloatArray, FloatArray]:
    """Multipliers (S, K) that sum to zero, and the relaxation's first stage, (columns,).

    Raises:
        InfeasibleError: If the relaxation is infeasible, and the program with it.
    """
    parts = [problem.recourse(s) for s in range(len(problem.scenarios))]
    program, _ = with_copy(parts, problem.first, problem.state)
    solved = Model(replace(program, integrality=np.zeros_like(program.integrality))).solve()
    assert solved.row_dual is not None
    slopes = np.zeros((len(parts), len(problem.state)))
    start = 0
    for s, part in enumerate(parts):
        stop = start + len(part.program.row_lower)
        dual = solved.row_dual[start:stop]
        slopes[s] = part.linking.T @ dual - part.probability * part.state_cost
        start = stop
    share = problem.probability / problem.probability.sum()
    return slopes - share[:, None] * slopes.sum(axis=0), solved.x[program.columns["copy"].slice]
