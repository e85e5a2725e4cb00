"""The simulator's state between two updates: cut from the gradient, and kept in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from optrl.simulation.network_state import NetworkState, Shipment
from optrl.simulation.rows import Rows


def carried(state: NetworkState) -> NetworkState:
    """The state without its past, in a form that depends on nothing but its numbers.

    Shipments that arrive in the same period are added up, so that a training that goes on from a
    checkpoint adds the same numbers in the same order as one that was never interrupted. Orders on
    lanes with random arrivals cannot be carried.
    """
    with torch.no_grad():
        due = state.due.permute(3, 2, 0, 1)
        everywhere = Rows(np.arange(len(state.stock)), len(state.stock))
        return replace(
            state,
            stock=state.stock.detach().clone(),
            moving=due.sum(0) if len(due) else torch.zeros_like(state.stock),
            waiting=None if state.waiting is None else state.waiting.detach().clone(),
            slots=tuple((Shipment(everywhere, slot.contiguous()),) for slot in due),
            charges=tuple(charge.detach() for charge in state.charges),
        )


def state_tensors(state: NetworkState) -> dict[str, Tensor]:
    """Tensors of a carried state by name."""
    tensors = {"stock": state.stock}
    if state.waiting is not None:
        tensors["waiting"] = state.waiting
    tensors |= {f"due{k}": slot[0].quantity for k, slot in enumerate(state.slots)}
    return tensors | {f"charge{k}": charge for k, charge in enumerate(state.charges)}


def state_from(like: NetworkState, period: int, tensors: Mapping[str, Tensor]) -> NetworkState:
    """A carried state from its tensors.

    Args:
        like: A carried state of the same instance.
        period: Absolute period.
        tensors: By the names of `state_tensors`.
    """
    due = [tensors[f"due{k}"] for k in range(len(like.slots))]
    return carried(
        replace(
            like,
            period=period,
            stock=tensors["stock"],
            waiting=tensors.get("waiting"),
            slots=tuple(
                (Shipment(slot[0].nodes, quantity),)
                for slot, quantity in zip(like.slots, due, strict=True)
            ),
            charges=tuple(tensors[f"charge{k}"] for k in range(len(like.charges))),
        )
    )
