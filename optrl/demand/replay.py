"""Observed demand as a model: one path, no variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.paths import DemandPeriodError
from optrl.instance import DemandTable, Instance


@dataclass(frozen=True)
class Replay:
    """Demand as it was observed, the same in every scenario.

    It knows the periods from `Instance.start` on: for judging policies, not for fitting them.

    Attributes:
        table: Observed demand.
    """

    name: ClassVar[str] = "replay"
    independent_periods: ClassVar[bool] = True

    table: DemandTable

    @classmethod
    def fit(cls, instance: Instance) -> Self:
        """Take the demand table as it is, kept periods included."""
        return cls(instance.demand)

    @property
    def nodes(self) -> IntArray:
        """Node index of each demand node, shape (D,)."""
        return self.table.nodes

    def mean(self, first: int, periods: int) -> FloatArray:
        """Observed demand, shape (N, D, periods).

        Raises:
            DemandPeriodError: If the table does not hold all of these periods.
        """
        try:
            return self.table.between(first, first + periods)
        except IndexError as error:
            raise DemandPeriodError(
                f"replay: {error}; replay fewer periods or choose another demand model"
            ) from error

    def variance(self, first: int, periods: int) -> FloatArray:
        """Zeros, shape (N, D, periods)."""
        return np.zeros_like(self.mean(first, periods))

    def sample(
        self, scenarios: int, first: int, periods: int, generator: np.random.Generator
    ) -> FloatArray:
        """The observed path in each scenario, shape (S, N, D, periods); draws nothing."""
        observed = self.mean(first, periods)
        return np.broadcast_to(observed, (scenarios, *observed.shape)).copy()

    def total_variance(self, groups: FloatArray, first: int, periods: int) -> FloatArray:
        """Zeros, shape (N, G)."""
        return np.zeros((groups.shape[0], groups.shape[2]))
