"""Distribution of demand over a lead time: quantiles and expected shortage of totals.

Totals over periods and groups of demand nodes are matched in mean and variance by the
distribution that the model names (`optrl.demand.base.TotalShape`):

* ``negative_binomial`` in multiples of the item's unit, Poisson where variance equals mean: the
  exact distribution for Poisson demand. Where weights of a group are not integers, gamma;
* ``normal`` clipped at zero, clipping included in the match: exact for a single clipped normal;
* ``gamma`` for every other model.

A total without variance is its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray
from scipy import special, stats

from optrl.demand.base import DemandModel, TotalShape
from optrl.demand.normal import unclipped
from optrl.demand.totals import group_sum
from optrl.errors import OptrlError


class ProbabilityError(OptrlError):
    """A probability lies outside [0, 1)."""


@dataclass(frozen=True)
class TotalDemand:
    """Matched distribution of totals; all arrays have shape (N, G).

    Attributes:
        mean: Expected total, item units.
        variance: Its variance.
        unit: Totals are multiples of it; 0 where continuous.
        normal: Whether continuous totals are normal instead of gamma.
    """

    mean: FloatArray
    variance: FloatArray
    unit: FloatArray
    normal: bool

    @property
    def fixed(self) -> BoolArray:
        """Totals without variance."""
        return self.variance <= 1e-12 * np.maximum(self.mean, 1e-300) ** 2

    def quantile(self, probability: FloatArray | float) -> FloatArray:
        """Smallest total not exceeded with `probability`, shape (N, G).

        Raises:
            ProbabilityError: If a probability is negative, 1 or more, or not a number.
        """
        level = np.asarray(probability, dtype=float)
        wrong = ~((level >= 0) & (level < 1))
        if wrong.any():
            raise ProbabilityError(
                f"probability {level[wrong].flat[0]} is not in [0, 1): give a service level below 1"
            )
        level = np.broadcast_to(level, self.mean.shape)
        result = self.mean.copy()
        for kind, chosen in self._kinds().items():
            mean, variance, unit = self.mean[chosen], self.variance[chosen], self.unit[chosen]
            p = level[chosen]
            match kind:
                case "poisson":
                    result[chosen] = unit * stats.poisson.ppf(p, mean / unit)
                case "negative_binomial":
                    size, success = _negative_binomial(mean / unit, variance / unit**2)
                    result[chosen] = unit * stats.nbinom.ppf(p, size, success)
                case "normal":
                    location, scale = unclipped(mean, np.sqrt(variance))
                    result[chosen] = location + scale * special.ndtri(p)
                case _:
                    shape = mean**2 / variance
                    result[chosen] = special.gammaincinv(shape, p) * variance / mean
        return np.maximum(result, 0.0)

    def shortage(self, quantity: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E (D - x)^+ at x = `quantity` and P(D > x), the negative of its slope.

        Args:
            quantity: Broadcasts to shape (..., N, G); at least 0.
        """
        x = np.asarray(quantity, dtype=float)
        x = np.broadcast_to(x, np.broadcast_shapes(x.shape, self.mean.shape))
        loss = np.maximum(self.mean - x, 0.0)
        tail = (self.mean > x).astype(float)
        for kind, chosen in self._kinds().items():
            mean, variance, unit = self.mean[chosen], self.variance[chosen], self.unit[chosen]
            at = x[..., chosen]
            match kind:
                case "poisson":
                    mean = mean / unit
                    whole = np.floor(at / unit * (1 + 1e-12))
                    above = special.gammainc(whole + 1, mean)
                    # E[D; D > x] = mean P(D >= x): y times its probability is that of y - 1.
                    reach = np.where(whole >= 1, special.gammainc(np.maximum(whole, 1), mean), 1.0)
                    part = unit * mean * reach - at * above
                case "negative_binomial":
                    size, success = _negative_binomial(mean / unit, variance / unit**2)
                    whole = np.floor(at / unit * (1 + 1e-12))
                    above = special.betainc(whole + 1, size, 1 - success)
                    reach = np.where(
                        whole >= 1,
                        special.betainc(np.maximum(whole, 1), size + 1, 1 - success),
                        1.0,
                    )
                    part = mean * reach - at * above
                case "normal":
                    location, scale = unclipped(mean, np.sqrt(variance))
                    score = (at - location) / scale
                    above = special.ndtr(-score)
                    density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
                    part = scale * (density - score * above)
                case _:
                    shape, scale = mean**2 / variance, variance / mean
                    above = special.gammaincc(shape, np.maximum(at, 0.0) / scale)
                    reach = special.gammaincc(shape + 1, np.maximum(at, 0.0) / scale)
                    part = mean * reach - at * above
            loss[..., chosen], tail[..., chosen] = np.maximum(part, 0.0), above
        return loss, tail

    def _kinds(self) -> dict[str, BoolArray]:
        """Which entries have which distribution; entries without variance have none."""
        spread = ~self.fixed
        discrete = spread & (self.unit > 0)
        excess = self.variance - self.unit * self.mean
        over = excess > 1e-6 * self.unit * self.mean
        continuous = spread & (self.unit <= 0)
        return {
            "poisson": discrete & ~over,
            "negative_binomial": discrete & over,
            "normal" if self.normal else "gamma": continuous,
        }


def _negative_binomial(mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Size and success probability with this mean and variance."""
    return mean**2 / (variance - mean), mean / variance


def total_demand(model: DemandModel, groups: FloatArray, first: int, periods: int) -> TotalDemand:
    """Match the total demand of `periods` periods from `first` on, over groups of nodes.

    Args:
        model: Demand model.
        groups: Weight of each demand node in each group, shape (N, D, G).
        first: First period.
        periods: Number of periods; 0 gives totals of zero.
    """
    mean = group_sum(groups, model.mean(first, periods)).sum(axis=2)
    variance = model.total_variance(groups, first, periods)
    unit, normal = np.zeros_like(mean), False
    if isinstance(model, TotalShape):
        normal = model.total_family == "normal"
        if model.total_family == "negative_binomial":
            whole = (groups == np.round(groups)).all(axis=1)
            unit = np.where(whole, model.unit[:, None], 0.0)
    return TotalDemand(mean, variance, unit, normal)


def total_quantile(
    model: DemandModel,
    groups: FloatArray,
    first: int,
    periods: int,
    probability: FloatArray | float,
) -> FloatArray:
    """Quantile of demand summed over periods and groups of demand nodes, shape (N, G).

    Args:
        model: Demand model.
        groups: Weight of each demand node in each group, shape (N, D, G).
        first: First period.
        periods: Number of periods, usually lead time plus review period.
        probability: In [0, 1), broadcasts to (N, G).
    """
    return total_demand(model, groups, first, periods).quantile(probability)


def total_loss(
    model: DemandModel, groups: FloatArray, first: int, periods: int, quantity: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Expected shortage E (D - x)^+ of a total and its tail probability P(D > x).

    The slope of the expected shortage in x is minus the tail probability.

    Args:
        model: Demand model.
        groups: Weight of each demand node in each group, shape (N, D, G).
        first: First period.
        periods: Number of periods.
        quantity: Stock x, broadcasts to (..., N, G).
    """
    return total_demand(model, groups, first, periods).shortage(quantity)
