"""Demand with any distribution on 0, 1, 2, ..., independent over items, nodes and periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import TotalFamily
from optrl.demand.totals import independent_total, scenario_blocks


@dataclass(frozen=True)
class Discrete:
    """The same table of probabilities in every period.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        probability: Probability of each demand 0, ..., K, shape (N, D, K + 1), sums to 1.
    """

    total_family: ClassVar[TotalFamily] = "normal"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    probability: FloatArray

    def __post_init__(self) -> None:
        total = self.probability.sum(axis=-1)
        shape = self.probability.shape
        if len(shape) != 3 or shape[1] != len(self.nodes):
            raise ValueError(f"probability {shape} must be (N, {len(self.nodes)}, K + 1)")
        if (self.probability < 0).any() or not np.allclose(total, 1, rtol=0, atol=1e-9):
            raise ValueError("probabilities must not be negative and must sum to 1")

    @property
    def unit(self) -> FloatArray:
        """Totals are matched by continuous normal distributions, shape (N,): zeros."""
        return np.zeros(self.probability.shape[0])

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand, shape (N, D, periods)."""
        value = self.probability @ np.arange(self.probability.shape[2])
        return np.repeat(value[:, :, None], periods, axis=2)

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance, shape (N, D, periods)."""
        demand = np.arange(self.probability.shape[2])
        value = self.probability @ demand**2 - (self.probability @ demand) ** 2
        return np.repeat(value[:, :, None], periods, axis=2)

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods), by inversion."""
        items, nodes, size = self.probability.shape
        pairs = items * nodes
        # One ascending table of all pairs: pair k's distribution lies between k and k + 1.
        below = np.minimum(np.cumsum(self.probability.reshape(pairs, size), axis=1), 1.0)
        below[:, -1] = 1.0
        table = (below + np.arange(pairs)[:, None]).ravel()
        pair = np.arange(pairs)[:, None]
        paths = np.empty((scenarios, pairs, periods))
        for block in scenario_blocks(scenarios, pairs * periods):
            uniform = generator.random((block.stop - block.start, pairs, periods))
            place = np.searchsorted(table, uniform + pair, side="right") - pair * size
            paths[block] = np.minimum(place, size - 1)
        return paths.reshape(scenarios, items, nodes, periods)

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        return independent_total(groups, self.variance(first, periods))
