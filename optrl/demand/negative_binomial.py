"""Negative binomial demand in units, with shocks common to an item's nodes and periods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import TotalFamily
from optrl.demand.dispersion import (
    estimate_dispersion,
    level_variance,
    size_of,
)
from optrl.demand.estimate import HistoryError, expected_demand
from optrl.demand.level_belief import level_posterior
from optrl.demand.paths import Path, ScaledPath
from optrl.demand.totals import group_sum, independent_total, scenario_blocks
from optrl.instance import Instance

LEVEL_HORIZON = 13
"""Periods over which the error of the level is measured; chosen by coverage within history."""


@dataclass(frozen=True)
class NegativeBinomial:
    """Negative binomial demand, in multiples of a unit.

    Given the shocks, demand of item i at node j in period t is ``unit[i]`` times a negative
    binomial of mean ``Z[i, t] U[i] m[i, j, t] / unit[i]`` and size ``size[i, j]``. Z is drawn
    each period and shared by the nodes, U is drawn once a path: an error of the level. Both are
    gamma with mean 1. Without shocks the variance is unit m + m**2 / size.

    Attributes:
        nodes: Node index of each demand node, shape (D,).
        path: Expected demand m, item units.
        size: Size k, shape (N, D); infinite is Poisson.
        unit: Demand comes in multiples of it, shape (N,); ones when empty.
        shock_variance: Variance s of Z, shape (N,); zeros when empty.
        level_variance: Variance u of U, shape (N,); zeros when empty.
    """

    name: ClassVar[str] = "negative_binomial"
    total_family: ClassVar[TotalFamily] = "negative_binomial"

    nodes: IntArray
    path: Path
    size: FloatArray
    unit: FloatArray = field(default_factory=lambda: np.ones(0))
    shock_variance: FloatArray = field(default_factory=lambda: np.zeros(0))
    level_variance: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        items = self.path.shape[0]
        for name, default in (("unit", 1.0), ("shock_variance", 0.0), ("level_variance", 0.0)):
            given = getattr(self, name)
            if not len(given):
                object.__setattr__(self, name, np.full(items, default))
            elif given.shape != (items,):
                raise ValueError(f"{name} has shape {given.shape}, expected {(items,)}")
        if self.size.shape != self.path.shape:
            raise ValueError(f"size has shape {self.size.shape}, expected {self.path.shape}")
        if not ((self.size > 0).all() and (self.unit > 0).all()):
            raise ValueError("size and unit must be positive")

    @classmethod
    def geometric(cls, nodes: IntArray, path: Path) -> Self:
        """Geometric demand on 0, 1, 2, ...: the case of size 1."""
        return cls(nodes, path, np.ones(path.shape))

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Expected demand from the forecast or history, spread from the forecast or residuals.

        The unit is 1 where an item's history is all integer, else the typical order of its
        smallest nodes. A forecast's standard deviation gives size alone, as the ratio of sums
        over its periods, and no shocks.

        Raises:
            HistoryError: If neither history nor a forecast's standard deviation shows the spread.
        """
        expected = expected_demand(instance, cls.name)
        nodes, forecast = instance.demand.nodes, instance.forecast
        if forecast is not None and forecast.standard_deviation is not None:
            excess = (forecast.standard_deviation**2 - forecast.mean).sum(axis=2)
            square = (forecast.mean**2).sum(axis=2)
            relative = np.divide(excess, square, out=np.zeros_like(square), where=square > 0)
            return cls(nodes, expected.path, size_of(relative))
        if expected.rates is None:
            raise HistoryError(
                f"demand family {cls.name!r}: the forecast has no standard deviation and history "
                f"holds {expected.history.shape[2]} periods: add the column or more history, or "
                "choose demand_family 'poisson'"
            )
        rates, history = expected.rates, expected.history
        integer = (history == np.round(history)).all(axis=(1, 2))
        spread = estimate_dispersion(history, rates.one_step, rates.active)
        unit = np.where(integer, 1.0, spread.unit)
        if integer.any():
            spread = estimate_dispersion(history, rates.one_step, rates.active, unit)
        known = cls(nodes, expected.path, spread.size, unit, spread.shock_variance)
        horizon = min(LEVEL_HORIZON, history.shape[2] // 4)
        everywhere = np.ones((*known.path.shape, 1))
        total = known.mean(instance.start, horizon).sum(axis=(1, 2))
        noise = known.total_variance(everywhere, instance.start, horizon)[:, 0]
        level = level_variance(
            history,
            instance.demand.first_period,
            instance.season,
            horizon,
            np.divide(noise, total**2, out=np.zeros_like(total), where=total > 0),
        )
        return replace(known, level_variance=level)

    @property
    def common_variance(self) -> FloatArray:
        """Variance c of the product of both shocks, shape (N,)."""
        common: FloatArray = (1 + self.shock_variance) * (1 + self.level_variance) - 1
        return common

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand, shape (N, D, periods)."""
        return self.path.at(first, periods)

    def variance(self, first: int, periods: int) -> FloatArray:
        """The sum unit m + (1 + c) m**2 / size + c m**2, shape (N, D, periods)."""
        mean = self.path.at(first, periods)
        return self._own_variance(mean) + self.common_variance[:, None, None] * mean**2

    def _own_variance(self, mean: FloatArray) -> FloatArray:
        """What is independent between nodes and periods, shape of `mean`."""
        relative = (1 + self.common_variance)[:, None] / self.size
        own: FloatArray = self.unit[:, None, None] * mean + relative[:, :, None] * mean**2
        return own

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over periods and groups (N, D, G) of nodes, shape (N, G).

        With M[t] the group's mean in period t: own variances, plus s (1 + u) sum M[t]**2, plus
        u (sum M[t])**2.
        """
        mean = self.path.at(first, periods)
        group = group_sum(groups, mean)
        each = (self.shock_variance * (1 + self.level_variance))[:, None]
        total: FloatArray = (
            independent_total(groups, self._own_variance(mean))
            + each * (group**2).sum(axis=2)
            + self.level_variance[:, None] * group.sum(axis=2) ** 2
        )
        return total

    @property
    def independent_periods(self) -> bool:
        """Whether no error of the level ties the periods of a path together."""
        return not self.level_variance.any()

    def given(self, seen: FloatArray, first: int) -> Self:
        """The model with the level's error as it is believed after demand was seen.

        Expected demand is multiplied by the posterior mean of U, and `level_variance` becomes
        its posterior relative variance: a gamma of the posterior's first two moments stands for
        it (`optrl.demand.level_belief`).

        Args:
            seen: Demand of the periods from `first` on, lost sales included, (N, D, periods).
            first: Absolute period of the first column.
        """
        if not seen.shape[2] or self.independent_periods:
            return self
        mean = self.path.at(first, seen.shape[2])
        expected = mean.sum(axis=1)
        shock = self.shock_variance[:, None]
        relative = shock * expected**2
        relative += (1 + shock) * (mean**2 / self.size[:, :, None]).sum(axis=1)
        size = np.divide(
            expected**2, relative, out=np.full(expected.shape, np.inf), where=relative > 0
        )
        unit = self.unit[:, None]
        center, variance = level_posterior(
            seen.sum(axis=1) / unit, expected / unit, size, self.level_variance
        )
        factor = np.broadcast_to(center[:, None], self.path.shape)
        return replace(
            self, path=ScaledPath(self.path, factor), level_variance=variance / center**2
        )

    def rates(self, scenarios: int, periods: int, generator: np.random.Generator) -> FloatArray:
        """Draw Z U, what multiplies the expected demand, shape (S, N, periods).

        `sample` draws these first: with a generator in the same state it draws the same.
        """
        items = self.path.shape[0]
        shock = _gamma(generator, self.shock_variance[:, None], (scenarios, items, periods))
        return shock * _gamma(generator, self.level_variance, (scenarios, items))[:, :, None]

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods), as Poisson with gamma means."""
        mean = self.path.at(first, periods)
        items, demand_nodes = self.path.shape
        shock = self.rates(scenarios, periods, generator).reshape(scenarios, items * periods)
        live = np.flatnonzero(mean)
        size = self.size.ravel()[live // periods]
        # Poisson pairs come last: they need no gamma draws.
        spread = np.isfinite(size)
        live = np.concatenate([live[spread], live[~spread]])
        gammas = int(spread.sum())
        size = np.concatenate([size[spread], np.ones(len(live) - gammas)])
        item, period = live // (demand_nodes * periods), live % periods
        unit = self.unit[item]
        rate = mean.ravel()[live] / (unit * size)
        source = item * periods + period
        paths = np.zeros((scenarios, mean.size))
        for block in scenario_blocks(scenarios, len(live)):
            draw = np.ones((block.stop - block.start, len(live)))
            draw[:, :gammas] = generator.standard_gamma(size[:gammas], size=(len(draw), gammas))
            draw *= rate
            draw *= shock[block].take(source, axis=1)
            paths[block, live] = generator.poisson(draw) * unit
        return paths.reshape(scenarios, *mean.shape)


def _gamma(
    generator: np.random.Generator, variance: FloatArray, shape: tuple[int, ...]
) -> FloatArray:
    """Gamma draws with mean 1; where the variance is zero, 1."""
    size = 1 / np.maximum(variance, 1e-12)
    return np.where(variance > 0, generator.standard_gamma(size, size=shape) / size, 1.0)
