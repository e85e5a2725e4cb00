"""Steps of Adam along clipped gradients with a learning rate of one cycle, and their state."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optrl.learning.state import optimizer_tensors, restore_optimizer


class GradientSteps:
    """Adam on a module's parameters.

    Args:
        module: Whose parameters to change.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = dict(module.named_parameters())
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=1.0)
        for parameter in self._parameters.values():
            # Weights that an instance has no use for have a gradient too: zero.
            parameter.grad = torch.zeros_like(parameter)

    @staticmethod
    def cycle(done: int, total: int, rise: float) -> float:
        """Learning rate over its largest: up from 1/25 on a cosine, then down to nearly zero."""
        share, least = (done + 0.5) / total, 1e-3
        if share < rise:
            return 0.04 + 0.96 * (1 - math.cos(math.pi * share / rise)) / 2
        return least + (1 - least) * (1 + math.cos(math.pi * (share - rise) / (1 - rise))) / 2

    def descend(self, loss: Tensor, learning_rate: float, clip: float) -> float:
        """Take one step down.

        Returns:
            Norm of the gradient before it was clipped.
        """
        self._optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), clip)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        return float(norm)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and what the optimizer remembers."""
        parameters = {f"network.{name}": x.detach() for name, x in self._parameters.items()}
        return parameters | optimizer_tensors(self._optimizer)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go to where `tensors` was taken."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[f"network.{name}"])
        restore_optimizer(self._optimizer, tensors)
