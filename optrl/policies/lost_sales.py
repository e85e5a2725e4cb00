"""Demand expected to be lost over the lead time, from stock and what is due."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.policies.lead_time_paths import LeadTimePaths
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows, graph_first
from optrl.simulation.state import State

# Elements of the tensors walked through at once.
_CHUNK_ELEMENTS = 2_000_000


class LostSales:
    """Expected lost sales of the coming lead time, by walking through sample paths of demand.

    The error of the mean over P paths is that of lost sales alone, over the square root of P;
    mean demand itself enters exactly elsewhere.

    What nodes below ask for is taken at its mean; of a shortage the part lost is the share of
    the node's own demand in what is needed.

    Args:
        sourcing: Primary lanes and serving nodes, of all items.
        model: Demand model.
        seed: Seed of the paths.
        paths: Number of paths (`LeadTimePaths`).
    """

    def __init__(self, sourcing: Sourcing, model: DemandModel, seed: int, paths: int = 128) -> None:
        self._paths = LeadTimePaths(sourcing, model, seed, paths)
        rows = self._paths.rows
        self._into = Rows(rows, len(sourcing.stocking))
        self._at = Rows(sourcing.stocking[rows], len(sourcing.network.nodes))
        lead = sourcing.lead_time[:, rows]
        self._lead = torch.from_numpy(np.ascontiguousarray(lead.T))[:, None]

    def expected(self, state: State, period: int) -> Tensor:
        """Expected lost sales until an order of `period` arrives, shape (M, S, N)."""
        on_hand = graph_first(state.on_hand)
        if not len(self._into):
            return on_hand.new_zeros(self._into.size, *on_hand.shape[1:])
        stock = self._at.take(on_hand)
        # (K, V, S, N): what arrives k + 1 periods from now.
        due = state.due.permute(3, 2, 0, 1)
        paths = self._paths.at(period, self._paths.longest)
        own, passed = paths.own.to(stock.dtype), paths.passed.to(stock.dtype)
        chunk = max(1, _CHUNK_ELEMENTS // max(stock.numel(), 1))
        total = torch.zeros_like(stock)
        for low in range(0, len(own), chunk):
            total = total + self._walk(stock, due, own[low : low + chunk], passed)
        return self._into.spread(total / len(own))

    def _walk(self, stock: Tensor, due: Tensor, own: Tensor, passed: Tensor) -> Tensor:
        """Lost sales summed over paths `own` (P, L, rows, 1, N), shape (rows, S, N)."""
        total = torch.zeros_like(stock)
        level = stock.expand(len(own), *stock.shape)
        for step in range(own.shape[1]):
            if 0 < step <= len(due):
                level = level + self._at.take(due[step - 1])
            need = own[:, step] + passed[step]
            short = (need - level).clamp(min=0)
            level = (level - need).clamp(min=0)
            lost = short * (own[:, step] / need.clamp(min=1e-12))
            total = total + torch.where(step < self._lead, lost.sum(0), 0.0)
        return total
