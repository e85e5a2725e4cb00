"""Sample paths of the demand that comes while an order is on its way."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.policies.sourcing import Sourcing

# Elements of drawn paths, and of paths kept.
_DRAWN_ELEMENTS = 16_000_000
_KEPT_ELEMENTS = 32_000_000
_FEWEST_PATHS = 16
# Keeps the paths apart from demand that a caller draws with the same seed.
_STREAM = 7_204


@dataclass(frozen=True)
class Paths:
    """Demand of some nodes in the periods from a decision on, float32.

    Attributes:
        own: Demand served from each node on P paths, shape (P, periods, rows, 1, N).
        passed: Mean of what nodes below ask of it, shape (periods, rows, 1, N).
    """

    own: Tensor
    passed: Tensor


class LeadTimePaths:
    """Paths of demand at the stocking nodes that serve demand themselves and have a lead time.

    Each period they are drawn anew from the demand model by a generator of seed and period, the
    same for every scenario and every state, so that what is computed on them is deterministic.
    What nodes below ask for is taken at its mean.

    Args:
        sourcing: Primary lanes and serving nodes, of all items.
        model: Demand model.
        seed: Seed of the paths.
        paths: Number of paths; fewer are drawn where the instance is so large that they would
            not fit in memory.

    Attributes:
        rows: The nodes, among the stocking nodes.
        longest: Longest lead time of any item into one of them.
    """

    def __init__(self, sourcing: Sourcing, model: DemandModel, seed: int, paths: int) -> None:
        self._sourcing = sourcing
        self._model = model
        self._seed = seed
        waits = (sourcing.owns.any(axis=1) & (sourcing.lead_time > 0)).any(axis=0)
        self.rows: IntArray = np.flatnonzero(waits)
        self.longest = int(sourcing.lead_time[:, self.rows].max(initial=0))
        self._own = sourcing.owns[:, :, self.rows].astype(float)
        cells = max(self._own.shape[0] * self.longest * max(self._own.shape[1:]), 1)
        self._paths = max(min(paths, _DRAWN_ELEMENTS // cells), _FEWEST_PATHS)
        self._kept: OrderedDict[int, Paths] = OrderedDict()

    def at(self, period: int, periods: int) -> Paths:
        """Paths of `periods` periods from `period` on; asked again, the same."""
        if period not in self._kept or len(self._kept[period].passed) != periods:
            self._kept[period] = self._draw(period, periods)
            size = self._kept[period].own.numel()
            while len(self._kept) > max(1, _KEPT_ELEMENTS // max(size, 1)):
                self._kept.popitem(last=False)
        return self._kept[period]

    def _draw(self, period: int, periods: int) -> Paths:
        generator = np.random.default_rng([self._seed, period % 2**32, _STREAM])
        drawn = self._model.sample(self._paths, period, periods, generator)
        own = np.matmul(self._own.transpose(0, 2, 1), drawn)
        passed = self._passed_on(period, periods)
        paths = torch.from_numpy(own.transpose(0, 3, 2, 1).astype(np.float32))
        mean = torch.from_numpy(passed.transpose(2, 1, 0).astype(np.float32))
        return Paths(paths[:, :, :, None].contiguous(), mean[:, :, None].contiguous())

    def _passed_on(self, period: int, periods: int) -> FloatArray:
        """Mean orders of nodes below in the periods from `period` on, shape (N, rows, periods)."""
        sourcing = self._sourcing
        below = np.where(sourcing.owns, -1, sourcing.below)[:, :, self.rows]
        passed = np.zeros((len(below), len(self.rows), periods))
        for ahead in np.unique(below[below > 0]):
            groups = (below == ahead).astype(float)
            mean = self._model.mean(period + int(ahead) - 1, periods)
            passed += np.matmul(groups.transpose(0, 2, 1), mean)
        return passed
