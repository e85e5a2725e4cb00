"""The context of a value function: calendar, what demand is expected, resource prices.

A function that is convex in stock may depend on these in any way
(`optrl.values.partially_convex`, `optrl.values.slope_model`): they are known when a decision is
taken and are no part of its state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.values.base import ValueFunctionError


@dataclass(frozen=True)
class ContextColumns:
    """Columns in this order: calendar, expected demand by window and item, prices.

    Attributes:
        items: Number of items N.
        season: Periods of a season; 0 leaves the calendar out.
        harmonics: Sine and cosine pairs of the season.
        windows: Expected demand a period over the next so many periods, summed over nodes; one
            column for each window and item.
        resources: Names of the resources whose prices are columns.
    """

    items: int
    season: int = 0
    harmonics: int = 2
    windows: tuple[int, ...] = ()
    resources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.season < 0 or self.harmonics < 0 or any(w < 1 for w in self.windows):
            raise ValueFunctionError("season and harmonics must not be negative, windows positive")

    @classmethod
    def of(
        cls,
        instance: Instance,
        *,
        harmonics: int = 2,
        windows: tuple[int, ...] = (),
        prices: bool = False,
    ) -> ContextColumns:
        """The columns of an instance, with its season and, if asked for, its resources."""
        network = instance.network
        return cls(
            len(network.items),
            instance.season,
            harmonics,
            windows,
            tuple(r.name for r in network.resources) if prices else (),
        )

    @property
    def size(self) -> int:
        """Number of columns of `vector`."""
        return self._calendar + self.items * len(self.windows) + len(self.resources)

    @property
    def size_by_item(self) -> int:
        """Number of columns of `by_item`."""
        return self._calendar + len(self.windows) + len(self.resources)

    def vector(
        self, period: int, demand: DemandModel, prices: FloatArray | None = None
    ) -> FloatArray:
        """The context of a decision for all items together, shape (C,).

        Args:
            period: Absolute period of the decision.
            demand: What is believed about demand.
            prices: Price of each resource, shape (R,), where prices are columns.
        """
        expected = self._expected(period, demand).ravel()
        return np.concatenate([self._phase(period), expected, self._prices(prices)])

    def by_item(
        self, period: int, demand: DemandModel, prices: FloatArray | None = None
    ) -> FloatArray:
        """The context of each item, its own expected demand only, shape (N, columns)."""
        shared = np.concatenate([self._phase(period), self._prices(prices)])
        everywhere = np.broadcast_to(shared, (self.items, len(shared)))
        expected = self._expected(period, demand).T
        return np.concatenate(
            [everywhere[:, : self._calendar], expected, everywhere[:, self._calendar :]], axis=1
        )

    @property
    def _calendar(self) -> int:
        return 2 * self.harmonics if self.season else 0

    def _phase(self, period: int) -> FloatArray:
        if not self.season:
            return np.zeros(0)
        angle = 2 * np.pi * period / self.season * np.arange(1, self.harmonics + 1)
        return np.concatenate([np.sin(angle), np.cos(angle)])

    def _expected(self, period: int, demand: DemandModel) -> FloatArray:
        """Expected demand a period, shape (windows, N)."""
        if not self.windows:
            return np.zeros((0, self.items))
        path = demand.mean(period, max(self.windows)).sum(axis=1)
        if path.shape[0] != self.items:
            raise ValueFunctionError(
                f"demand is of {path.shape[0]} items, the context of {self.items}"
            )
        return np.stack([path[:, :w].mean(axis=1) for w in self.windows])

    def _prices(self, prices: FloatArray | None) -> FloatArray:
        given = np.zeros(0) if prices is None else np.asarray(prices, dtype=np.float64)
        if given.shape != (len(self.resources),):
            raise ValueFunctionError(
                f"prices have shape {given.shape}, expected ({len(self.resources)},)"
                f" for {', '.join(self.resources) or 'no resource'}"
            )
        return given
