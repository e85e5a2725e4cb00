"""Compass search: one number is moved at a time, by steps that shrink where none helps.

Source: Kolda, Lewis & Torczon (2003), Optimization by direct search: new perspectives on some
classical and modern methods, SIAM Review 45(3), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.learning.base import JSON


class Compass:
    """Proposes points and is told what they cost.

    The first point proposed is the start. A direction that helped is tried again.

    Args:
        start: Shape (K,).
        step: First step of all numbers.
        smallest: Step below which the search begins anew from its best with the first step.
        least: Smallest values, shape (K,), or none.
    """

    def __init__(
        self, start: FloatArray, step: float, smallest: float, least: FloatArray | None = None
    ) -> None:
        self._center = np.array(start, dtype=float)
        self._least = np.full(len(start), -np.inf) if least is None else least
        self._first, self._smallest, self._step = step, smallest, step
        self._direction, self._moved, self._asked = 0, False, False
        self._best = float("inf")

    @property
    def best(self) -> FloatArray:
        """The cheapest point, shape (K,)."""
        return self._center.copy()

    @property
    def cost(self) -> float:
        """What it costs; infinite before the first point."""
        return self._best

    def propose(self, factor: float = 1.0) -> FloatArray:
        """The next point, shape (K,).

        Args:
            factor: What the step is multiplied by.
        """
        tried = self._center.copy()
        if self._asked:
            which, back = divmod(self._direction, 2)
            tried[which] += (-self._step if back else self._step) * factor
        allowed: FloatArray = np.maximum(tried, self._least)
        return allowed

    def tell(self, point: FloatArray, cost: float) -> None:
        """What a proposed point costs."""
        if cost < self._best:
            self._center, self._best, self._moved = np.array(point), cost, self._asked
        elif self._asked:
            self._turn()
        self._asked = True

    def _turn(self) -> None:
        self._direction += 1
        if self._direction < 2 * len(self._center):
            return
        self._direction = 0
        if not self._moved:
            self._step /= 2
            if self._step < self._smallest:
                self._step = self._first
        self._moved = False

    def tensors(self) -> dict[str, Tensor]:
        """Where the search is."""
        return {"center": torch.from_numpy(self._center.copy())}

    def numbers(self) -> dict[str, JSON]:
        """How it goes on."""
        return {
            "step": self._step,
            "direction": self._direction,
            "moved": self._moved,
            "best": self._best if self._asked else None,
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go to where `tensors` and `numbers` were taken."""
        self._center = tensors["center"].double().numpy().copy()
        self._step, self._direction = float(numbers["step"]), int(numbers["direction"])
        self._moved, self._asked = bool(numbers["moved"]), numbers["best"] is not None
        self._best = float(numbers["best"]) if self._asked else float("inf")
