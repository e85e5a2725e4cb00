"""A penalty from position values, for networks of many items whose demand moves by common rates.

The value of an item's position, its stock and pipeline in the whole network after the decision of
period t, falls with slope -(h + b) where the demand of the window that it must cover exceeds it,
and rises with h where it does not (`optrl.policies.position_values`). The multiplier of the
position is the slope at some positions x less its expectation: a sum over thresholds x of

    weight * h * (P(rate demand of the window > x | past) - 1{rate demand of the window > x})

*Rate demand* is the item's expected demand times its realized rate (`NegativeBinomial.rates`), what
moves all its nodes together; the rest is noise of single nodes. Thresholds are quantiles of it
given the past, so that each weight has a scale of its own: weight * P = 1 pays back all holding
cost.

**Dual feasible, by construction.** Let the planner before period t know all rates of earlier
periods, which is more than a policy sees. Given these, the level U of a path has density
proportional to

    u**(b - 1 - a t) exp(-b u - a (sum of rates) / u)    (a, b: inverse variances of Z and U)

a generalized inverse Gaussian: gamma prior and gamma likelihood. Future rates are U times
independent Z, whatever demands were (they depend on the past through the rates alone). From this
law are drawn, independently of the path's future, one sample for the thresholds and another for the
probability. Given the past and the thresholds, the indicator of the path and those of the second
sample have the same expectation, so that the expectation of the multiplier is zero: the sample adds
noise, which loosens the bound a little, and no bias. U is drawn by inversion on a grid whose
quadrature error is far below sampling error.

Source: Brown & Smith (2014), Operations Research 62(6); Jørgensen (1982), Statistical Properties
of the Generalized Inverse Gaussian Distribution; the accounting of positions: Clark & Scarf (1960).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, NodeKind
from scipy import stats

from optrl.bounds.conditions import Condition
from optrl.bounds.penalty import KnownPath, Multipliers
from optrl.demand.base import DemandModel
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.instance import Instance
from optrl.policies.sourcing import NOWHERE, Sourcing
from optrl.values.state_columns import StateColumns

TAILS = (0.3, 0.1, 0.03, 0.01)
"""Probabilities with which window demand exceeds the thresholds."""
EDGES = (0, 4, 12)
"""Periods from the start at which new weights begin: what is not known of the level falls."""
SAMPLES = 400
_GRID = 1500
_LEAST_VARIANCE = 1e-9
_TAIL = 1e-6


@dataclass(frozen=True)
class PositionFeatures:
    """What multiplies the weights on one path.

    Attributes:
        slope: h (P - 1), shape (Q, N, T).
        position: Where it was taken, shape (N, T).
    """

    slope: FloatArray
    position: FloatArray


@dataclass(frozen=True)
class PositionPenalty:
    """See the module's docstring.

    Attributes:
        instance: The instance.
        model: Draws its demand: negative binomial with common rates.
        share: weight * P by threshold, run of periods and item, shape (Q, B, N): any numbers give a
            bound.
    """

    instance: Instance
    model: DemandModel
    share: FloatArray

    @classmethod
    def even(cls, instance: Instance, model: DemandModel, share: float = 0.0) -> PositionPenalty:
        """The same share everywhere."""
        shape = (len(TAILS), len(EDGES), len(instance.network.items))
        return cls(instance, model, np.full(shape, share))

    @property
    def assumption(self) -> str:
        """What dual feasibility rests on."""
        return (
            "the penalty is made of slopes of position values, less their expectation given all "
            "earlier rates of demand, estimated without bias by an independent sample"
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What must hold."""
        model = self.model
        rated = isinstance(model, NegativeBinomial)
        return (
            Condition(
                "demand is negative binomial with known common rates",
                rated,
                f"it is {type(model).__name__}: use another penalty",
            ),
        )

    @cached_property
    def columns(self) -> StateColumns:
        """Stock and pipeline after the decision."""
        return StateColumns.of(self.instance, pipeline="total")

    @cached_property
    def window(self) -> IntArray:
        """Periods of demand that a position must cover, by item, shape (N,); delays left out."""
        sourcing = Sourcing.of(replace(self.instance, arrivals=()))
        items, places = sourcing.parent.shape
        total = np.zeros((items, places), dtype=np.int64)
        row = np.arange(items)
        for m in range(places):
            ahead = np.full(items, m)
            for _ in range(places):
                live = ahead != NOWHERE
                lead = sourcing.lead_time[row, np.maximum(ahead, 0)]
                total[:, m] += np.where(live, lead, 0)
                parent = sourcing.parent[row, np.maximum(ahead, 0)]
                ahead = np.where(live, parent, NOWHERE)
        used = sourcing.supplies.any(axis=1) & (sourcing.lane != NOWHERE)
        return np.asarray(np.where(used, total, 0).max(axis=1) + 1, dtype=np.int64)

    @cached_property
    def unit(self) -> FloatArray:
        """Holding cost h by item: the least in the network, shape (N,)."""
        network = self.instance.network
        holding = network.holding_cost[:, network.kind == NodeKind.STOCKING]
        return np.asarray(holding.min(axis=1, initial=np.inf))

    @cached_property
    def _run(self) -> IntArray:
        """Which run of periods each period belongs to, shape (T,)."""
        periods = np.arange(self.instance.horizon)
        return np.asarray(np.searchsorted(EDGES, periods, side="right") - 1)

    @cached_property
    def _mean(self) -> FloatArray:
        """Expected demand by item, zero beyond the horizon, shape (N, T + longest window)."""
        instance = self.instance
        mean = self.model.mean(instance.start, instance.horizon).sum(axis=1)
        return np.pad(mean, ((0, 0), (0, int(self.window.max()))))

    def features(self, path: KnownPath, generator: np.random.Generator) -> PositionFeatures:
        """What multiplies the weights on a path."""
        horizon, window = self.instance.horizon, self.window
        longest = int(window.max())
        ahead = np.arange(longest)
        slope = np.zeros((len(TAILS), len(window), horizon))
        position = np.zeros((len(window), horizon))
        rate = np.pad(path.rate, ((0, 0), (0, longest)))
        for t in range(horizon):
            weight = self._mean[:, t : t + longest] * (ahead < window[:, None])
            past = path.rate[:, :t].sum(axis=1)
            here = (weight * rate[:, t : t + longest]).sum(axis=1)
            first, second = (self._windows(t, past, weight, generator) for _ in range(2))
            threshold = np.quantile(first, 1 - np.array(TAILS), axis=1)
            above = (second > threshold[:, :, None]).mean(axis=2)
            slope[:, :, t] = above - (here > threshold)
            position[:, t] = threshold[len(TAILS) // 2]
        # Orders that demand of the horizon no longer meets have no such value.
        slope *= np.arange(horizon) <= horizon - window[:, None]
        return PositionFeatures(slope * self.unit[:, None], position)

    def multipliers(self, found: PositionFeatures) -> Multipliers:
        """The penalty of features."""
        by_item = np.einsum("qnt,qtn->nt", found.slope, self._weight[:, self._run])
        multiplier = by_item[self.columns.item].T
        # One column an item carries the reference of its whole position.
        reference = np.zeros_like(multiplier)
        item, column = np.unique(self.columns.item, return_index=True)
        reference[:, column] = found.position[item].T
        return Multipliers(multiplier, reference)

    def on(self, path: KnownPath, generator: np.random.Generator) -> Multipliers:
        """The penalty on a path."""
        return self.multipliers(self.features(path, generator))

    @property
    def weights(self) -> FloatArray:
        """What may be trained, flat; see `share`."""
        return self.share.ravel()

    def with_weights(self, weights: FloatArray) -> PositionPenalty:
        """The penalty with other weights."""
        return replace(self, share=weights.reshape(self.share.shape))

    def slope_of(self, found: PositionFeatures, columns: FloatArray) -> FloatArray:
        """Derivative of an inner problem's value with respect to the weights, flat.

        Args:
            found: On its path.
            columns: In its solution, shape (T, K).
        """
        items, horizon = found.position.shape
        position = np.zeros((items, horizon))
        np.add.at(position, self.columns.item, columns.T)
        by_period = -found.slope * (position - found.position) / np.array(TAILS)[:, None, None]
        runs = np.zeros((len(EDGES), horizon))
        runs[self._run, np.arange(horizon)] = 1.0
        return np.asarray(np.einsum("qnt,bt->qbn", by_period, runs)).ravel()

    @property
    def _weight(self) -> FloatArray:
        return np.asarray(self.share / np.array(TAILS)[:, None, None])

    def _windows(
        self, t: int, past: FloatArray, weight: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Rate demand of the window from period t on, given earlier rates, shape (N, SAMPLES)."""
        model = self.model
        assert isinstance(model, NegativeBinomial)
        a = 1 / np.maximum(model.shock_variance, _LEAST_VARIANCE)
        level = _levels(model, t, past, generator)
        shape = (len(a), SAMPLES, weight.shape[1])
        shocks = generator.standard_gamma(a[:, None, None], size=shape)
        shocks = np.where(model.shock_variance[:, None, None] > 0, shocks / a[:, None, None], 1.0)
        return np.asarray(level * np.einsum("nkl,nl->nk", shocks, weight))


def _levels(
    model: NegativeBinomial, t: int, past: FloatArray, generator: np.random.Generator
) -> FloatArray:
    """Levels U given t earlier rates that sum to `past`, shape (N, SAMPLES), by inversion."""
    items = len(past)
    spread, shock = model.level_variance, model.shock_variance
    a, b = 1 / np.maximum(shock, _LEAST_VARIANCE), 1 / np.maximum(spread, _LEAST_VARIANCE)
    mean = past / max(t, 1)
    low, high = (stats.gamma.ppf(p, b) / b for p in (_TAIL, 1 - _TAIL))
    if t:
        # Between what was expected and what the rates alone say: their mean over that of Z.
        least, most = (mean / (stats.gamma.ppf(p, a * t) / (a * t)) for p in (1 - _TAIL, _TAIL))
        low, high = np.minimum(low, least), np.maximum(high, most)
    low = np.maximum(low, _TAIL * _TAIL)
    log_u = np.log(low)[:, None] + np.log(high / low)[:, None] * np.linspace(0, 1, _GRID)
    u = np.exp(log_u)
    # In logarithms: times u.
    log_density = (b - a * t)[:, None] * log_u - b[:, None] * u - (a * past)[:, None] / u
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    mass = np.cumsum(density, axis=1)
    mass /= mass[:, -1:]
    drawn = (np.arange(SAMPLES) + generator.random((items, 1))) / SAMPLES
    found = np.array([np.interp(drawn[n], mass[n], u[n]) for n in range(items)])
    # Without shocks the first rate is the level; without an error of the level it is 1.
    found = np.where((shock > 0)[:, None] | (t == 0), found, mean[:, None])
    return np.where((spread > 0)[:, None], found, 1.0)
