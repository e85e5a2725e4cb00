"""What a demand model must offer; one file per model, found by walking this package."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from optrl_formulations.network import FloatArray, IntArray


@runtime_checkable
class DemandModel(Protocol):
    """Distribution of demand of N items at D demand nodes over absolute periods.

    Quantities are in item units and never negative.
    """

    @property
    def nodes(self) -> IntArray:
        """Node index of each demand node, shape (D,)."""
        ...

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand of periods first, ..., first + periods - 1, shape (N, D, periods)."""
        ...

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance of each entry of `mean`, shape (N, D, periods)."""
        ...

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods)."""
        ...

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of demand summed over the periods and over groups of demand nodes.

        Args:
            groups: Weight of each demand node in each group, shape (N, D, G); an item's demand
                nodes may be grouped differently from another's.
            first: First period.
            periods: Number of periods.

        Returns:
            Shape (N, G). Models with correlated nodes or periods account for it.
        """
        ...
