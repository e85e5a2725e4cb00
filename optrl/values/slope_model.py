"""Slopes of separable value functions from one network shared by all arguments.

Each argument (an item's stock at a node, say) has features: the item's costs and volume, forecast
quantiles, calendar, resource prices. The network gives its first slope and nonnegative
increments, so that slopes rise by construction:

    slope_ks = scale_k (g_0(features_k) + sum_{j <= s} softplus(g_j(features_k)))

Widths are those of a common grid times the argument's own scale. One network serves any number of
arguments, and prices among the features make it answer any price path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.values.base import ValueFunctionError, points, taken
from optrl.values.dense import Dense, softplus
from optrl.values.separable import Separable


@dataclass(frozen=True)
class SlopeModel:
    """See the module's docstring.

    Attributes:
        network: From F features to S outputs: first slope and S - 1 increments.
        grid: Width of each segment in units of an argument's scale, shape (S,), positive; the
            last is infinite.
        value_scale: What slopes are multiplied by, positive.
    """

    name: ClassVar[str] = "slope_model"

    network: Dense
    grid: FloatArray
    value_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.grid.shape != (self.network.outputs,):
            raise ValueFunctionError(
                f"the grid has {self.grid.shape} widths for {self.network.outputs} slopes"
            )
        if not (self.grid > 0).all() or not np.isposinf(self.grid[-1]):
            raise ValueFunctionError("widths must be positive, and the last infinite")
        if not np.isfinite(self.grid[:-1]).all():
            raise ValueFunctionError("only the last width may be infinite")
        if not self.value_scale > 0 or not np.isfinite(self.value_scale):
            raise ValueFunctionError(f"value_scale is {self.value_scale}, must be positive")

    def at(
        self,
        features: FloatArray,
        scale: FloatArray,
        *,
        cost_scale: FloatArray | None = None,
        origin: FloatArray | None = None,
    ) -> Separable:
        """The separable function of K arguments.

        Args:
            features: Shape (K, F).
            scale: Unit of each argument, its mean demand for example, shape (K,), positive.
            cost_scale: Unit of each slope, the item's holding cost for example, shape (K,),
                positive; ones when None.
            origin: Smallest value of each argument, shape (K,); zero when None.
        """
        slopes = self.slopes(features)
        if cost_scale is not None:
            if cost_scale.shape != (len(slopes),) or not (cost_scale > 0).all():
                raise ValueFunctionError(f"cost_scale must be {len(slopes)} positive numbers")
            slopes = slopes * cost_scale[:, None]
        if scale.shape != (len(slopes),) or not (scale > 0).all():
            raise ValueFunctionError(f"scale must be {len(slopes)} positive numbers")
        start = np.zeros(len(slopes)) if origin is None else origin
        return Separable(self.grid * scale[:, None], slopes, start)

    def slopes(self, features: FloatArray) -> FloatArray:
        """Rising slopes at features (K, F), before the arguments' own cost scale, (K, S)."""
        found = self.network(points(features, self.network.inputs))
        found[:, 1:] = softplus(found[:, 1:])
        return np.asarray(self.value_scale * np.cumsum(found, axis=1))

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        return {
            **self.network.arrays("network"),
            "grid": self.grid,
            "value_scale": np.array([self.value_scale]),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The model of such arrays, such as a torch module's `export`."""
        return cls(
            Dense.of_arrays(arrays, "network"),
            taken(arrays, "grid"),
            float(taken(arrays, "value_scale").reshape(-1)[0]),
        )
