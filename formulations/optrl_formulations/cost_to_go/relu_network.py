"""A feed-forward ReLU network with skip connections, as plain arrays.

    a_l = W_l z_{l-1} + S_l x + b_l,   z_l = max(0, a_l),   l = 1, ..., L,   z_0 empty
    f(x) = w' z_L + s' x + c

Both exact embeddings take it: `icnn` where W_l and w are nonnegative (f is then convex in x),
`relu` in general. Nonnegative weights and the convex nondecreasing ReLU keep convexity from layer
to layer; S_l, s and all biases are free. Source: Amos, Xu & Kolter (2017), Input convex neural
networks, Proceedings of Machine Learning Research 70, equation 2 and proposition 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class ReluNetwork:
    """See the module's docstring; all arrays are float64 and finite.

    Attributes:
        argument_weight: S_l of each layer, shapes (H_l, K).
        hidden_weight: W_l of layers 2, ..., L, shapes (H_l, H_{l-1}).
        bias: b_l of each layer, shapes (H_l,).
        output_hidden: w, shape (H_L,).
        output_argument: s, shape (K,).
        output_bias: c.

    Raises:
        ValueError: If shapes do not fit, there is no layer, or a number is not finite or not
            float64 (float32 is off by parts in ten thousand, which a check after a solve would
            find).
    """

    argument_weight: tuple[FloatArray, ...]
    hidden_weight: tuple[FloatArray, ...]
    bias: tuple[FloatArray, ...]
    output_hidden: FloatArray
    output_argument: FloatArray
    output_bias: float

    def __post_init__(self) -> None:
        if not self.bias:
            raise ValueError("a network needs a hidden layer; use cuts for an affine function")
        layers, arguments = len(self.bias), len(self.output_argument)
        if len(self.argument_weight) != layers or len(self.hidden_weight) != layers - 1:
            raise ValueError(
                f"{layers} biases need {layers} argument weights and {layers - 1} hidden weights, "
                f"found {len(self.argument_weight)} and {len(self.hidden_weight)}"
            )
        for layer, (skip, shift) in enumerate(zip(self.argument_weight, self.bias, strict=True)):
            _check(f"bias of layer {layer + 1}", shift, (len(shift),))
            _check(f"argument_weight of layer {layer + 1}", skip, (len(shift), arguments))
            if layer:
                weight = self.hidden_weight[layer - 1]
                expected = (len(shift), len(self.bias[layer - 1]))
                _check(f"hidden_weight of layer {layer + 1}", weight, expected)
        _check("output_hidden", self.output_hidden, (len(self.bias[-1]),))
        _check("output_argument", self.output_argument, (arguments,))
        if not np.isfinite(self.output_bias):
            raise ValueError(f"output_bias is {self.output_bias}, must be finite")

    @property
    def size(self) -> int:
        """Number of arguments K."""
        return len(self.output_argument)

    @property
    def units(self) -> list[tuple[int, int]]:
        """(layer, unit) of all hidden units, layers counted from 1."""
        return [(k + 1, j) for k, shift in enumerate(self.bias) for j in range(len(shift))]

    def activations(self, arguments: FloatArray) -> list[FloatArray]:
        """a_l of each layer at arguments (B, K), shapes (B, H_l)."""
        found: list[FloatArray] = []
        for layer, (skip, shift) in enumerate(zip(self.argument_weight, self.bias, strict=True)):
            before = arguments @ skip.T + shift
            if layer:
                before = before + np.maximum(found[-1], 0.0) @ self.hidden_weight[layer - 1].T
            found.append(before)
        return found

    def evaluate(self, arguments: FloatArray) -> FloatArray:
        """F at arguments (B, K), shape (B,)."""
        hidden = np.maximum(self.activations(arguments)[-1], 0.0)
        value: FloatArray = (
            hidden @ self.output_hidden + arguments @ self.output_argument + self.output_bias
        )
        return value

    def gradient(self, arguments: FloatArray) -> FloatArray:
        """Gradient at arguments (B, K), shape (B, K).

        At a kink the units that are exactly at zero count as off, which for a network that is
        convex in its arguments gives a subgradient.
        """
        on = [a > 0 for a in self.activations(arguments)]
        back = self.output_hidden * on[-1]
        total = self.output_argument + back @ self.argument_weight[-1]
        for layer in range(len(self.bias) - 2, -1, -1):
            back = (back @ self.hidden_weight[layer]) * on[layer]
            total = total + back @ self.argument_weight[layer]
        return np.asarray(total, dtype=np.float64)


def _check(name: str, values: FloatArray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape}")
    if values.dtype != np.float64:
        raise ValueError(f"{name} is {values.dtype}: export in float64")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite")
