"""The master over multipliers: the blocks' dual functions from above, trusted in a box.

    maximize  sum_g theta_g
    over      theta_g <= cost + lambda_g' x    for each point (cost, x) met in block g
              sum_g lambda_g = 0,   |lambda_g - centre_g| <= radius * share_g * scale

Its duals weigh the points of each block; their average over blocks is a first stage of the
relaxation, the natural candidate for a solution. Nonanticipativity is a set of equations, so the
multipliers are free, unlike the prices of shared capacities in `decomposition.blocks`.

Source: Caroe & Schultz (1999), Operations Research Letters 24(1-2), section 3; Marsten, Hogan &
Blankenship (1975), Operations Research 23(3) (the box).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import csr_matrix, eye, hstack, kron

from optrl.solver import Model, Solution

_FAR = 1e20
_RESIZED = 12


@dataclass(frozen=True)
class Proposal:
    """Where to ask next.

    Attributes:
        multipliers: Shape (G, K).
        promised: What the model says of them.
        average: First stage of the relaxation, shape (columns,).
    """

    multipliers: FloatArray
    promised: float
    average: FloatArray


class Bundle:
    """Points met, and the box."""

    def __init__(self, share: FloatArray, state: IntArray, scale: FloatArray) -> None:
        """Without points.

        Args:
            share: Probability of each block, sums to 1, shape (G,).
            state: Columns of the first stage that multipliers price, shape (K,).
            scale: Of a multiplier, shape (K,).
        """
        self._share, self._state = share, state
        self._unit = share[:, None] * scale
        self._points: list[tuple[int, FloatArray]] = []
        self._radius, self._share_of_room = 1.0, 0.3
        blocks, size = self._unit.shape
        self._theta = Block("theta", 0, blocks, str)
        self._nu = Block("multipliers", blocks, blocks + blocks * size, str)
        width = self._nu.stop
        summed = hstack([csr_matrix((size, blocks)), kron(share[None, :], eye(size))])
        self._model = Model(
            LinearProgram(
                cost=np.concatenate([-np.ones(blocks), np.zeros(blocks * size)]),
                offset=0.0,
                matrix=csr_matrix(summed),
                row_lower=np.zeros(size),
                row_upper=np.zeros(size),
                column_lower=np.full(width, -_FAR),
                column_upper=np.full(width, _FAR),
                integrality=np.zeros(width, dtype=np.bool_),
                columns={"theta": self._theta, "multipliers": self._nu},
                rows={"sum": Block("sum", 0, size, str)},
            ),
            # Points that differ little end in rows that scaling pushes beyond the tolerance.
            scaling=False,
        )

    @property
    def size(self) -> int:
        """Points held."""
        return len(self._points)

    def add(self, points: Sequence[tuple[int, float, FloatArray]]) -> None:
        """Points (block, cost, first stage's columns)."""
        if not points:
            return
        size = len(self._state)
        slope = np.zeros((len(points), self._nu.stop))
        for row, (block, _, x) in enumerate(points):
            slope[row, block] = 1.0
            at = self._nu.start + block * size
            slope[row, at : at + size] = -x[self._state] * self._unit[block]
        cost = np.array([cost for _, cost, _ in points])
        free = np.full(len(points), -np.inf)
        self._model.add_rows(f"points {self.size}", csr_matrix(slope), free, cost)
        self._points += [(block, x) for block, _, x in points]

    def learn(self, kept: float) -> None:
        """Adapt to the part of its promise that the last proposal kept."""
        if kept >= 0.5:
            self._share_of_room = min(0.5, 1.5 * self._share_of_room)
        elif kept <= 0:
            self._share_of_room = max(0.01, 0.7 * self._share_of_room)

    def propose(self, centre: FloatArray, best: float, room: float) -> Proposal:
        """The model's maximum over a box that promises a part of the room.

        Every block must have a point.

        Args:
            centre: Multipliers of the best bound, shape (G, K).
            best: That bound.
            room: How far the optimum may lie above it.
        """
        wanted = self._share_of_room * room
        grown = shrunk = False
        for _ in range(_RESIZED):
            solved = self._solve(centre)
            rise = -solved.objective - best
            if rise > wanted and not grown:
                self._radius, shrunk = self._radius / 2, True
            elif rise < wanted / 4 and not shrunk:
                self._radius, grown = 2 * self._radius, True
            else:
                break
        assert solved.row_dual is not None
        weight = np.abs(solved.row_dual[len(self._state) :])
        block = np.array([b for b, _ in self._points])
        average = (weight * self._share[block]) @ np.array([x for _, x in self._points])
        nu = solved.x[self._nu.slice].reshape(self._unit.shape)
        multipliers = nu * self._unit
        # The solver's tolerance on the sum, times the first stage, would be part of the bound.
        multipliers -= self._share[:, None] * multipliers.sum(axis=0)
        return Proposal(multipliers, -solved.objective, average)

    def _solve(self, centre: FloatArray) -> Solution:
        at = (centre / self._unit).ravel()
        self._model.push_bounds(self._nu, at - self._radius, at + self._radius)
        return self._model.solve()
