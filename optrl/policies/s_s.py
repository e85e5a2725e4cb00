"""(s, S): when the position is below s, order up to S."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import DemandLevels, FixedLevels, Levels, WindowDemand, mean_rate
from optrl.policies.order_up_to import PeriodTensor, SeparableLevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows
from optrl.simulation.state import State


class ReorderPointOrderUpTo(SeparableLevelPolicy):
    """Reorder point s and order-up-to level S by node; orders when the position is *below* s.

    The order quantity Q = S - s is the economic order quantity sqrt(2 K d / H) of the fixed
    cost K of the primary lane, the mean demand d and the overage cost H of `UnitCosts`; without
    fixed cost, and where it is smaller, the demand of a review period; at most the demand of the
    horizon. The reorder point is the quantile of the demand that an order must cover
    (`optrl.policies.levels`), at the ratio b / (b + H Q / d) where demand is lost: a unit is
    then short once in an order cycle of Q / d periods. Joint fixed costs of lanes are not
    shared out among items.

    Source: Silver, Pyke & Thomas (2017), Inventory and Production Management in Supply Chains,
    section 6.7 (reorder point and order quantity set in turn); Hadley & Whitin (1963),
    Analysis of Inventory Systems, section 4-3 (lost sales ratio). A power approximation or
    Zheng & Federgruen's search (1991) would come nearer to the best (s, S).
    """

    name: ClassVar[str] = "s_s"

    def __init__(self, sourcing: Sourcing, levels: Levels, reorder_points: Levels) -> None:
        """Prepare the policy.

        Args:
            sourcing: Primary lanes and serving nodes.
            levels: Order-up-to levels S.
            reorder_points: Reorder points s.
        """
        self.reorder_points = reorder_points
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from lead-time demand and fixed costs; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(sourcing, demand, instance.start, instance.horizon)
        costs = UnitCosts.of(sourcing, rate)
        through = np.einsum("nd,ndm->nm", rate, sourcing.supplies)
        quantity = order_quantity(sourcing, costs, through, instance.horizon)
        cycle = np.divide(quantity, through, out=sourcing.review.astype(float), where=through > 0)
        ratio = costs.ratio(cycle)
        protection = WindowDemand(sourcing, demand, "protection")

        def reorder_point(total: TotalDemand) -> FloatArray:
            return total.quantile(ratio)

        def order_up_to(total: TotalDemand) -> FloatArray:
            return total.quantile(ratio) + quantity

        return cls(
            sourcing,
            DemandLevels(protection, order_up_to),
            DemandLevels(protection, reorder_point),
        )

    @classmethod
    def at_level(
        cls, instance: Instance, reorder_point: FloatArray | float, level: FloatArray | float
    ) -> Self:
        """Fixed reorder points s and levels S.

        Args:
            instance: The instance.
            reorder_point: s of each stocking node in graph order, broadcasts to (N, M).
            level: S of each stocking node, broadcasts to (N, M).
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing), FixedLevels(reorder_point, sourcing))

    def _use(self, items: slice) -> None:
        super()._use(items)
        self._reorder_point = PeriodTensor(self.reorder_points, items)

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        return self.cascade(self.position(state), period)

    def want(self, position: Tensor, rows: Rows, period: int) -> Tensor:
        """What is missing to S where the position is below s."""
        below = position < rows.take(self._reorder_point.at(period, position))
        return torch.where(below, super().want(position, rows, period), 0.0)


def order_quantity(
    sourcing: Sourcing, costs: UnitCosts, rate: FloatArray, horizon: int
) -> FloatArray:
    """Economic order quantity between the demand of a review period and of the horizon, (N, M).

    Args:
        sourcing: Primary lanes.
        costs: Overage cost H.
        rate: Expected demand a period through each stocking node, shape (N, M).
        horizon: Periods of the horizon.
    """
    fixed = sourcing.of_lane(sourcing.network.fixed_cost)
    ordering = 2 * fixed * rate
    # Without overage cost an order is as large as it may be, unless ordering costs nothing.
    endless = np.where(ordering > 0, np.inf, 0.0)
    square = np.divide(ordering, costs.overage, out=endless, where=costs.overage > 0)
    smallest = rate * sourcing.review
    return np.clip(np.sqrt(square), smallest, np.maximum(rate * horizon, smallest))
