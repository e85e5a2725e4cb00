"""A small network from what is known about a resource to its price; one for all resources."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class PriceNetwork(nn.Module):
    """Dense layers with smoothed rectifiers; the price is positive.

    Args:
        features: Numbers known about a resource.
        hidden: Units of each hidden layer.
        generator: Of the first weights.
    """

    def __init__(
        self, features: int, hidden: tuple[int, ...], generator: torch.Generator | None = None
    ) -> None:
        """See the class."""
        super().__init__()
        widths = [features, *hidden, 1]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                spread = (2.0 / layer.in_features) ** 0.5
                layer.weight.normal_(0.0, spread, generator=generator)
                layer.bias.zero_()
            # Every first forecast is positive: at zero the rectifier would pass no gradient.
            last = self.layers[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.fill_(0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Prices, shape (...,), in units of the resource's own scale.

        Args:
            features: Shape (..., features).
        """
        here = features
        for layer in self.layers[:-1]:
            here = functional.silu(layer(here))
        return functional.softplus(self.layers[-1](here)[..., 0], beta=10.0)
