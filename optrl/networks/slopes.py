"""One network for the slopes of all separable value functions, trained in torch.

    slope_s = value_scale (g_0 + sum_{1 <= j <= s} softplus(g_j)),   g = network(features)

Slopes rise by construction. The value of an argument is the integral of its slopes from zero, so
that the network can be fitted to values, to gradients (duals, pathwise), or to both. See
`optrl.values.slope_model`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from optrl.networks.input_convex import Arrays, fold


class SlopeNetwork(nn.Module):
    """See the module's docstring.

    Args:
        features: Number of features F.
        grid: Widths of the finite segments in units of an argument's scale; one more segment,
            without end, follows.
        hidden: Units of each hidden layer.
        generator: Source of the first weights.
    """

    feature_shift: Tensor
    feature_scale: Tensor
    value_scale: Tensor
    width: Tensor

    def __init__(
        self,
        features: int,
        grid: Sequence[float],
        hidden: Sequence[int] = (64, 64),
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not grid or min(grid) <= 0 or not math.isfinite(sum(grid)):
            raise ValueError("the grid must be positive finite widths")
        sizes = [features, *hidden, len(grid) + 1]
        self.weight = nn.ParameterList(
            nn.Parameter(torch.randn(after, before, generator=generator) * math.sqrt(2 / before))
            for before, after in itertools.pairwise(sizes)
        )
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes[1:])
        self.register_buffer("width", torch.tensor([*grid, math.inf]))
        self.register_buffer("feature_shift", torch.zeros(features))
        self.register_buffer("feature_scale", torch.ones(features))
        self.register_buffer("value_scale", torch.ones(()))

    def scale_to(self, features: Tensor, value_scale: float = 1.0) -> None:
        """Set shifts and scales from features (B, F), and what slopes are multiplied by."""
        spread = features.std(dim=0)
        self.feature_shift.copy_(features.mean(dim=0))
        self.feature_scale.copy_(torch.where(spread > 0, spread, 1.0))
        self.value_scale.fill_(value_scale)

    def slopes(self, features: Tensor) -> Tensor:
        """Rising slopes at features (..., F), shape (..., S)."""
        hidden = (features - self.feature_shift) / self.feature_scale
        for weight, bias in zip(self.weight[:-1], self.bias[:-1], strict=True):
            hidden = relu(hidden @ weight.T + bias)
        raw = hidden @ self.weight[-1].T + self.bias[-1]
        rising = torch.cat([raw[..., :1], softplus(raw[..., 1:])], dim=-1)
        return self.value_scale * rising.cumsum(dim=-1)

    def forward(self, features: Tensor, amount: Tensor) -> Tensor:
        """Value of amounts (...) in units of their scale, at features (..., F), shape (...)."""
        begin = torch.cat([self.width.new_zeros(1), self.width[:-1].cumsum(0)])
        filled = torch.minimum((amount[..., None] - begin).clamp(min=0), self.width)
        return (filled * self.slopes(features)).sum(dim=-1)

    def export(self) -> Arrays:
        """Float64 arrays of a `SlopeModel`; shifts and scales are folded in."""
        weights = [np.array(w.detach().double().numpy()) for w in self.weight]
        biases = [np.array(b.detach().double().numpy()) for b in self.bias]
        unit = np.array(self.feature_scale.double().numpy())
        shift = np.array(self.feature_shift.double().numpy())
        weights[0], biases[0] = fold(weights[0], biases[0], shift, unit)
        return {
            **{f"network.weight.{k}": w for k, w in enumerate(weights)},
            **{f"network.bias.{k}": b for k, b in enumerate(biases)},
            "grid": np.array(self.width.double().numpy()),
            "value_scale": np.array([float(self.value_scale)]),
        }
