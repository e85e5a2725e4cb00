"""Distributions of integer demand of one period, as the dynamic programs need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import FloatArray
from scipy import stats

from optrl.exact.errors import ExactError

TAIL = 1e-16
"""Tables of unbounded demand leave out at most this probability."""


@dataclass(frozen=True)
class DemandDistribution:
    """Demand of a period on 0, 1, ..., independent from period to period.

    Attributes:
        probability: Probability of each demand 0, ..., K, shape (K + 1,), sums to 1.
    """

    probability: FloatArray

    def __post_init__(self) -> None:
        total = float(self.probability.sum())
        if self.probability.ndim != 1 or not (self.probability >= 0).all() or abs(total - 1) > 1e-9:
            raise ExactError(
                f"demand probabilities of shape {self.probability.shape} sum to {total}; give one "
                "number a demand 0, 1, ..., none negative, with sum 1"
            )

    @classmethod
    def poisson(cls, mean: float) -> DemandDistribution:
        """Poisson demand."""
        last = int(stats.poisson.isf(TAIL, mean)) + 1
        return cls._of(stats.poisson.pmf(np.arange(last + 1), mean))

    @classmethod
    def geometric(cls, mean: float) -> DemandDistribution:
        """Geometric demand on 0, 1, 2, ..."""
        return cls.negative_binomial(mean, 1.0)

    @classmethod
    def negative_binomial(cls, mean: float, size: float) -> DemandDistribution:
        """Negative binomial demand of variance mean + mean**2 / size."""
        chance = size / (size + mean)
        last = int(stats.nbinom.isf(TAIL, size, chance)) + 1
        return cls._of(stats.nbinom.pmf(np.arange(last + 1), size, chance))

    @classmethod
    def uniform(cls, low: int, high: int) -> DemandDistribution:
        """Every integer from `low` to `high` alike."""
        if not 0 <= low <= high:
            raise ExactError(f"uniform demand on {low}..{high}: give 0 <= low <= high")
        probability = np.zeros(high + 1)
        probability[low:] = 1 / (high + 1 - low)
        return cls(probability)

    @classmethod
    def _of(cls, probability: FloatArray) -> DemandDistribution:
        """A table whose missing tail, below `TAIL`, is spread over it."""
        return cls(np.asarray(probability / probability.sum(), dtype=float))

    @cached_property
    def mean(self) -> float:
        """Expected demand."""
        return float(self.probability @ np.arange(len(self.probability)))

    @cached_property
    def variance(self) -> float:
        """Variance of demand."""
        return float(self.probability @ (np.arange(len(self.probability)) - self.mean) ** 2)

    def total(self, periods: int) -> FloatArray:
        """Probabilities of the demand of several periods, shape (periods * K + 1,)."""
        result = np.ones(1)
        for _ in range(periods):
            result = np.convolve(result, self.probability)
        return result

    def quantile(self, periods: int, ratio: float) -> int:
        """Smallest y with P(demand of the periods <= y) > ratio, at rounding error."""
        below = np.cumsum(self.total(periods))
        return int(np.argmax(below > min(ratio + 1e-12, 1 - 1e-14)))

    def padded(self, size: int) -> FloatArray:
        """Probabilities of 0, ..., size - 1, zeros beyond the table, shape (size,)."""
        result = np.zeros(size)
        count = min(size, len(self.probability))
        result[:count] = self.probability[:count]
        return result

    def leftover(self, size: int) -> FloatArray:
        """P(max(x - D, 0) = y) for x, y < size, shape (size, size); lower triangular."""
        x, y = np.arange(size)[:, None], np.arange(size)[None, :]
        law = np.where(x >= y, self.padded(size)[np.maximum(x - y, 0)], 0.0)
        law[:, 0] = 1 - law[:, 1:].sum(axis=1)
        return np.maximum(law, 0.0)

    def newsvendor_cost(
        self, levels: FloatArray, holding_cost: float, shortage_cost: float
    ) -> FloatArray:
        """Expected holding and shortage cost of a period begun with each level."""
        demand = np.arange(len(self.probability))
        gap = np.asarray(levels)[..., None] - demand
        cost = np.where(gap > 0, holding_cost * gap, -shortage_cost * gap)
        return np.asarray(cost @ self.probability, dtype=float)
