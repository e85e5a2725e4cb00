"""Optimizers and generators as tensors and numbers, to keep in a `TrainingState`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optrl.learning.base import JSON, TrainingError


def optimizer_tensors(optimizer: torch.optim.Adam, prefix: str = "optimizer.") -> dict[str, Tensor]:
    """What Adam or AdamW remembers of each parameter, by number of the parameter and name.

    Before the first step it is zeros, as `restore_optimizer` and Adam itself take it, so that the
    keys are the same from the first update to the last. Learning rates and other options of groups
    are settings and are not in it.
    """
    found: dict[str, Tensor] = {}
    position = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            known = optimizer.state.get(parameter) or _fresh(parameter, bool(group["amsgrad"]))
            for name, value in known.items():
                found[f"{prefix}{position}.{name}"] = value
            position += 1
    return found


def restore_optimizer(
    optimizer: torch.optim.Adam, tensors: Mapping[str, Tensor], prefix: str = "optimizer."
) -> None:
    """Let an optimizer of the same parameters remember what `optimizer_tensors` gave."""
    position = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                name: tensors[f"{prefix}{position}.{name}"].clone()
                for name in _fresh(parameter, bool(group["amsgrad"]))
            }
            position += 1


def generator_numbers(generator: np.random.Generator) -> dict[str, JSON]:
    """The state of a numpy generator (PCG64, what `numpy.random.default_rng` gives)."""
    state: Any = generator.bit_generator.state
    return {
        "generator": str(state["bit_generator"]),
        "state": int(state["state"]["state"]),
        "increment": int(state["state"]["inc"]),
        "has_half": int(state["has_uint32"]),
        "half": int(state["uinteger"]),
    }


def restore_generator(generator: np.random.Generator, numbers: JSON) -> None:
    """Set a PCG64 generator to what `generator_numbers` gave.

    Raises:
        TrainingError: If the numbers are not those of such a generator.
    """
    try:
        given: Any = numbers
        generator.bit_generator.state = {
            "bit_generator": str(given["generator"]),
            "state": {"state": int(given["state"]), "inc": int(given["increment"])},
            "has_uint32": int(given["has_half"]),
            "uinteger": int(given["half"]),
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TrainingError(f"the state of a random generator cannot be set: {error}") from error


def _fresh(parameter: Tensor, amsgrad: bool) -> dict[str, Tensor]:
    moments = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ()))
    zeros = {name: torch.zeros_like(parameter, requires_grad=False) for name in moments}
    # Adam counts steps in a float32 of the host.
    return {"step": torch.zeros(()), **zeros}
