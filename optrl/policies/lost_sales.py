"""Demand expected to be lost over the lead time, from stock and what is due."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows, graph_first
from optrl.simulation.state import State

# Elements of the tensors walked through at once, of drawn paths, and of paths kept.
_CHUNK_ELEMENTS = 2_000_000
_DRAWN_ELEMENTS = 16_000_000
_KEPT_ELEMENTS = 32_000_000
_FEWEST_PATHS = 16


class LostSales:
    """Expected lost sales of the coming lead time, by walking through sample paths of demand.

    Each period the paths are drawn anew from the demand model by a generator of (seed, period),
    the same for every scenario and every state, so that the projection is deterministic. The
    error of the mean over P paths is that of lost sales alone, over the square root of P; mean
    demand itself enters exactly elsewhere.

    What nodes below ask for is taken at its mean; of a shortage the part lost is the share of
    the node's own demand in what is needed.

    Args:
        sourcing: Primary lanes and serving nodes, of all items.
        model: Demand model.
        seed: Seed of the paths.
        paths: Number of paths; fewer are drawn where the instance is so large that they would
            not fit in memory.
    """

    def __init__(self, sourcing: Sourcing, model: DemandModel, seed: int, paths: int = 128) -> None:
        self._sourcing = sourcing
        self._model = model
        self._seed = seed
        loses = (sourcing.owns.any(axis=1) & (sourcing.lead_time > 0)).any(axis=0)
        self._rows: IntArray = np.flatnonzero(loses)
        self._into = Rows(self._rows, len(sourcing.stocking))
        self._at = Rows(sourcing.stocking[self._rows], len(sourcing.network.nodes))
        lead = sourcing.lead_time[:, self._rows]
        self._longest = int(lead.max(initial=0))
        self._lead = torch.from_numpy(np.ascontiguousarray(lead.T))[:, None]
        self._own = sourcing.owns[:, :, self._rows].astype(float)
        cells = max(self._own.shape[0] * self._longest * max(self._own.shape[1:]), 1)
        self._paths = max(min(paths, _DRAWN_ELEMENTS // cells), _FEWEST_PATHS)
        self._kept: OrderedDict[int, tuple[Tensor, Tensor]] = OrderedDict()

    def expected(self, state: State, period: int) -> Tensor:
        """Expected lost sales until an order of `period` arrives, shape (M, S, N)."""
        on_hand = graph_first(state.on_hand)
        nodes = self._into.size
        if not len(self._rows):
            return on_hand.new_zeros(nodes, *on_hand.shape[1:])
        stock = self._at.take(on_hand)
        # (K, V, S, N): what arrives k + 1 periods from now.
        due = state.due.permute(3, 2, 0, 1)
        own, passed = (x.to(stock.dtype) for x in self._demand(period))
        chunk = max(1, _CHUNK_ELEMENTS // max(stock.numel(), 1))
        total = torch.zeros_like(stock)
        for low in range(0, len(own), chunk):
            total = total + self._walk(stock, due, own[low : low + chunk], passed)
        return self._into.spread(total / len(own))

    def _walk(self, stock: Tensor, due: Tensor, own: Tensor, passed: Tensor) -> Tensor:
        """Lost sales summed over paths `own` (P, L, rows, 1, N), shape (rows, S, N)."""
        total = torch.zeros_like(stock)
        level = stock.expand(len(own), *stock.shape)
        for step in range(self._longest):
            if 0 < step <= len(due):
                level = level + self._at.take(due[step - 1])
            need = own[:, step] + passed[step]
            short = (need - level).clamp(min=0)
            level = (level - need).clamp(min=0)
            lost = short * (own[:, step] / need.clamp(min=1e-12))
            total = total + torch.where(step < self._lead, lost.sum(0), 0.0)
        return total

    def _demand(self, period: int) -> tuple[Tensor, Tensor]:
        """Paths of own demand (P, L, rows, 1, N) and mean passed on (L, rows, 1, N)."""
        if period not in self._kept:
            self._kept[period] = self._draw(period)
            size = self._kept[period][0].numel()
            while len(self._kept) > max(1, _KEPT_ELEMENTS // max(size, 1)):
                self._kept.popitem(last=False)
        return self._kept[period]

    def _draw(self, period: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng([self._seed, period % 2**32])
        drawn = self._model.sample(self._paths, period, self._longest, generator)
        own = np.matmul(self._own.transpose(0, 2, 1), drawn)
        passed = self._passed_on(period)
        paths = torch.from_numpy(own.transpose(0, 3, 2, 1).astype(np.float32))
        mean = torch.from_numpy(passed.transpose(2, 1, 0).astype(np.float32))
        return paths[:, :, :, None].contiguous(), mean[:, :, None].contiguous()

    def _passed_on(self, period: int) -> FloatArray:
        """Mean orders of nodes below in the periods of the lead time, shape (N, rows, L)."""
        sourcing = self._sourcing
        below = np.where(sourcing.owns, -1, sourcing.below)[:, :, self._rows]
        passed = np.zeros((len(below), len(self._rows), self._longest))
        for ahead in np.unique(below[below > 0]):
            groups = (below == ahead).astype(float)
            mean = self._model.mean(period + int(ahead) - 1, self._longest)
            passed += np.matmul(groups.transpose(0, 2, 1), mean)
        return passed
