"""The largest of affine cuts and a floor: Benders and SDDP cuts, tangents of a learned function.

    f(x) = max(floor, max_c intercept_c + gradient_c' x)

The floor is a part of the function. `MaxAffine.on_box` derives the one that changes nothing on a
box of arguments: no cut can be below its own smallest value there. Source: Pereira & Pinto
(1991), Multi-stage stochastic optimization applied to energy planning, Mathematical Programming
52.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from optrl_formulations.cost_to_go.cuts import add_cuts
from optrl_formulations.cost_to_go.relu_bounds import image
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


@dataclass(frozen=True)
class MaxAffine:
    """See the module's docstring.

    Attributes:
        intercept: Shape (C,), at least one.
        gradients: Shape (C, K).
        floor: Smallest value; of an approximation from below, a valid bound of the true function.
    """

    name: ClassVar[str] = "cuts"
    convex: ClassVar[bool] = True

    intercept: FloatArray
    gradients: FloatArray
    floor: float

    def __post_init__(self) -> None:
        if self.intercept.ndim != 1 or not len(self.intercept):
            raise ValueFunctionError("intercept must be a vector of at least one cut")
        if self.gradients.ndim != 2 or len(self.gradients) != len(self.intercept):
            raise ValueFunctionError(
                f"gradients have shape {self.gradients.shape}, expected "
                f"({len(self.intercept)}, arguments)"
            )
        if not (np.isfinite(self.intercept).all() and np.isfinite(self.gradients).all()):
            raise ValueFunctionError("cuts must be finite")
        if not np.isfinite(self.floor):
            raise ValueFunctionError(
                f"floor is {self.floor}, must be finite: derive it by `MaxAffine.on_box`"
            )

    @classmethod
    def on_box(
        cls, intercept: FloatArray, gradients: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> Self:
        """Cuts with the highest floor that changes no value on lower <= x <= upper.

        Raises:
            ValueFunctionError: If every cut falls without limit on the box.
        """
        with np.errstate(invalid="ignore"):
            least = intercept + image(gradients, lower, upper)[0]
        least = np.where(np.isnan(least), -np.inf, least)
        return cls(intercept, gradients, float(least.max(initial=-np.inf)))

    @classmethod
    def tangents(
        cls, value: FloatArray, gradients: FloatArray, arguments: FloatArray, floor: float
    ) -> Self:
        """Cuts that touch values (C,) with gradients (C, K) at arguments (C, K)."""
        return cls(value - (gradients * arguments).sum(axis=1), gradients, floor)

    @property
    def size(self) -> int:
        """Number of arguments K."""
        return int(self.gradients.shape[1])

    def __call__(self, arguments: FloatArray) -> FloatArray:
        """Values at arguments (B, K), shape (B,)."""
        height = points(arguments, self.size) @ self.gradients.T + self.intercept
        value: FloatArray = np.maximum(height.max(axis=1), self.floor)
        return value

    def gradient(self, arguments: FloatArray) -> FloatArray:
        """Gradient of the highest cut, zero on the floor, shape (B, K)."""
        height = points(arguments, self.size) @ self.gradients.T + self.intercept
        highest = height.argmax(axis=1)
        above = height.max(axis=1) > self.floor
        return np.asarray(np.where(above[:, None], self.gradients[highest], 0.0))

    def add_to(self, block: Any, arguments: Sequence[Any]) -> ValueHandles:
        """Add a row for each cut; see `optrl_formulations.cost_to_go.cuts`."""
        handles = add_cuts(block, arguments, self.intercept, self.gradients, self.floor)
        return ValueHandles(handles.cost_to_go, tuple(arguments), (), handles)

    def embedded(self, handles: ValueHandles) -> float:
        """The value that the solved Pyomo model holds for it."""
        return embedded_cost(handles)

    def moving(self, built: Self) -> Moving:
        """Nothing: new cuts are added as rows, see `optrl.solver.Model.add_rows`."""
        mine, other = self.arrays(), built.arrays()
        same({name: (mine[name], other[name]) for name in mine}, "set of cuts")
        return Moving()

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        return {
            "intercept": self.intercept,
            "gradients": self.gradients,
            "floor": np.array([self.floor]),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays."""
        floor = taken(arrays, "floor")
        if floor.shape != (1,):
            raise ValueFunctionError(f"floor has shape {floor.shape}, expected (1,)")
        return cls(taken(arrays, "intercept"), taken(arrays, "gradients"), float(floor[0]))
