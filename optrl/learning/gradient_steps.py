"""Steps of Adam along clipped gradients with a learning rate of one cycle, and their state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optrl.learning.base import JSON, TrainingState


class GradientSteps:
    """Adam on a module's parameters.

    Args:
        module: Whose parameters to change.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = dict(module.named_parameters())
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=1.0)
        for parameter in self._parameters.values():
            # All state exists from the start, so that checkpoints have one form.
            parameter.grad = torch.zeros_like(parameter)
            self._optimizer.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

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

    def state(self) -> tuple[dict[str, Tensor], dict[str, JSON]]:
        """Parameters and moments, and the number of steps."""
        tensors: dict[str, Tensor] = {}
        steps = 0
        for name, parameter in self._parameters.items():
            kept = self._optimizer.state[parameter]
            tensors[f"network.{name}"] = parameter.detach()
            tensors[f"first.{name}"] = kept["exp_avg"]
            tensors[f"second.{name}"] = kept["exp_avg_sq"]
            steps = int(kept["step"])
        return tensors, {"steps": steps}

    def restore(self, state: TrainingState) -> None:
        """Go to a state that holds what `state` gave."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                kept = self._optimizer.state[parameter]
                parameter.copy_(state.tensors[f"network.{name}"])
                kept["exp_avg"].copy_(state.tensors[f"first.{name}"])
                kept["exp_avg_sq"].copy_(state.tensors[f"second.{name}"])
                kept["step"].fill_(state.numbers["steps"])


def generator_state(generator: np.random.Generator) -> JSON:
    """The state of a generator's bit generator."""
    state: JSON = generator.bit_generator.state  # type: ignore[assignment]  # numbers and texts
    return state


def restored_generator(state: Any) -> np.random.Generator:
    """A generator from the state of its bit generator."""
    bits = np.random.PCG64()
    bits.state = state
    return np.random.Generator(bits)
