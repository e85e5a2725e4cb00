"""Input-convex networks: joint convex value functions with an exact epigraph.

Source: Amos, Xu & Kolter (2017), Input convex neural networks, Proceedings of Machine Learning
Research 70. A network that is convex in its arguments and free in a context is a
`optrl.values.partially_convex.PartiallyConvex`; at its context it is one of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from optrl_formulations.cost_to_go.icnn import add_icnn, check_convex
from optrl_formulations.cost_to_go.relu_bounds import interval_bounds, value_bounds
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray

from optrl.values.base import (
    Moving,
    ValueFunctionError,
    ValueHandles,
    embedded_cost,
    points,
    same,
)
from optrl.values.network_arrays import network_of, of_network


@dataclass(frozen=True)
class InputConvex:
    """A ReLU network with nonnegative weights on hidden units.

    Attributes:
        network: Its arrays.
    """

    name: ClassVar[str] = "input_convex"
    convex: ClassVar[bool] = True

    network: ReluNetwork

    def __post_init__(self) -> None:
        try:
            check_convex(self.network)
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
        """A subgradient at arguments (B, K), shape (B, K)."""
        return self.network.gradient(points(arguments, self.size))

    def lower_bound(self, lower: FloatArray, upper: FloatArray) -> float:
        """A bound from below on lower <= x <= upper, by interval arithmetic.

        `optrl.values.tightening.smallest_value` gives the exact one.
        """
        return value_bounds(self.network, interval_bounds(self.network, lower, upper))[0]

    def add_to(self, block: Any, arguments: Sequence[Any]) -> ValueHandles:
        """Add its epigraph; see `optrl_formulations.cost_to_go.icnn`."""
        handles = add_icnn(block, arguments, self.network)
        return ValueHandles(handles.cost, tuple(arguments), handles.data, handles)

    def embedded(self, handles: ValueHandles) -> float:
        """The value that the solved Pyomo model holds for it."""
        return embedded_cost(handles)

    def moving(self, built: Self) -> Moving:
        """Biases and the constant as right-hand sides, output weights as costs."""
        mine, other = self.network, built.network
        if len(mine.bias) != len(other.bias):
            raise ValueFunctionError("the number of layers differs: embed it anew")
        layers = enumerate(zip(mine.argument_weight, other.argument_weight, strict=True))
        names = {f"argument_weight.{k}": pair for k, pair in layers}
        layers = enumerate(zip(mine.hidden_weight, other.hidden_weight, strict=True))
        names |= {f"hidden_weight.{k}": pair for k, pair in layers}
        same(names, "network")
        below = np.zeros(sum(map(len, mine.bias[:-1])))
        return Moving(
            data={"bias": np.concatenate(mine.bias), "constant": np.array([mine.output_bias])},
            cost={
                "hidden": np.concatenate([below, mine.output_hidden]),
                "argument": mine.output_argument,
            },
        )

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        return of_network(self.network)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays, such as a torch module's `export`."""
        return cls(network_of(arrays))
