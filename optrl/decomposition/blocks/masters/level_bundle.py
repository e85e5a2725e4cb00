"""Master: a level bundle method, one cut a round and group.

The next prices are those nearest to the best so far at which the cutting-plane model promises

    level = lower + share * (the model's maximum over a box - lower),

nearest in the largest change relative to each row's scale. Every cut made at an earlier proposal
keeps later ones at a distance from it that depends on the gap alone, so that the gap closes in
finitely many rounds in any norm.

Source: Lemarechal, Nemirovskii & Nesterov (1995), Mathematical Programming 69; Frangioni (2002),
SIAM Journal on Optimization 13(1) (norms other than the Euclidean).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import coo_matrix, csr_matrix, eye, hstack, kron, vstack

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.master import MasterState, Standing
from optrl.decomposition.blocks.masters.box import Box
from optrl.decomposition.blocks.restricted import solve_restricted
from optrl.solver import Model


@dataclass
class LevelBundle:
    """See the module's docstring.

    Attributes:
        share: Of what the model promises beyond the best bound, in (0, 1).
        radius: Of the first box, relative to each price.
    """

    name: ClassVar[str] = "level_bundle"
    needs_combination: ClassVar[bool] = True

    share: float = 0.5
    radius: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise BlockError(f"share is {self.share}: it must lie strictly between 0 and 1")
        self._box = Box(self.radius)

    def propose(self, standing: Standing) -> FloatArray:
        """See `Master`."""
        self._box.learn(standing)
        centre, lower, upper = self._box.around(standing)
        limits = standing.coupling.limits
        best = solve_restricted(standing.ledger, limits, lower, upper)
        self._box.promised, self._box.before = best.value, standing.lower
        if not best.value > standing.lower > -np.inf:
            return best.prices
        level = standing.lower + self.share * (best.value - standing.lower)
        return _nearest(standing.ledger, limits, centre, lower, upper, level)

    def state(self) -> MasterState:
        """The box."""
        return self._box.state()

    def restore(self, state: MasterState) -> None:
        """See `Master`."""
        self._box = Box.of(state)


def _nearest(
    ledger: Ledger,
    limits: FloatArray,
    centre: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    level: float,
) -> FloatArray:
    """Prices in the box nearest to the centre where the model reaches the level, shape (K,).

    minimize sum_k |p_k - c_k| / reach_k over p, theta: theta_g <= cost_mg + usage_mg p for every
    cut, sum_g theta_g - limits p >= level. Written with p = c + u - d, 0 <= u, d.
    """
    cost, usage = np.stack(ledger.cost), np.stack(ledger.usage)
    rounds, groups, rows = usage.shape
    reach = np.maximum(upper - lower, 1e-12)
    at_centre = cost + usage @ centre
    slopes = csr_matrix((usage * reach).reshape(rounds * groups, rows))
    theta = kron(np.ones((rounds, 1)), eye(groups))
    value = csr_matrix((limits * reach)[None, :])
    matrix = vstack(
        [
            hstack([theta, -slopes, slopes]),
            hstack([coo_matrix(np.ones((1, groups))), -value, value]),
        ],
        format="csr",
    )
    size = groups + 2 * rows
    free = np.full(groups, np.inf)
    program = LinearProgram(
        cost=np.concatenate([np.zeros(groups), np.ones(2 * rows)]),
        offset=0.0,
        matrix=matrix,
        row_lower=np.concatenate(
            [np.full(rounds * groups, -np.inf), [level + float(limits @ centre)]]
        ),
        row_upper=np.concatenate([at_centre.ravel(), [np.inf]]),
        column_lower=np.concatenate([-free, np.zeros(2 * rows)]),
        column_upper=np.concatenate([free, (upper - centre) / reach, (centre - lower) / reach]),
        integrality=np.zeros(size, dtype=bool),
        columns={"column": Block("column", 0, size, str)},
        rows={"cut": Block("cut", 0, rounds * groups + 1, str)},
    )
    x = Model(program).solve().x
    change = (x[groups : groups + rows] - x[groups + rows :]) * reach
    return np.clip(centre + change, lower, upper)
