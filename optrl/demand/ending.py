"""Demand that ends: what is believed of a horizon after which nothing is served any more.

Costs of an instance count over its horizon, and what is left then has its terminal value. A policy
that is given demand that ends there covers no later demand, as the objective has it; one that is
given demand without end goes on as if the horizon would never come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import (
    DemandModel,
    LearningDemand,
    PeriodDependence,
    TotalFamily,
    TotalShape,
)
from optrl.errors import OptrlError


def until(model: DemandModel, stop: int) -> DemandModel:
    """The model with no demand from a period on.

    Args:
        model: The model.
        stop: First absolute period without demand.
    """
    if isinstance(model, TotalShape):
        return _ShapedEndingDemand(model, stop, model.total_family, model.unit)
    return EndingDemand(model, stop)


@dataclass(frozen=True)
class EndingDemand:
    """See `until`, which makes it.

    Attributes:
        model: Demand before the end.
        stop: First absolute period without demand.
    """

    model: DemandModel
    stop: int

    @property
    def nodes(self) -> IntArray:
        """Node index of each demand node, shape (D,)."""
        return self.model.nodes

    @property
    def independent_periods(self) -> bool:
        """Whether the model says so; an end that is known ties no periods together."""
        return isinstance(self.model, PeriodDependence) and self.model.independent_periods

    def mean(self, first: int, periods: int) -> FloatArray:
        """Expected demand, shape (N, D, periods)."""
        return self._cut(self.model.mean(first, periods), first)

    def variance(self, first: int, periods: int) -> FloatArray:
        """Variance of each entry of `mean`, shape (N, D, periods)."""
        return self._cut(self.model.variance(first, periods), first)

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """Draw demand paths, shape (S, N, D, periods); before the end those of the model."""
        return self._cut(self.model.sample(scenarios, first, periods, generator), first)

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Variance of totals over the periods and groups (N, D, G), shape (N, G)."""
        left = min(periods, self.stop - first)
        if left < 1:
            return np.zeros((groups.shape[0], groups.shape[2]))
        return self.model.total_variance(groups, first, left)

    def given(self, seen: FloatArray, first: int) -> DemandModel:
        """What is believed once some of a path was seen; it ends when it did.

        What is seen from the end on says nothing of demand before it.

        Raises:
            OptrlError: If the model is not a `LearningDemand`.
        """
        if not isinstance(self.model, LearningDemand):
            raise OptrlError(
                f"{type(self.model).__name__} demand learns nothing from what was seen"
            )
        before = seen[:, :, : max(self.stop - first, 0)]
        return until(self.model.given(before, first), self.stop)

    def _cut(self, values: FloatArray, first: int) -> FloatArray:
        kept: Any = np.arange(first, first + values.shape[-1]) < self.stop
        return np.where(kept, values, 0.0)


@dataclass(frozen=True)
class _ShapedEndingDemand(EndingDemand):
    """The end of a model that names the distribution of its totals (`TotalShape`)."""

    total_family: TotalFamily
    unit: FloatArray
