"""What a demand model must offer; one file per model, found by walking this package."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.instance import Instance


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


TotalFamily = Literal["negative_binomial", "gamma", "normal"]


@runtime_checkable
class TotalShape(Protocol):
    """What a model may add: the distribution that its totals are taken to have.

    Totals of models without it are taken as gamma distributed.
    """

    total_family: ClassVar[TotalFamily]
    """Distribution matched to mean and variance of totals."""

    @property
    def unit(self) -> FloatArray:
        """Demand comes in multiples of it, shape (N,); 0 for continuous demand."""
        ...


@runtime_checkable
class PeriodDependence(Protocol):
    """What a model may add: whether its periods depend on one another.

    Bounds that rest on independence refuse models without it.
    """

    @property
    def independent_periods(self) -> bool:
        """Whether demand of different periods is independent."""
        ...


@runtime_checkable
class LearningDemand(DemandModel, Protocol):
    """What a model may add: what it believes once some of a path has been seen."""

    def given(self, seen: FloatArray, first: int) -> DemandModel:
        """The model of later periods, given demand of the periods from `first` on.

        Args:
            seen: Demand, lost sales included, shape (N, D, periods); none returns the model.
            first: Absolute period of the first column.
        """
        ...


@runtime_checkable
class FittedDemand(DemandModel, Protocol):
    """A demand model that can be fitted to an instance; the package is walked for these."""

    name: ClassVar[str]
    """Name of the family in instance files and on the command line."""

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Fit to the instance's forecast where given, else to its demand before `start`.

        Raises:
            optrl.errors.OptrlError: If forecast and history do not hold what the family needs.
        """
        ...
