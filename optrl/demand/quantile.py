"""Demand from forecast quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.estimate import HistoryError
from optrl.demand.paths import table_columns
from optrl.demand.totals import independent_total, scenario_blocks
from optrl.instance import Instance


@dataclass(frozen=True)
class QuantileForecast:
    """Quantiles joined by straight lines; independent over items, nodes and periods.

    Tails: below the lowest level the first line goes on, but not below zero. Above the highest
    level demand exceeds the highest quantile by an exponential with the rate that the last two
    quantiles show, so the tail continues as -log(1 - p) does. Quantiles that cross are sorted.
    Beyond the table its last season, or last period, repeats.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        probabilities: Levels strictly between 0 and 1, ascending, shape (Q,), Q at least 2.
        quantiles: Shape (N, D, T, Q), item units.
        first_period: Absolute period of the first quantiles.
        season: Periods of a season, 0 for none.
    """

    name: ClassVar[str] = "quantile"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    probabilities: FloatArray
    quantiles: FloatArray
    first_period: int
    season: int = 0

    def __post_init__(self) -> None:
        p = self.probabilities
        if len(p) < 2 or not ((p > 0) & (p < 1)).all() or not (np.diff(p) > 0).all():
            raise HistoryError(
                f"quantile levels are {p.tolist()}: give at least two, ascending, strictly "
                "between 0 and 1"
            )
        if self.quantiles.ndim != 4 or self.quantiles.shape[3] != len(p):
            raise ValueError(
                f"quantiles {self.quantiles.shape} must be (N, D, T, Q) with Q = {len(p)}"
            )

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Take the forecast's quantiles.

        Raises:
            HistoryError: If the instance has no forecast with quantiles.
        """
        forecast = instance.forecast
        if forecast is None or forecast.quantiles is None or forecast.probabilities is None:
            raise HistoryError(
                f"demand family {cls.name!r} needs a forecast with quantiles and the instance "
                f"{instance.name!r} has none: add quantile columns to the forecast or choose "
                "another demand_family"
            )
        return cls(
            instance.demand.nodes,
            forecast.probabilities,
            forecast.quantiles,
            instance.start,
            instance.season,
        )

    def _knots(self, first: int, periods: int) -> tuple[FloatArray, FloatArray]:
        """Quantiles at levels 0, p_1, ..., p_Q, shape (N, D, periods, Q + 1), and tail scale."""
        column = table_columns(
            first, periods, self.first_period, self.quantiles.shape[2], self.season
        )
        p = self.probabilities
        value = np.sort(np.maximum(self.quantiles[:, :, column], 0.0), axis=3)
        slope = (value[..., 1] - value[..., 0]) / (p[1] - p[0])
        lowest = np.maximum(value[..., 0] - slope * p[0], 0.0)
        tail = (value[..., -1] - value[..., -2]) / np.log((1 - p[-2]) / (1 - p[-1]))
        return np.concatenate([lowest[..., None], value], axis=3), tail

    def _moments(self, first: int, periods: int) -> tuple[FloatArray, FloatArray]:
        knots, tail = self._knots(first, periods)
        width = np.diff(self.probabilities, prepend=0.0)
        low, high, beyond = knots[..., :-1], knots[..., 1:], 1 - self.probabilities[-1]
        last = knots[..., -1]
        mean = ((low + high) / 2) @ width + beyond * (last + tail)
        # About the mean, so that narrow distributions far from zero keep their digits.
        low, high, excess = low - mean[..., None], high - mean[..., None], last - mean + tail
        variance = ((low**2 + low * high + high**2) / 3) @ width + beyond * (excess**2 + tail**2)
        return mean, variance

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand of the joined quantiles, exact, shape (N, D, periods)."""
        return self._moments(first, periods)[0]

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance of the joined quantiles, exact, shape (N, D, periods)."""
        return self._moments(first, periods)[1]

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths by inversion, shape (S, N, D, periods)."""
        knots, tail = self._knots(first, periods)
        levels = np.concatenate([[0.0], self.probabilities])
        paths = np.empty((scenarios, *tail.shape))
        for block in scenario_blocks(scenarios, tail.size):
            uniform = generator.random((block.stop - block.start, *tail.shape))
            drawn = np.broadcast_to(knots[..., 0], uniform.shape).copy()
            for q, width in enumerate(np.diff(levels)):
                slope = (knots[..., q + 1] - knots[..., q]) / width
                drawn += slope * np.clip(uniform - levels[q], 0.0, width)
            beyond = np.log((1 - levels[-1]) / (1 - uniform))
            drawn += tail * np.maximum(beyond, 0.0)
            paths[block] = drawn
        return paths

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        return independent_total(groups, self.variance(first, periods))
