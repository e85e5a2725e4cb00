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
    cost K of the primary lane, the mean demand d and the overage cost H of `UnitCosts`, at most
    the demand of the horizon. Without fixed cost it is 0, and the policy is base stock.
    Positions after ordering spread evenly over s..S, so that s solves

        1/Q * integral of F(y) over y in [s, s + Q] = critical ratio,

    F being the distribution of the demand that an order must cover (`optrl.policies.levels`).
    That is the best s for this Q with backorders but for the undershoot of s. Joint fixed costs
    of lanes are not shared out among items.

    Source: Zheng (1992), On properties of stochastic inventory systems, Management Science
    38(1), equation 6 (s for a given Q); Silver, Pyke & Thomas (2017), Inventory and Production
    Management in Supply Chains, section 6.7 (Q from the economic order quantity). Zheng &
    Federgruen's search (1991) would come nearer to the best (s, S).
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
        rate = mean_rate(demand, instance.start, instance.horizon)
        costs = UnitCosts.of(sourcing, rate)
        through = np.einsum("nd,ndm->nm", rate, sourcing.supplies)
        quantity = order_quantity(sourcing, costs, through, instance.horizon)
        ratio = costs.ratio(sourcing.review)

        def reorder_point(total: TotalDemand) -> FloatArray:
            return best_reorder_point(total, quantity, ratio)

        points = DemandLevels(WindowDemand(sourcing, demand, "protection"), reorder_point)
        return cls(sourcing, _Above(points, quantity), points)

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


class _Above:
    """Levels a fixed quantity above others.

    Args:
        levels: The others.
        quantity: Shape (N, M).
    """

    def __init__(self, levels: Levels, quantity: FloatArray) -> None:
        self._levels = levels
        self._quantity = quantity
        self._last: tuple[FloatArray, FloatArray] | None = None

    def at(self, period: int) -> FloatArray:
        """Levels of a period, shape (N, M)."""
        base = self._levels.at(period)
        if self._last is None or self._last[0] is not base:
            self._last = base, base + self._quantity
        return self._last[1]


def order_quantity(
    sourcing: Sourcing, costs: UnitCosts, rate: FloatArray, horizon: int
) -> FloatArray:
    """Economic order quantity, at most the demand of the horizon, shape (N, M).

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
    return np.minimum(np.sqrt(square), rate * horizon)


def best_reorder_point(total: TotalDemand, quantity: FloatArray, ratio: FloatArray) -> FloatArray:
    """The s with mean of F over [s, s + Q] equal to the ratio, by bisection, shape (N, M).

    With the expected shortage n(x) = E (D - x)^+, the mean is 1 - (n(s) - n(s + Q)) / Q.

    Args:
        total: Demand D with distribution F.
        quantity: Q, at least 0.
        ratio: Critical ratio, below 1.
    """
    width = np.maximum(quantity, 1e-6 * (1 + total.mean))

    def shortage(x: FloatArray) -> FloatArray:
        return total.shortage(np.maximum(x, 0.0))[0] - np.minimum(x, 0.0)

    low, high = -width, total.quantile(ratio)
    for _ in range(40):
        middle = (low + high) / 2
        missed = (shortage(middle) - shortage(middle + width)) / width
        enough = missed <= 1 - ratio
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    # Nodes that no demand depends on, and ratios of 0, hold nothing.
    return np.where(ratio > 0, high, -width)
