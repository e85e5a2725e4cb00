"""Paths of demand that bounds and policies both meet, with what else is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.penalty import KnownPath
from optrl.demand.base import DemandModel
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.instance import Instance

# Keep the demand of bounds apart from what policies and trainings draw with the same seed.
_PATHS, _OTHERS = 8_200, 8_201


@dataclass(frozen=True)
class PathSource:
    """Draws paths by number: a path depends on the seed and its number alone.

    Attributes:
        instance: The instance.
        model: Draws its demand.
        seed: Of demand, random arrivals and what penalties sample.
    """

    instance: Instance
    model: DemandModel
    seed: int

    @property
    def name(self) -> str:
        """Names the paths."""
        return f"{type(self.model).__name__} demand of {self.instance.name!r}, seed {self.seed}"

    def path(self, number: int) -> KnownPath:
        """Path of a number."""
        instance, periods = self.instance, self.instance.horizon
        key = [self.seed, number, _PATHS]
        demand = self.model.sample(1, instance.start, periods, np.random.default_rng(key))[0]
        rate = np.ones((len(demand), periods))
        if isinstance(self.model, NegativeBinomial):
            rate = self.model.rates(1, periods, np.random.default_rng(key))[0]
        return KnownPath(demand, rate)

    def demand(self, first: int, stop: int) -> FloatArray:
        """Demand of paths first, ..., stop - 1, shape (stop - first, N, D, T)."""
        return np.stack([self.path(k).demand for k in range(first, stop)])

    def generator(self, number: int) -> np.random.Generator:
        """For what a penalty samples beside a path, independent of it."""
        return np.random.default_rng([self.seed, number, _OTHERS])
