"""Value functions convex in stock and free in a context: calendar, forecasts, resource prices.

    a_l = W_l z_{l-1} + S_l x + b_l(c),  z_l = max(0, a_l),  W_l >= 0
    f(x, c) = w(c)' z_L + s(c)' x + q(c),  w(c) >= 0

A network of the context c gives all biases and output weights, w(c) through a softplus; the
weights between units do not depend on it. So a new context moves right-hand sides and costs of
the embedding only, which are pushed into the compiled program. Source: Amos, Xu & Kolter (2017),
Input convex neural networks, equation 3, restricted to that form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray

from optrl.values.base import ValueFunctionError, taken
from optrl.values.dense import Dense, softplus
from optrl.values.input_convex import InputConvex


@dataclass(frozen=True)
class PartiallyConvex:
    """See the module's docstring.

    Attributes:
        argument_weight: S_l, shapes (H_l, K).
        hidden_weight: W_l of layers 2, ..., L, nonnegative, shapes (H_l, H_{l-1}).
        context: Gives, for each context, b_1, ..., b_L, w before its softplus, s and q, in this
            order.
        scale: What w is multiplied by after its softplus, positive.
    """

    name: ClassVar[str] = "partially_convex"

    argument_weight: tuple[FloatArray, ...]
    hidden_weight: tuple[FloatArray, ...]
    context: Dense
    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0 or not np.isfinite(self.scale):
            raise ValueFunctionError(f"scale is {self.scale}, must be positive and finite")
        if not self.argument_weight or any(w.ndim != 2 for w in self.argument_weight):
            raise ValueFunctionError("argument_weight must be matrices, one for each layer")
        if self.context.outputs != sum(self._widths) + self._widths[-1] + self.size + 1:
            raise ValueFunctionError(
                f"the context network has {self.context.outputs} outputs; biases, output weights "
                f"and constant are {sum(self._widths) + self._widths[-1] + self.size + 1}"
            )
        self.at(np.zeros(self.contexts))

    @property
    def size(self) -> int:
        """Number of arguments K."""
        return int(self.argument_weight[0].shape[1])

    @property
    def contexts(self) -> int:
        """Number of context columns C."""
        return self.context.inputs

    @property
    def _widths(self) -> list[int]:
        return [len(w) for w in self.argument_weight]

    def at(self, context: FloatArray) -> InputConvex:
        """The convex function at one context (C,)."""
        return self.at_each(np.asarray(context, dtype=np.float64)[None])[0]

    def at_each(self, contexts: FloatArray) -> list[InputConvex]:
        """The convex functions at contexts (M, C), with weights shared."""
        found = self.context(contexts)
        ends = np.cumsum([*self._widths, self._widths[-1], self.size])
        *biases, hidden, argument, constant = np.split(found, ends, axis=1)
        hidden = self.scale * softplus(hidden)
        try:
            return [
                InputConvex(
                    ReluNetwork(
                        self.argument_weight,
                        self.hidden_weight,
                        tuple(bias[m] for bias in biases),
                        hidden[m],
                        argument[m],
                        float(constant[m, 0]),
                    )
                )
                for m in range(len(found))
            ]
        except ValueError as error:
            raise ValueFunctionError(str(error)) from error

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        return {
            **{f"argument_weight.{k}": w for k, w in enumerate(self.argument_weight)},
            **{f"hidden_weight.{k}": w for k, w in enumerate(self.hidden_weight)},
            **self.context.arrays("context"),
            "scale": np.array([self.scale]),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays, such as a torch module's `export`."""
        layers = sum(name.startswith("argument_weight.") for name in arrays)
        return cls(
            tuple(taken(arrays, f"argument_weight.{k}") for k in range(layers)),
            tuple(taken(arrays, f"hidden_weight.{k}") for k in range(layers - 1)),
            Dense.of_arrays(arrays, "context"),
            float(taken(arrays, "scale").reshape(-1)[0]),
        )
