"""Normal demand clipped at zero, optionally rounded to multiples of a unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray
from scipy.special import ndtr

from optrl.demand.base import TotalFamily
from optrl.demand.dispersion import relative_variance
from optrl.demand.estimate import HistoryError, expected_demand
from optrl.demand.paths import Path, ScaledPath, TablePath
from optrl.demand.totals import independent_total
from optrl.instance import Instance

LOWEST_SCORE = -8.0
"""Least location in scales that `unclipped` answers; relative variances up to about 1e16."""


@dataclass(frozen=True)
class Normal:
    """max(0, X) for normal X, rounded half up where a unit is given; independent throughout.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        location: Mean of X before clipping.
        scale: Standard deviation of X before clipping.
        unit: Demand is rounded to multiples of it, shape (N,); 0 for none, zeros when empty.
    """

    name: ClassVar[str] = "normal"
    total_family: ClassVar[TotalFamily] = "normal"
    independent_periods: ClassVar[bool] = True

    nodes: IntArray
    location: Path
    scale: Path
    unit: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.unit):
            object.__setattr__(self, "unit", np.zeros(self.location.shape[0]))

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Match mean and standard deviation of the clipped distribution to forecast or history.

        Raises:
            HistoryError: If neither history nor a forecast's standard deviation shows the spread.
        """
        expected = expected_demand(instance, cls.name)
        nodes, forecast = instance.demand.nodes, instance.forecast
        if forecast is not None and forecast.standard_deviation is not None:
            location, scale = unclipped(forecast.mean, forecast.standard_deviation)
            start, season = instance.start, instance.season
            return cls(nodes, TablePath(location, start, season), TablePath(scale, start, season))
        if expected.rates is None:
            raise HistoryError(
                f"demand family {cls.name!r}: the forecast has no standard deviation and history "
                f"holds {expected.history.shape[2]} periods: add the column or more history, or "
                "choose demand_family 'poisson'"
            )
        rates = expected.rates
        relative = np.sqrt(relative_variance(expected.history, rates.one_step, rates.active))
        location, scale = unclipped(np.ones_like(relative), relative)
        return cls(nodes, ScaledPath(expected.path, location), ScaledPath(expected.path, scale))

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand after clipping and rounding, shape (N, D, periods)."""
        return self._moments(first, periods)[0]

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance after clipping and rounding, shape (N, D, periods)."""
        return self._moments(first, periods)[1]

    def _moments(self, first: int, periods: int) -> tuple[FloatArray, FloatArray]:
        location, scale = self.location.at(first, periods), self.scale.at(first, periods)
        mean, variance = clipped_moments(location, scale)
        rounded = self.unit > 0
        if rounded.any():
            unit = self.unit[rounded][:, None, None]
            mean[rounded], variance[rounded] = rounded_moments(
                location[rounded] / unit, scale[rounded] / unit
            )
            mean[rounded] *= unit
            variance[rounded] *= unit**2
        return mean, variance

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods)."""
        location, scale = self.location.at(first, periods), self.scale.at(first, periods)
        paths = generator.standard_normal((scenarios, *location.shape))
        paths *= scale
        paths += location
        np.maximum(paths, 0.0, out=paths)
        rounded = self.unit > 0
        if rounded.any():
            unit = self.unit[rounded][:, None, None]
            paths[:, rounded] = np.floor(paths[:, rounded] / unit + 0.5) * unit
        return paths

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G)."""
        return independent_total(groups, self.variance(first, periods))


def clipped_moments(location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of max(0, X), X normal; a point where the scale is zero.

    With z = location / scale: E = scale (z Phi(z) + phi(z)) and
    E**2 + Var = scale**2 ((z**2 + 1) Phi(z) + z phi(z)).
    """
    score = np.divide(location, scale, out=np.zeros_like(location), where=scale > 0)
    score = np.clip(score, -1e8, 1e8)
    below, density = ndtr(score), np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
    first = score * below + density
    # Subtracting the squared mean loses all digits at large z, where clipping does nothing.
    second = (score**2 + 1) * below + score * density - first**2
    second = np.where(score > 8, 1.0, np.maximum(second, 0.0))
    mean = np.where(scale > 0, scale * np.maximum(first, 0.0), np.maximum(location, 0.0))
    return mean, scale**2 * second


def rounded_moments(location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of floor(max(0, X) + 1/2), X normal.

    E = sum over n >= 1 of P(X >= n - 1/2) and E of the square that of (2 n - 1) P(X >= n - 1/2),
    summed where the probability is neither 0 nor 1; for scales above 4 the midpoint rule with
    two Euler-Maclaurin terms replaces the sum (error below 1e-6).
    """
    mean, variance = np.empty_like(location), np.empty_like(location)
    narrow = scale <= 4
    mean[narrow], variance[narrow] = _rounded_sum(location[narrow], scale[narrow])
    wide_mean, wide_variance = clipped_moments(location[~narrow], scale[~narrow])
    score = location[~narrow] / scale[~narrow]
    density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi) / scale[~narrow]
    slope, third = -density, -density * (score**2 - 1) / scale[~narrow] ** 2
    # Midpoint sum of f from 0 on: integral + f'(0)/24 - 7 f'''(0)/5760, f the upper tail; for
    # 2 x f(x) the derivatives at 0 are 2 f(0) and 6 f''(0).
    curvature = -density * score / scale[~narrow]
    mean[~narrow] = wide_mean + slope / 24 - 7 * third / 5760
    square = wide_variance + wide_mean**2 + ndtr(score) / 12 - 7 * 6 * curvature / 5760
    variance[~narrow] = square - mean[~narrow] ** 2
    return mean, variance


def _rounded_sum(location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sums of `rounded_moments`, about each location; moments taken about a near integer."""
    start = np.maximum(np.floor(location - 9 * scale), 0.0)
    first, second = np.zeros_like(location), np.zeros_like(location)
    for step in range(1, 76):
        gap = location - (start + step - 0.5)
        tail = np.where(
            scale > 0, ndtr(gap / np.where(scale > 0, scale, 1.0)), (gap >= 0).astype(float)
        )
        first += tail
        second += (2 * step - 1) * tail
    return start + first, np.maximum(second - first**2, 0.0)


def unclipped(mean: FloatArray, deviation: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Location and scale of X such that max(0, X) has this mean and standard deviation.

    The ratio of deviation to mean of the clipped distribution falls strictly with
    location / scale and is inverted on a grid (error below 1e-5 of the mean). Zero where the
    mean is zero.
    """
    score = np.linspace(LOWEST_SCORE, 8.0, 16001)
    grid_mean, grid_variance = clipped_moments(score, np.ones_like(score))
    log_ratio = 0.5 * np.log(grid_variance) - np.log(grid_mean)
    positive = mean > 0
    ratio = np.divide(deviation, mean, out=np.zeros_like(mean), where=positive)
    found = np.interp(np.log(np.maximum(ratio, 1e-12)), log_ratio[::-1], score[::-1])
    scale_of_mean = np.interp(found, score, grid_mean)
    clipped = positive & (ratio > 1 / 8.0)
    scale = np.where(clipped, mean / scale_of_mean, np.where(positive, deviation, 0.0))
    location = np.where(clipped, found * scale, np.where(positive, mean, 0.0))
    return location, scale
