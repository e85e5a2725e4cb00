"""Levels from the demand of the periods that an order must cover.

An order of period t on a lane with lead time L and review period R is usable from t + L on, the
next one from t + R + L on: what a node holds and awaits after ordering must cover its own demand
of periods t, ..., t + L + R - 1. What it passes on to other nodes is asked for by them: having
served what they ask in t, it must cover what they will ask in t + 1, ..., t + L + R - 1, and that
is the demand of L + R - 1 periods beginning where their own cover ends (`Sourcing.below`).
An echelon (a node and all below it) must cover both together, from t on.

Levels follow the season because the windows move with t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand, total_demand
from optrl.policies.sourcing import NOWHERE, Sourcing

Window = Literal["protection", "echelon", "lead_time", "review", "cycle"]
"""Which periods of demand count.

* ``protection``: all that an order of the node must cover, see the module;
* ``echelon``: the same for the node with all nodes below it;
* ``lead_time``: the part of ``protection`` before the order is usable;
* ``review``: the part of ``protection`` from then on;
* ``cycle``: the last R periods of ``protection``, what an order brings in a steady state.
"""


_Split = tuple[IntArray, IntArray, int]


class Levels(Protocol):
    """Quantities by item, stocking node and period."""

    def at(self, period: int) -> FloatArray:
        """Values of absolute period `period`, shape (N, M); not to be changed."""
        ...


class FixedLevels:
    """Levels that are the same in every period.

    Args:
        values: Shape (N, M), or what broadcasts to it.
        sourcing: Gives N and M.
    """

    def __init__(self, values: FloatArray | float, sourcing: Sourcing) -> None:
        shape = sourcing.lane.shape
        self._values: FloatArray = np.broadcast_to(np.asarray(values, dtype=float), shape)

    def at(self, period: int) -> FloatArray:
        """The same values in every period, shape (N, M)."""
        return self._values


class WindowDemand:
    """Distribution of the demand of a window by item, stocking node and period.

    Demand of different demand nodes over different windows is added as if independent; over one
    window the demand model's own correlation between nodes and periods counts. The variance of
    random lead times adds rate**2 times the lead time's variance (Hadley & Whitin 1963), and for
    an echelon that of the lanes below.

    Args:
        sourcing: Primary lanes and serving nodes.
        model: Demand model.
        window: Which periods count.
    """

    def __init__(self, sourcing: Sourcing, model: DemandModel, window: Window) -> None:
        self._sourcing = sourcing
        self._model = model
        self._window = window
        self._split: tuple[IntArray, _Split] | None = None

    def at(self, period: int) -> TotalDemand:
        """Totals of the window of an order of `period`, arrays of shape (N, M)."""
        code, distinct, stride = self._windows(self._sourcing.waiting_time(period))
        n, d, m = code.shape
        mean, variance, rate = np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m))
        base = total_demand(self._model, np.zeros((n, d, m)), period, 1)
        for each in distinct:
            begin, count = divmod(int(each), stride)
            part = total_demand(self._model, (code == each).astype(float), period + begin, count)
            mean += part.mean
            variance += part.variance
            rate += part.mean / count
        if (self._sourcing.lead_time_variance > 0).any() and self._window != "lead_time":
            variance += self._late(rate)
        return replace(base, mean=mean, variance=variance)

    def _windows(self, wait: IntArray) -> _Split:
        """Windows numbered by begin and length, those that occur, and the base of the number."""
        if self._split is not None and np.array_equal(self._split[0], wait):
            return self._split[1]
        first, stop = self.periods(wait)
        length = np.where(self._sourcing.supplies, np.maximum(stop - first, 0), 0)
        stride = int(length.max(initial=0)) + 1
        code = np.where(length > 0, first * stride + length, NOWHERE)
        distinct = np.unique(code)
        split = code, distinct[distinct != NOWHERE], stride
        self._split = wait, split
        return split

    def periods(self, wait: IntArray) -> tuple[IntArray, IntArray]:
        """First period and stop of each window relative to the order's, shape (N, D, M).

        Args:
            wait: Periods until the order after the next one, shape (N, M).
        """
        sourcing = self._sourcing
        begin = np.where(sourcing.supplies, sourcing.below, 0)
        lead, review = sourcing.lead_time[:, None, :], wait[:, None, :]
        stop = begin + lead + review - (~sourcing.owns)
        match self._window:
            case "protection":
                return begin, stop
            case "echelon":
                return np.zeros_like(begin), stop
            case "lead_time":
                return begin, np.minimum(begin + lead, stop)
            case "review":
                return np.minimum(begin + lead, stop), stop
            case "cycle":
                return stop - review, stop

    def _late(self, rate: FloatArray) -> FloatArray:
        sourcing = self._sourcing
        late = rate**2 * sourcing.lead_time_variance
        if self._window != "echelon":
            return late
        for height in range(1, int(sourcing.height.max(initial=0)) + 1):
            below = (sourcing.height == height - 1) & (sourcing.parent != NOWHERE)
            item, node = np.nonzero(below)
            np.add.at(late, (item, sourcing.parent[item, node]), late[item, node])
        return late


class DemandLevels:
    """Levels computed from a window's demand, kept by period.

    Periods whose demand has the same mean and variance as the period computed last share its
    levels, so that a steady demand costs one computation.

    Args:
        demand: Demand of the window.
        level: From the demand to levels of shape (N, M).
    """

    def __init__(self, demand: WindowDemand, level: Callable[[TotalDemand], FloatArray]) -> None:
        self._demand = demand
        self._level = level
        self._kept: dict[int, FloatArray] = {}
        self._last: tuple[TotalDemand, FloatArray] | None = None

    def at(self, period: int) -> FloatArray:
        """Levels of a period, shape (N, M)."""
        if period not in self._kept:
            self._kept[period] = self._compute(period)
        return self._kept[period]

    def _compute(self, period: int) -> FloatArray:
        total = self._demand.at(period)
        if self._last is not None:
            before, levels = self._last
            same = np.array_equal(before.mean, total.mean)
            if same and np.array_equal(before.variance, total.variance):
                return levels
        levels = self._level(total)
        self._last = total, levels
        return levels


def quantile_levels(
    sourcing: Sourcing, model: DemandModel, window: Window, *ratios: FloatArray
) -> DemandLevels:
    """Quantiles of a window's demand, the mean over several ratios (N, M).

    Stocking nodes that no demand depends on have level 0.
    """

    def level(total: TotalDemand) -> FloatArray:
        levels: FloatArray = np.mean([total.quantile(ratio) for ratio in ratios], axis=0)
        return levels

    return DemandLevels(WindowDemand(sourcing, model, window), level)


def mean_rate(model: DemandModel, first: int, periods: int) -> FloatArray:
    """Expected demand a period over a horizon, shape (N, D)."""
    rate: FloatArray = model.mean(first, max(periods, 1)).mean(axis=2)
    return rate
