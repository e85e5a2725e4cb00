"""Separable piecewise-linear convex value functions: one per item and node, say.

    f(x) = constant + sum_k f_k(x_k),   f_k' = slope_ks on segment s, slopes rising in s

Stays a network flow in an LP. The slopes may be learned directly or come from a network shared by
all arguments (`optrl.values.slope_model`). Source: Powell, Ruszczynski & Topaloglu (2004),
Learning algorithms for separable approximations of discrete stochastic optimization problems,
Mathematics of Operations Research 29(4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyomo.environ as pyo
from optrl_formulations.cost_to_go.piecewise import add_piecewise
from optrl_formulations.network import FloatArray

from optrl.values.base import (
    Moving,
    ValueFunctionError,
    ValueHandles,
    embedded_cost,
    points,
    same,
    taken,
)

# Solvers leave arguments this far outside their domain, relative to max(1, |origin|).
_DUST = 1e-6


@dataclass(frozen=True)
class Separable:
    """See the module's docstring.

    Attributes:
        width: Width of each segment, shape (K, S); the last may be infinite.
        slope: Cost per unit of each segment, shape (K, S), rising along S.
        origin: Smallest argument, where f_k is zero, shape (K,).
        constant: Value where all arguments are at their origin.
    """

    name: ClassVar[str] = "separable"
    convex: ClassVar[bool] = True

    width: FloatArray
    slope: FloatArray
    origin: FloatArray
    constant: float = 0.0

    def __post_init__(self) -> None:
        if self.width.ndim != 2 or self.width.shape != self.slope.shape:
            raise ValueFunctionError(
                f"width {self.width.shape} and slope {self.slope.shape} must both have shape "
                "(arguments, segments)"
            )
        if self.origin.shape != self.width.shape[:1]:
            raise ValueFunctionError(
                f"origin has shape {self.origin.shape}, expected ({self.size},)"
            )
        inner = self.width[:, :-1]
        if not (self.width >= 0).all() or not np.isfinite(inner).all():
            raise ValueFunctionError("widths must be nonnegative, and finite but for the last")
        if not (np.isfinite(self.slope).all() and np.isfinite(self.origin).all()):
            raise ValueFunctionError("slopes and origins must be finite")
        if not np.isfinite(self.constant):
            raise ValueFunctionError(f"constant is {self.constant}, must be finite")
        falling = np.argwhere(np.diff(self.slope, axis=1) < 0)
        if len(falling):
            k, s = falling[0]
            raise ValueFunctionError(
                f"argument {k}: slope falls from {self.slope[k, s]:g} to "
                f"{self.slope[k, s + 1]:g}; a convex function needs rising slopes"
            )

    @property
    def size(self) -> int:
        """Number of arguments K."""
        return len(self.width)

    def __call__(self, arguments: FloatArray) -> FloatArray:
        """Values at arguments (B, K), shape (B,).

        Raises:
            ValueFunctionError: If an argument lies outside the segments, where the embedding
                would be infeasible.
        """
        rest = self._rest(arguments)
        begin = self._begin()
        filled = np.clip(rest[:, :, None] - begin, 0.0, self.width)
        # What a solver leaves outside the domain continues the first or last slope.
        below = np.minimum(rest, 0.0)
        above = np.maximum(rest - self.width.sum(axis=1), 0.0)
        value: FloatArray = (
            self.constant
            + np.einsum("bks,ks->b", filled, self.slope)
            + below @ self.slope[:, 0]
            + above @ self.slope[:, -1]
        )
        return value

    def gradient(self, arguments: FloatArray) -> FloatArray:
        """Slope at arguments (B, K), to the left at a kink, shape (B, K)."""
        rest = self._rest(arguments)
        segment = (rest[:, :, None] > self._begin()[:, 1:]).sum(axis=2)
        return np.asarray(self.slope[np.arange(self.size), segment])

    def add_to(self, block: Any, arguments: Sequence[Any]) -> ValueHandles:
        """Add it as parallel arcs; see `optrl_formulations.cost_to_go.piecewise`."""
        handles = add_piecewise(block, arguments, self.width, self.slope, self.origin)
        block.constant = pyo.Var()
        block.constant.fix(float(self.constant))
        cost = handles.cost + block.constant
        return ValueHandles(cost, tuple(arguments), (block.constant,), handles)

    def embedded(self, handles: ValueHandles) -> float:
        """The value that the solved Pyomo model holds for it."""
        return embedded_cost(handles)

    def moving(self, built: Self) -> Moving:
        """Slopes, widths and the constant; origins stay."""
        same({"origin": (self.origin, built.origin)}, "separable function")
        if self.width.shape != built.width.shape:
            raise ValueFunctionError("the number of segments differs: embed it anew")
        return Moving(
            data={"constant": np.array([self.constant])},
            cost={"segment": self.slope.ravel()},
            upper={"segment": self.width.ravel()},
        )

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        return {
            "width": self.width,
            "slope": self.slope,
            "origin": self.origin,
            "constant": np.array([self.constant]),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays."""
        constant = taken(arrays, "constant")
        if constant.shape != (1,):
            raise ValueFunctionError(f"constant has shape {constant.shape}, expected (1,)")
        width, slope = taken(arrays, "width"), taken(arrays, "slope")
        return cls(width, slope, taken(arrays, "origin"), float(constant[0]))

    def _begin(self) -> FloatArray:
        """Where each segment begins, from the origin on, shape (K, S)."""
        ends = np.cumsum(self.width[:, :-1], axis=1)
        return np.concatenate([np.zeros((self.size, 1)), ends], axis=1)

    def _rest(self, arguments: FloatArray) -> FloatArray:
        rest = points(arguments, self.size) - self.origin
        dust = _DUST * np.maximum(1.0, np.abs(self.origin))
        outside = (rest < -dust) | (rest > self.width.sum(axis=1) + dust)
        if outside.any():
            b, k = np.argwhere(outside)[0]
            raise ValueFunctionError(
                f"argument {k} is {rest[b, k] + self.origin[k]:g}, outside "
                f"{self.origin[k]:g}..{self.origin[k] + self.width[k].sum():g}: make the last "
                "segment infinite, or bound what the argument stands for"
            )
        return rest
