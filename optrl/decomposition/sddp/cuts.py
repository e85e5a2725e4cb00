"""A cost-to-go as the maximum of affine cuts, and which of them are kept.

    cost_to_go(state) >= max(lower, max_c intercept_c + gradient_c' state)

Source: Pereira & Pinto (1991), Mathematical Programming 52; de Matos, Philpott & Finardi (2015),
Journal of Computational and Applied Mathematics 290 (level-one selection).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

Selection = Literal["level_one", "last_used", "none"]


class CutPool:
    """Cuts of one cost-to-go, in the order they were made.

    Attributes:
        lower: Valid lower bound for all states, -inf where only cuts bound it.
        initial: Number of first cuts that are never dropped; without a finite `lower` they
            keep programs bounded.
    """

    def __init__(self, size: int, lower: float) -> None:
        """An empty pool for states of `size` entries."""
        self.lower = lower
        self.initial = 0
        self._count = 0
        self._intercept = np.zeros(16)
        self._gradient = np.zeros((16, size))
        self._used = np.zeros(16, dtype=np.int64)
        self._visited: list[FloatArray] = []
        self._known: set[bytes] = set()

    def __len__(self) -> int:
        return self._count

    @property
    def intercept(self) -> FloatArray:
        """Shape (C,)."""
        return self._intercept[: self._count]

    @property
    def gradient(self) -> FloatArray:
        """Shape (C, K)."""
        return self._gradient[: self._count]

    @property
    def used(self) -> IntArray:
        """Iteration in which each cut was last binding, shape (C,)."""
        return self._used[: self._count]

    @property
    def visited(self) -> FloatArray:
        """States at which cuts were made, each once and in order, shape (n, K)."""
        return np.array(self._visited).reshape(-1, self._gradient.shape[1])

    def add(self, value: float, gradient: FloatArray, state: FloatArray, iteration: int) -> None:
        """Add the cut of this value and slope at a state, which counts as visited."""
        if self._count == len(self._intercept):
            self._intercept = np.concatenate([self._intercept, np.zeros_like(self._intercept)])
            self._gradient = np.concatenate([self._gradient, np.zeros_like(self._gradient)])
            self._used = np.concatenate([self._used, np.zeros_like(self._used)])
        # HiGHS drops coefficients this small, which must not lift the cut.
        slope = np.where(np.abs(gradient) < 1e-9, 0.0, gradient)
        self._intercept[self._count] = value - slope @ state - 1e-9 * (1 + abs(value))
        self._gradient[self._count] = slope
        self._used[self._count] = iteration
        self._count += 1
        key = np.round(state, 9).tobytes()
        if key not in self._known:
            self._known.add(key)
            self._visited.append(np.array(state, dtype=float))

    def evaluate(self, states: FloatArray) -> tuple[FloatArray, IntArray]:
        """Highest cut at states (m, K): its height and number, -1 for `lower`."""
        if not self._count:
            return np.full(len(states), self.lower), np.full(len(states), -1, dtype=np.int64)
        heights = states @ self.gradient.T + self.intercept
        best = heights.argmax(axis=1)
        top = heights[np.arange(len(states)), best]
        below = top < self.lower
        return np.where(below, self.lower, top), np.where(below, -1, best)

    def touch(self, cuts: IntArray, iteration: int) -> None:
        """Note that cuts were binding."""
        self._used[cuts] = np.maximum(self._used[cuts], iteration)

    def select(self, by: Selection, iteration: int, patience: int) -> None:
        """Drop cuts; numbers of those left change.

        Args:
            by: "level_one" keeps those highest at one of the states visited so far, "last_used"
                those binding within the last `patience` iterations.
            iteration: Now.
            patience: See `by`.
        """
        if by == "none" or self._count <= self.initial + 1:
            return
        keep: BoolArray = np.zeros(self._count, dtype=np.bool_)
        if by == "level_one":
            _, best = self.evaluate(self.visited)
            keep[best[best >= 0]] = True
        else:
            keep = self.used > iteration - patience
        keep[: self.initial] = True
        self._keep(keep)

    def _keep(self, keep: BoolArray) -> None:
        count = int(keep.sum())
        for array in (self._intercept, self._gradient, self._used):
            array[:count] = array[: self._count][keep]
        self._count = count

    def arrays(self) -> dict[str, FloatArray | IntArray]:
        """Everything but `lower` and `initial`, for files."""
        return {
            "intercept": self.intercept.copy(),
            "gradient": self.gradient.copy(),
            "used": self.used.copy(),
            "visited": self.visited,
        }

    @classmethod
    def of(cls, arrays: dict[str, FloatArray | IntArray], lower: float, initial: int) -> CutPool:
        """The pool that gave `arrays`."""
        intercept, gradient = arrays["intercept"], arrays["gradient"]
        pool = cls(gradient.shape[1], lower)
        pool.initial, pool._count = initial, len(intercept)
        room = max(16, len(intercept))
        pool._intercept = np.zeros(room)
        pool._gradient = np.zeros((room, gradient.shape[1]))
        pool._used = np.zeros(room, dtype=np.int64)
        pool._intercept[: len(intercept)] = intercept
        pool._gradient[: len(intercept)] = gradient
        pool._used[: len(intercept)] = arrays["used"]
        pool._visited = [np.asarray(row, dtype=float) for row in arrays["visited"]]
        pool._known = {np.round(row, 9).tobytes() for row in pool._visited}
        return pool
