"""Capped base stock: order up to a level, but never more than a cap at once."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray
from torch import Tensor, minimum

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import (
    DemandLevels,
    FixedLevels,
    Levels,
    WindowDemand,
    mean_rate,
    quantile_levels,
)
from optrl.policies.order_up_to import PeriodTensor, SeparableLevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows
from optrl.simulation.state import State


class CappedBaseStock(SeparableLevelPolicy):
    """Base stock whose single orders are capped, which keeps the pipeline smooth.

    Where demand is lost, what a base-stock policy orders after a burst of demand arrives when
    the shelf has been empty for a while, and piles up. Capping orders little above mean demand
    moves the policy towards a constant order.

    Levels are those of base stock. The default cap of a node that serves demand itself is

        m + R / (L + R) * (q - m),

    m and q being mean and quantile (at the node's critical ratio) of the demand of the R periods
    that an order brings in a steady state: between base stock without lead time and the constant
    order of a long one. The rule is this package's own. Nodes that only supply other nodes lose
    nothing and have no cap; with backorders no node has one.

    Source: Xin (2021), Understanding the performance of capped base-stock policies in lost-sales
    inventory models, Operations Research 69(1) (form of the policy).
    """

    name: ClassVar[str] = "capped_base_stock"

    def __init__(self, sourcing: Sourcing, levels: Levels, caps: Levels) -> None:
        self.caps = caps
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels and caps from lead-time demand; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratio = UnitCosts.of(sourcing, rate).ratio(sourcing.review)
        levels = quantile_levels(sourcing, demand, "protection", ratio)
        return cls(sourcing, levels, _default_caps(sourcing, demand, ratio))

    @classmethod
    def at_level(
        cls, instance: Instance, level: FloatArray | float, cap: FloatArray | float
    ) -> Self:
        """Fixed levels and caps.

        Args:
            instance: The instance.
            level: Level of each stocking node in graph order, broadcasts to (N, M).
            cap: Largest order of each stocking node, broadcasts to (N, M).
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing), FixedLevels(cap, sourcing))

    def _use(self, items: slice) -> None:
        super()._use(items)
        self._cap = PeriodTensor(self.caps, items)

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        return self.cascade(self.position(state), period)

    def want(self, position: Tensor, rows: Rows, period: int) -> Tensor:
        """What is missing to the level, at most the cap."""
        cap = rows.take(self._cap.at(period, position))
        return minimum(super().want(position, rows, period), cap)


def _default_caps(sourcing: Sourcing, model: DemandModel, ratio: FloatArray) -> Levels:
    if sourcing.network.unmet != "lost":
        return FixedLevels(np.inf, sourcing)
    share = sourcing.review / (sourcing.lead_time + sourcing.review)
    serves = sourcing.owns.any(axis=1)

    def cap(cycle: TotalDemand) -> FloatArray:
        safety = np.maximum(cycle.quantile(ratio) - cycle.mean, 0.0)
        return np.where(serves, cycle.mean + share * safety, np.inf)

    return DemandLevels(WindowDemand(sourcing, model, "cycle"), cap)
