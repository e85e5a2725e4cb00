"""The program over all columns so far, and over prices in a box: one linear program and its dual.

    minimize    sum_mg cost_mg w_mg + sum_k upper_k over_k - sum_k lower_k under_k
    subject to  sum_mg usage_mg w_mg - over + under <= limits     (dual: prices, lower..upper)
                sum_m w_mg = 1 for every group g,  w, over, under >= 0

With lower = 0 and upper = price limit this is the Dantzig-Wolfe master: its weights average the
columns into a plan that holds the capacities. With any other box its dual maximizes the
cutting-plane model of the Lagrangian over that box (Kelley's method in a trust region).

Source: Dantzig & Wolfe (1960), Operations Research 8(1); Marsten, Hogan & Blankenship (1975),
Operations Research 23(3) (the box); du Merle, Villeneuve, Desrosiers & Hansen (1999), Discrete
Mathematics 194 (its columns).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, eye, hstack, kron, vstack

from optrl.decomposition.blocks.ledger import Ledger
from optrl.solver import Model


@dataclass(frozen=True)
class Restricted:
    """Solution of the restricted program.

    Attributes:
        value: Optimal value.
        weights: Of each column, shape (M, G), nonnegative, each group's sum 1.
        over: Usage above the limits that was paid for at `upper`, shape (K,).
        prices: Duals of the capacity rows, within the box, shape (K,).
    """

    value: float
    weights: FloatArray
    over: FloatArray
    prices: FloatArray


def solve_restricted(
    ledger: Ledger, limits: FloatArray, lower: FloatArray, upper: FloatArray
) -> Restricted:
    """Solve it from scratch, so that the same ledger gives the same answer in every process.

    Args:
        ledger: Columns.
        limits: Capacities, shape (K,).
        lower: Smallest price of each row, shape (K,).
        upper: Largest price, shape (K,); infinite where rows must hold.

    Raises:
        optrl.solver.InfeasibleError: If no combination holds the rows whose price has no limit.
    """
    cost, usage = np.stack(ledger.cost), np.stack(ledger.usage)
    rounds, groups, rows = usage.shape
    paid = np.isfinite(upper)
    credited = np.flatnonzero(lower > 0)
    above = np.flatnonzero(paid)
    scale = np.maximum(np.abs(usage).max(axis=(0, 1), initial=0.0), np.abs(limits))
    scale = np.where(scale > 0, scale, 1.0)
    # Tolerances of HiGHS are absolute, so that the dearest column costs the same in any currency.
    money = max(float(np.abs(cost).max(initial=0.0)), 1e-300) / _DEAREST
    columns = csr_matrix(usage.reshape(rounds * groups, rows).T / scale[:, None])
    unit = csr_matrix(eye(rows))
    matrix = vstack(
        [
            hstack([columns, -unit[:, above], unit[:, credited]]),
            hstack(
                [
                    kron(np.ones((1, rounds)), eye(groups)),
                    csr_matrix((groups, len(above) + len(credited))),
                ]
            ),
        ],
        format="csr",
    )
    width = matrix.shape[1]
    program = LinearProgram(
        cost=np.concatenate([cost.ravel(), (upper * scale)[above], -(lower * scale)[credited]])
        / money,
        offset=0.0,
        matrix=matrix,
        row_lower=np.concatenate([np.full(rows, -np.inf), np.ones(groups)]),
        row_upper=np.concatenate([limits / scale, np.ones(groups)]),
        column_lower=np.zeros(width),
        column_upper=np.full(width, np.inf),
        integrality=np.zeros(width, dtype=bool),
        columns={"column": Block("column", 0, width, str)},
        rows={
            "capacity": Block("capacity", 0, rows, str),
            "convexity": Block("convexity", rows, rows + groups, str),
        },
    )
    solution = Model(program).solve()
    weights = np.maximum(solution.x[: rounds * groups].reshape(rounds, groups), 0.0)
    over = np.zeros(rows)
    over[above] = np.maximum(solution.x[rounds * groups :][: len(above)], 0.0) * scale[above]
    prices = np.clip(-solution.duals("capacity") * money / scale, lower, upper)
    return Restricted(solution.objective * money, weights / weights.sum(axis=0), over, prices)


_DEAREST = 1e4
