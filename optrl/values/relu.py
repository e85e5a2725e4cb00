"""General ReLU networks, exact by big-M on a box of arguments: for what is not convex.

Source: Fischetti & Jo (2018), Deep neural networks and mixed integer linear optimization,
Constraints 23. Bounds come from interval arithmetic (`Relu.on_box`) or from linear programs
(`optrl.values.tightening.tightened`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from optrl_formulations.cost_to_go.relu import add_relu
from optrl_formulations.cost_to_go.relu_bounds import ReluBounds, interval_bounds
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
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
from optrl.values.network_arrays import network_of, of_network


@dataclass(frozen=True)
class Relu:
    """A ReLU network on a box.

    Attributes:
        network: Its arrays, of any sign.
        bounds: The box, and valid bounds of all activations on it. The embedding keeps arguments
            inside the box; the forward pass is not limited to it.
    """

    name: ClassVar[str] = "relu"
    convex: ClassVar[bool] = False

    network: ReluNetwork
    bounds: ReluBounds

    @classmethod
    def on_box(cls, network: ReluNetwork, lower: FloatArray, upper: FloatArray) -> Self:
        """The network on lower <= x <= upper with bounds by interval arithmetic.

        Raises:
            ValueFunctionError: If the box is not finite or crossed.
        """
        try:
            return cls(network, interval_bounds(network, lower, upper))
        except ValueError as error:
            raise ValueFunctionError(str(error)) from error

    @property
    def size(self) -> int:
        """Number of arguments K."""
        return self.network.size

    def __call__(self, arguments: FloatArray) -> FloatArray:
        """Values at arguments (B, K), shape (B,)."""
        return self.network.evaluate(points(arguments, self.size))

    def gradient(self, arguments: FloatArray) -> FloatArray:
        """Gradient at arguments (B, K), that of one side at a kink, shape (B, K)."""
        return self.network.gradient(points(arguments, self.size))

    def add_to(self, block: Any, arguments: Sequence[Any]) -> ValueHandles:
        """Add it with binaries; see `optrl_formulations.cost_to_go.relu`."""
        handles = add_relu(block, arguments, self.network, self.bounds)
        return ValueHandles(handles.cost, tuple(arguments), (), handles)

    def embedded(self, handles: ValueHandles) -> float:
        """The value that the solved Pyomo model holds for it."""
        return embedded_cost(handles)

    def moving(self, built: Self) -> Moving:
        """Nothing: the bounds that multiply binaries follow the biases."""
        mine, other = self.arrays(), built.arrays()
        if mine.keys() != other.keys():
            raise ValueFunctionError("the number of layers differs: embed it anew")
        same({name: (mine[name], other[name]) for name in mine}, "network")
        return Moving()

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        layers = enumerate(zip(self.bounds.lower, self.bounds.upper, strict=True))
        sides = {f"bounds.{k}": np.stack(pair) for k, pair in layers}
        box = np.stack([self.bounds.argument_lower, self.bounds.argument_upper])
        return of_network(self.network) | sides | {"box": box}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays; bounds are cut to those of interval arithmetic."""
        network = network_of(arrays)
        box = taken(arrays, "box")
        if box.shape != (2, network.size):
            raise ValueFunctionError(f"box has shape {box.shape}, expected (2, {network.size})")
        plain = cls.on_box(network, box[0], box[1])
        lower, upper = [], []
        for k, (low, high) in enumerate(zip(plain.bounds.lower, plain.bounds.upper, strict=True)):
            sides = taken(arrays, f"bounds.{k}")
            if sides.shape != (2, len(low)) or not (sides[0] <= sides[1]).all():
                raise ValueFunctionError(f"bounds.{k} do not fit the network")
            lower.append(np.maximum(sides[0], low))
            upper.append(np.minimum(sides[1], high))
        return cls(network, ReluBounds(box[0], box[1], tuple(lower), tuple(upper)))
