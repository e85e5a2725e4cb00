"""A plain feed-forward network with ReLU between its layers, in numpy float64.

What turns a context into biases or slopes; it is evaluated, never embedded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.values.base import ValueFunctionError, points, taken


@dataclass(frozen=True)
class Dense:
    """Affine layers, each but the last followed by a ReLU.

    Attributes:
        weight: Shapes (outputs, inputs).
        bias: Shapes (outputs,).
    """

    weight: tuple[FloatArray, ...]
    bias: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        if not self.weight or len(self.weight) != len(self.bias):
            raise ValueFunctionError(
                "a dense network needs as many biases as weights, one at least"
            )
        before = None
        for k, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            fits = weight.ndim == 2 and bias.shape == weight.shape[:1]
            if not fits or before not in (None, weight.shape[1]):
                raise ValueFunctionError(
                    f"layer {k} of a dense network does not fit the one before"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueFunctionError(f"layer {k} of a dense network holds what is not finite")
            before = weight.shape[0]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.weight[0].shape[1])

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.bias[-1])

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """Outputs at inputs (B, inputs), shape (B, outputs)."""
        hidden = points(inputs, self.inputs)
        for weight, bias in zip(self.weight[:-1], self.bias[:-1], strict=True):
            hidden = np.maximum(hidden @ weight.T + bias, 0.0)
        return np.asarray(hidden @ self.weight[-1].T + self.bias[-1])

    def arrays(self, prefix: str) -> dict[str, FloatArray]:
        """Arrays by name, ``prefix.weight.0`` and so on."""
        return {
            **{f"{prefix}.weight.{k}": w for k, w in enumerate(self.weight)},
            **{f"{prefix}.bias.{k}": b for k, b in enumerate(self.bias)},
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray], prefix: str) -> Self:
        """The network of such arrays."""
        layers = sum(name.startswith(f"{prefix}.bias.") for name in arrays)
        return cls(
            tuple(taken(arrays, f"{prefix}.weight.{k}") for k in range(layers)),
            tuple(taken(arrays, f"{prefix}.bias.{k}") for k in range(layers)),
        )


def softplus(x: FloatArray) -> FloatArray:
    """log(1 + exp(x)), without overflow."""
    return np.asarray(np.logaddexp(0.0, x))
