"""A learner that decides every lane: the state in full, an action for each item and lane."""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray, NodeKind
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.settings import EncodingSettings
from optrl.instance import Instance
from optrl.simulation.state import State


class LaneCoding:
    """One agent decides all lanes.

    The observation lists, in this order: stock, then pipeline by arrival (1, 2, ... periods ahead),
    of each item and stocking node that a lane or demand of the item touches; where demand waits,
    the backlog of each item and demand node; expected demand of the next periods at each; the share
    of the horizon that is over (`EncodingSettings.clock`). Quantities are in periods of the item's
    whole expected demand.

    An action has an entry in [-1, 1] for each item and replenishment lane it may use; -1 is no
    order (or level 0) and 1 the largest.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        settings: How to encode; `actions` is ``order`` or ``order_up_to``.
    """

    agents = 1

    def __init__(self, instance: Instance, demand: DemandModel, settings: EncodingSettings) -> None:
        network = instance.network
        self.instance, self.demand, self.settings = instance, demand, settings
        self.scale = demand_scale(instance, demand)
        lanes = network.replenishment_lanes
        self._pairs = _where(network.allowed[:, lanes])
        self._stocked = _where(_stocked(instance))
        demanded = np.zeros((len(network.items), len(network.nodes)), dtype=bool)
        demanded[:, demand.nodes] = True
        self._demanded = _where(demanded)
        self._waits = network.unmet == "backorder"
        longest: int = max((p.fraction.shape[1] - 1 for p in instance.arrivals), default=0)
        self._slots = int(max(network.longest_lead_time, longest, instance.due.shape[2]))
        item, lane = self._pairs
        per_item = torch.from_numpy(self.scale)
        largest = self.settings.largest + (
            self._slots if self.settings.actions == "order_up_to" else 0
        )
        self._largest = largest * per_item[item]
        if self.settings.actions == "order":
            cap = torch.from_numpy(network.maximum_quantity[:, lanes])[item, lane]
            self._largest = torch.minimum(self._largest, cap)
        self._destination = torch.from_numpy(network.destination[lanes])
        self._per_item = per_item
        self._shape = (len(network.items), len(lanes))

    @property
    def size(self) -> int:
        """Length of an observation."""
        demanded = len(self._demanded[0])
        return (
            len(self._stocked[0]) * (1 + self._slots)
            + demanded * (int(self._waits) + self.settings.forecast)
            + int(self.settings.clock)
        )

    @property
    def actions(self) -> int:
        """Length of an action."""
        return len(self._pairs[0])

    def observe(self, state: State, period: int) -> Tensor:
        """Observations, float32, shape (S, `size`)."""
        scenarios = state.on_hand.shape[0]
        item, node = self._stocked
        scale = self._per_item.to(state.on_hand.dtype)
        due = state.due[:, item, node]
        due = torch.nn.functional.pad(due, (0, self._slots - due.shape[2]))
        parts = [
            state.on_hand[:, item, node] / scale[item],
            (due / scale[item, None]).flatten(1),
        ]
        item, node = self._demanded
        if self._waits:
            parts.append(state.backlog[:, item, node] / scale[item])
        if self.settings.forecast:
            expected = self.demand.mean(period, self.settings.forecast) / self.scale[:, None, None]
            row = torch.from_numpy(np.ascontiguousarray(expected)).to(scale.dtype).flatten()
            parts.append(row.expand(scenarios, -1))
        if self.settings.clock:
            over = (period - self.instance.start) / max(1, self.instance.horizon)
            parts.append(scale.new_full((scenarios, 1), over))
        return torch.cat(parts, dim=1).float()

    def orders(self, action: Tensor, state: State, period: int) -> Tensor:
        """Orders of actions (S, `actions`), shape (S, N, replenishment lanes)."""
        dtype = state.on_hand.dtype
        share = (action.to(dtype).clamp(-1, 1) + 1) / 2
        quantity = share * self._largest.to(dtype)
        item, lane = self._pairs
        if self.settings.actions == "order_up_to":
            node = self._destination[lane]
            position = state.on_hand + state.in_transit - state.backlog
            quantity = (quantity - position[:, item, node]).clamp(min=0)
        if self.settings.whole:
            quantity = quantity.round()
        order = torch.zeros(action.shape[0], *self._shape, dtype=dtype)
        order[:, item, lane] = quantity
        return order


def demand_scale(instance: Instance, demand: DemandModel) -> FloatArray:
    """Expected demand of an item a period at all nodes together, 1 where there is none, (N,)."""
    mean = demand.mean(instance.start, max(1, instance.horizon)).sum(axis=1).mean(axis=1)
    scale: FloatArray = np.where(mean > 0, mean, 1.0)
    return scale


def _where(mask: BoolArray) -> tuple[Tensor, Tensor]:
    first, second = np.nonzero(mask)
    return torch.from_numpy(first), torch.from_numpy(second)


def _stocked(instance: Instance) -> BoolArray:
    """Items and stocking nodes where stock may be, shape (N, V)."""
    network = instance.network
    held = (instance.on_hand > 0) | (instance.due.sum(axis=2) > 0)
    held[:, instance.demand.nodes] = True
    for end in (network.origin, network.destination):
        item, lane = np.nonzero(network.allowed)
        held[item, end[lane]] = True
    stocking: BoolArray = network.kind == NodeKind.STOCKING
    kept: BoolArray = held & stocking[None, :]
    return kept
