"""Poisson demand, independent over items, nodes and periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import TotalFamily
from optrl.demand.estimate import expected_demand
from optrl.demand.paths import Path
from optrl.demand.totals import independent_total, scenario_blocks
from optrl.instance import Instance


@dataclass(frozen=True)
class Poisson:
    """Poisson demand with a mean that may change from period to period.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        path: Expected demand, item units.
    """

    name: ClassVar[str] = "poisson"
    total_family: ClassVar[TotalFamily] = "negative_binomial"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    path: Path

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Take the forecast's mean, or the rates that history shows.

        Raises:
            optrl.demand.estimate.HistoryError: If there is no forecast and too little history.
        """
        return cls(instance.demand.nodes, expected_demand(instance, cls.name).path)

    @property
    def unit(self) -> FloatArray:
        """Demand is integer, shape (N,)."""
        return np.ones(self.path.shape[0])

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand, shape (N, D, periods)."""
        return self.path.at(first, periods)

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance, equal to the mean, shape (N, D, periods)."""
        return self.path.at(first, periods)

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods)."""
        mean = self.path.at(first, periods)
        live = np.flatnonzero(mean)
        rate = mean.ravel()[live]
        paths = np.zeros((scenarios, mean.size))
        for block in scenario_blocks(scenarios, len(live)):
            drawn = generator.poisson(rate, size=(block.stop - block.start, len(live)))
            paths[block, live] = drawn
        return paths.reshape(scenarios, *mean.shape)

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        return independent_total(groups, self.variance(first, periods))
