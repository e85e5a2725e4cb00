"""Projected inventory level: order so that the stock expected at arrival is at a level."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import DemandLevels, Levels, WindowDemand, mean_rate, quantile_levels
from optrl.policies.lost_sales import LostSales
from optrl.policies.order_up_to import LevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.state import State


class ProjectedInventoryLevel(LevelPolicy):
    """Order up to a level of the stock expected at the order's arrival.

    The expectation is stock and pipeline less mean lead-time demand *plus* the demand expected
    to be lost until then, which leaves the shelf no emptier. With U the level, the order is

        U - (position - mean lead-time demand + expected lost sales),

    that is a base-stock order at U plus mean lead-time demand, less expected lost sales. U
    is by default the base-stock level less mean lead-time demand. Expected lost sales are
    projected with the demand distribution over fixed sample paths (`LostSales`); nodes that
    only supply others, and all nodes with backorders, lose nothing and follow base stock.

    Source: van Jaarsveld & Arts (2024), Projected inventory-level policies for lost sales
    inventory systems: Asymptotic optimality in two regimes, Operations Research 72(5).
    """

    name: ClassVar[str] = "projected_inventory_level"

    def __init__(self, sourcing: Sourcing, levels: Levels, lost_sales: LostSales | None) -> None:
        """Prepare the policy.

        Args:
            sourcing: Primary lanes and serving nodes.
            levels: Projected levels plus mean lead-time demand.
            lost_sales: Projects lost sales, None where nothing is lost.
        """
        self._lost_sales = lost_sales
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from lead-time demand; the seed draws the paths that lost sales are taken over."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratio = UnitCosts.of(sourcing, rate).ratio(sourcing.review)
        levels = quantile_levels(sourcing, demand, "protection", ratio)
        return cls(sourcing, levels, _lost_sales(sourcing, demand, seed))

    @classmethod
    def at_level(
        cls,
        instance: Instance,
        demand: DemandModel,
        level: FloatArray | float,
        seed: int = 0,
    ) -> Self:
        """Fixed projected levels.

        Args:
            instance: The instance.
            demand: Demand to project with.
            level: Level U of each stocking node in graph order, broadcasts to (N, M).
            seed: Draws the paths that lost sales are taken over.
        """
        sourcing = Sourcing.of(instance)
        wanted = np.broadcast_to(np.asarray(level, dtype=float), sourcing.lane.shape)

        def position(total: TotalDemand) -> FloatArray:
            return wanted + total.mean

        levels = DemandLevels(WindowDemand(sourcing, demand, "lead_time"), position)
        return cls(sourcing, levels, _lost_sales(sourcing, demand, seed))

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        position = self.position(state)
        if self._lost_sales is not None:
            position = position + self._lost_sales.expected(state, period)
        return self.cascade(position, period)


def _lost_sales(sourcing: Sourcing, model: DemandModel, seed: int) -> LostSales | None:
    return LostSales(sourcing, model, seed) if sourcing.network.unmet == "lost" else None
