"""Concave piecewise linear functions of many positions, evaluated and inverted all at once.

Segments are also kept one below the other, (K, J), so that a comparison of all columns with their
prices runs over contiguous memory: an inversion is one such comparison and one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.allocation.errors import AllocationError


@dataclass(frozen=True)
class Curves:
    """Piecewise linear concave functions V_j of positions, zero at position 0, for J columns.

    Below position 0 a curve goes on with its first slope, beyond its last breakpoint it is flat.

    Attributes:
        width: Of successive segments from position 0 on, shape (J, K).
        slope: Marginal value on them, falling along the last axis, shape (J, K).
    """

    width: FloatArray
    slope: FloatArray

    def __post_init__(self) -> None:
        if self.width.shape != self.slope.shape or self.width.ndim != 2 or not self.width.shape[1]:
            raise AllocationError(
                f"widths {self.width.shape} and slopes {self.slope.shape} must both have shape "
                "(columns, segments)"
            )
        if (self.width < 0).any() or (np.diff(self.slope, axis=1) > 1e-9).any():
            raise AllocationError("widths must be nonnegative and slopes fall along a curve")

    @cached_property
    def end(self) -> FloatArray:
        """Position where each segment ends, shape (J, K)."""
        return np.cumsum(self.width, axis=1)

    @cached_property
    def falling(self) -> FloatArray:
        """Slopes one below the other, shape (K, J)."""
        return np.ascontiguousarray(self.slope.T)

    @cached_property
    def reached(self) -> FloatArray:
        """Position where the first 0, ..., K segments end, shape (K + 1, J); first -inf."""
        before = np.full((1, len(self.width)), -np.inf)
        return np.ascontiguousarray(np.concatenate([before, self.end.T]))

    @cached_property
    def _worth(self) -> FloatArray:
        """Value where each segment ends, one below the other, shape (K, J)."""
        return np.ascontiguousarray(np.cumsum(self.width * self.slope, axis=1).T)

    def value(self, position: FloatArray) -> FloatArray:
        """V_j at positions (J,)."""
        reached = self.reached[1:]
        here = np.minimum(count_true(reached <= position), len(reached) - 1)
        end, worth, slope = (pick(part, here) for part in (reached, self._worth, self.falling))
        # Beyond the last breakpoint nothing is added.
        below: FloatArray = slope * np.maximum(end - position, 0.0) * (position < reached[-1])
        return worth - below

    def target(self, price: FloatArray) -> FloatArray:
        """Largest position whose marginal value is above a price (J,); -inf where none is."""
        return pick(self.reached, count_true(self.falling > price))

    def ahead(self, position: FloatArray, columns: IntArray | slice = slice(None)) -> FloatArray:
        """What of each segment lies above positions, shape (columns, K)."""
        end, at = self.end[columns], position[columns, None]
        begin = np.concatenate([np.full((len(end), 1), -np.inf), end[:, :-1]], axis=1)
        ahead: FloatArray = np.maximum(end - np.maximum(begin, at), 0.0)
        return ahead


def count_true(holds: BoolArray) -> IntArray:
    """How often something holds along the first axis."""
    # Sums of bytes are vectorized; those of truth values are not.
    dtype = np.uint8 if len(holds) < 256 else np.int64
    count: IntArray = np.add.reduce(holds.view(np.uint8), axis=0, dtype=dtype).astype(np.int64)
    return count


def pick(values: FloatArray, row: IntArray) -> FloatArray:
    """Entry ``values[row[j], j]`` of every column j, `values` being contiguous by rows."""
    columns = values.shape[1]
    picked: FloatArray = values.reshape(-1).take(row * columns + np.arange(columns))
    return picked
