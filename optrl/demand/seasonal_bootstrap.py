"""Whole past periods of the same time of year, scaled to the expected level."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.estimate import HistoryError, expected_demand, require_history
from optrl.demand.paths import Path
from optrl.demand.totals import group_sum, scenario_blocks
from optrl.instance import Instance


@dataclass(frozen=True)
class SeasonalBootstrap:
    """Expected demand times the ratios of one past period of the same time of year.

    In every period one past period is drawn, at most `window` positions of the season away, and
    the ratios of observed to expected demand of all its items and nodes are taken together, so
    that demand stays correlated over items and nodes. Periods are independent.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        path: Expected demand that ratios multiply.
        ratio: Observed over expected demand of past periods, shape (N, D, H).
        first_period: Absolute period of the first ratio.
        season: Periods of a season; 0 or 1 where any past period may be drawn.
        window: Largest distance, in positions around the season.
    """

    name: ClassVar[str] = "seasonal_bootstrap"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    path: Path
    ratio: FloatArray
    first_period: int
    season: int
    window: int = 3

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Ratios of history to its local level and season, each pair's averaging to 1.

        The level is the item's, smoothed over both sides, so that rarely ordering nodes do not
        divide by nearly nothing. Pairs that never saw demand stay at zero.

        Raises:
            HistoryError: If history is too short, or shorter than a season.
        """
        remedy = "give more history or choose another family"
        require_history(instance, cls.name, remedy)
        expected = expected_demand(instance, cls.name)
        rates, history = expected.rates, expected.history
        if rates is None or history.shape[2] < instance.season:
            raise HistoryError(
                f"demand family {cls.name!r}: history holds {history.shape[2]} periods, a season "
                f"has {instance.season}: {remedy}, or set the season to 0"
            )
        local = rates.local[:, None, :]
        ratio = np.divide(history, local, out=np.zeros_like(history), where=local > 0)
        # Periods before an item's introduction are no evidence against it: they are given 1.
        active = np.broadcast_to(rates.active[:, None, :], ratio.shape)
        mass = np.maximum(rates.active.sum(axis=1), 1)[:, None, None]
        average = ratio.sum(axis=2, keepdims=True) / mass
        ratio = np.divide(ratio, average, out=np.zeros_like(ratio), where=average > 0)
        ratio = np.where(active | (average <= 0), ratio, 1.0)
        return cls(
            instance.demand.nodes,
            expected.path,
            ratio,
            instance.demand.first_period,
            instance.season,
        )

    @cached_property
    def weight(self) -> FloatArray:
        """Probability of each past period at each position of the season, shape (season, H)."""
        past = self.first_period + np.arange(self.ratio.shape[2])
        season = max(self.season, 1)
        gap = np.abs(np.arange(season)[:, None] - (past % season)[None, :])
        near = np.minimum(gap, season - gap) <= self.window
        empty = np.flatnonzero(~near.any(axis=1))
        if len(empty):
            raise HistoryError(
                f"seasonal bootstrap: no past period within {self.window} of position {empty[0]} "
                f"of the season of {season}: give more history or a wider window"
            )
        weight: FloatArray = near / near.sum(axis=1, keepdims=True)
        return weight

    def _weight_at(self, first: int, periods: int) -> FloatArray:
        return self.weight[np.arange(first, first + periods) % len(self.weight)]

    def mean(self, first: int, periods: int) -> FloatArray:
        """Path times average ratio of the past periods in reach, shape (N, D, periods)."""
        average = self.ratio @ self._weight_at(first, periods).T
        return self.path.at(first, periods) * average

    def variance(self, first: int, periods: int) -> FloatArray:
        """Squared path times variance of those ratios, shape (N, D, periods)."""
        weight = self._weight_at(first, periods).T
        spread = (self.ratio**2) @ weight - (self.ratio @ weight) ** 2
        return self.path.at(first, periods) ** 2 * np.maximum(spread, 0.0)

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods)."""
        path = self.path.at(first, periods)
        cumulative = np.cumsum(self._weight_at(first, periods), axis=1)
        uniform = generator.random((scenarios, periods)) * cumulative[:, -1]
        past = (uniform[:, :, None] >= cumulative[None]).sum(axis=2)
        paths = np.empty((scenarios, *path.shape))
        for block in scenario_blocks(scenarios, path.size):
            np.multiply(path, np.moveaxis(self.ratio[:, :, past[block]], 2, 0), out=paths[block])
        return paths

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        path, weight = self.path.at(first, periods), self._weight_at(first, periods)
        variance = np.zeros((groups.shape[0], groups.shape[2]))
        for t in range(periods):
            near = np.flatnonzero(weight[t])
            total = group_sum(groups, path[:, :, t, None] * self.ratio[:, :, near])
            variance += total.var(axis=2)
        return variance
