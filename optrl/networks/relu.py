"""A feed-forward ReLU network with one output, trained in torch, exported to float64.

For value functions that are not convex; `optrl.values.relu` embeds it with binaries. Arguments
and value are shifted and scaled by buffers that are set from data; the export folds them in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from optrl.networks.input_convex import Arrays, fold


class ReluValueNetwork(nn.Module):
    """See the module's docstring.

    Args:
        arguments: Number of arguments K.
        hidden: Units of each hidden layer.
        generator: Source of the first weights.
    """

    argument_shift: Tensor
    argument_scale: Tensor
    value_shift: Tensor
    value_scale: Tensor

    def __init__(
        self,
        arguments: int,
        hidden: Sequence[int] = (64, 64),
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("a ReLU network needs a hidden layer")
        sizes = [arguments, *hidden, 1]
        self.weight = nn.ParameterList(
            nn.Parameter(torch.randn(after, before, generator=generator) * math.sqrt(2 / before))
            for before, after in itertools.pairwise(sizes)
        )
        self.bias = nn.ParameterList(
            nn.Parameter(0.1 * torch.randn(size, generator=generator)) for size in sizes[1:]
        )
        self.register_buffer("argument_shift", torch.zeros(arguments))
        self.register_buffer("argument_scale", torch.ones(arguments))
        self.register_buffer("value_shift", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))

    def scale_to(self, arguments: Tensor, values: Tensor) -> None:
        """Set shifts and scales from data: arguments (B, K), values (B,)."""
        for name, data in (("argument", arguments), ("value", values)):
            spread = data.std(dim=0)
            getattr(self, f"{name}_shift").copy_(data.mean(dim=0))
            getattr(self, f"{name}_scale").copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, arguments: Tensor) -> Tensor:
        """Values at arguments (B, K), shape (B,)."""
        hidden = (arguments - self.argument_shift) / self.argument_scale
        for weight, bias in zip(self.weight[:-1], self.bias[:-1], strict=True):
            hidden = relu(hidden @ weight.T + bias)
        value = (hidden @ self.weight[-1].T + self.bias[-1])[..., 0]
        return torch.addcmul(self.value_shift, self.value_scale, value)

    def export(self) -> Arrays:
        """Float64 arrays of a `ReluNetwork` (`optrl.values.network_arrays.network_of`)."""
        weights = [np.array(w.detach().double().numpy()) for w in self.weight]
        biases = [np.array(b.detach().double().numpy()) for b in self.bias]
        unit = np.array(self.argument_scale.double().numpy())
        shift = np.array(self.argument_shift.double().numpy())
        weights[0], biases[0] = fold(weights[0], biases[0], shift, unit)
        scale = float(self.value_scale)
        nothing = np.zeros_like(weights[0][:1])
        skips = [weights[0], *(np.repeat(nothing, len(w), axis=0) for w in weights[1:-1])]
        return {
            **{f"argument_weight.{k}": w for k, w in enumerate(skips)},
            **{f"hidden_weight.{k}": w for k, w in enumerate(weights[1:-1])},
            **{f"bias.{k}": b for k, b in enumerate(biases[:-1])},
            "output_hidden": scale * weights[-1][0],
            "output_argument": nothing[0],
            "output_bias": scale * biases[-1] + float(self.value_shift),
        }
