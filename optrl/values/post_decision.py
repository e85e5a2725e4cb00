"""The state after a decision, before demand is seen: what orders do to stock and pipeline."""

from __future__ import annotations

import torch
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.state import State


class PostDecision:
    """What a decision does to stock and pipeline, for one instance.

    Lanes with random arrivals count at what their orders bring in expectation.
    """

    def __init__(self, instance: Instance) -> None:
        network = instance.network
        lanes = network.replenishment_lanes
        self._origin = torch.from_numpy(network.origin[lanes].copy())
        destination = network.destination[lanes]
        # (lane position, node, delay, share), grouped by delay.
        share: dict[int, list[tuple[int, int, float]]] = {}
        profiles = {p.lane: p.probability @ p.fraction for p in instance.arrivals}
        for position, lane in enumerate(lanes.tolist()):
            lead = int(network.lead_time[lane])
            shares = profiles.get(lane)
            delays = {lead: 1.0} if shares is None else dict(enumerate(shares.tolist()))
            for delay, part in delays.items():
                if part > 0:
                    share.setdefault(delay, []).append((position, int(destination[position]), part))
        self._groups = {
            delay: (
                torch.tensor([p for p, _, _ in members]),
                torch.tensor([v for _, v, _ in members]),
                torch.tensor([s for _, _, s in members], dtype=torch.float64),
            )
            for delay, members in sorted(share.items())
        }

    def apply(self, state: State, released: Tensor) -> tuple[Tensor, Tensor]:
        """Stock (S, N, V) and pipeline (S, N, V, slots) after `released` (S, N, lanes)."""
        stock = state.on_hand.index_add(-1, self._origin, -released)
        due = state.due
        longest = max(due.shape[-1], *self._groups) if self._groups else due.shape[-1]
        slots = [
            due[..., k] if k < due.shape[-1] else torch.zeros_like(stock) for k in range(longest)
        ]
        for delay, (position, node, share) in self._groups.items():
            quantity = released[..., position] * share.to(released.dtype)
            if delay == 0:
                stock = stock.index_add(-1, node, quantity)
            else:
                slots[delay - 1] = slots[delay - 1].index_add(-1, node, quantity)
        return stock, torch.stack(slots, dim=-1) if slots else due
