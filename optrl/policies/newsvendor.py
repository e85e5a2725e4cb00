"""Newsvendor: every order covers the demand from its arrival to that of the next one."""

from __future__ import annotations

from typing import ClassVar, Self

from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import (
    DemandLevels,
    Levels,
    WindowDemand,
    mean_rate,
    quantile_levels,
)
from optrl.policies.order_up_to import PeriodTensor, SeparableLevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows
from optrl.simulation.state import State


class Newsvendor(SeparableLevelPolicy):
    """A newsvendor quantity for each review period, lead times at their expected demand.

    A node counts with what is left when the order arrives if demand until then is as expected
    (nothing when it would run out), and orders up to the quantile of the demand from then until
    the next order's arrival. Without lead time this is the newsvendor's order of a single
    period. With one it ignores that lead-time demand is uncertain: base stock does not, and the
    difference between the two is what safety stock for the lead time is worth. A node that
    supplies others orders what they ask now and are expected to ask.

    Source: Snyder & Shen (2019), Fundamentals of Supply Chain Theory, section 4.3.2.
    """

    name: ClassVar[str] = "newsvendor"

    def __init__(self, sourcing: Sourcing, levels: Levels, until_arrival: Levels) -> None:
        """Prepare the policy.

        Args:
            sourcing: Primary lanes and serving nodes.
            levels: Stock wanted when the order has arrived.
            until_arrival: Expected demand until then.
        """
        self.until_arrival = until_arrival
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Quantities from the demand of review periods; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratio = UnitCosts.of(sourcing, rate).newsvendor_ratio(sourcing.review)
        levels = quantile_levels(sourcing, demand, "review", ratio)
        lead = WindowDemand(sourcing, demand, "lead_time")
        return cls(sourcing, levels, DemandLevels(lead, _mean))

    def _use(self, items: slice) -> None:
        super()._use(items)
        self._until_arrival = PeriodTensor(self.until_arrival, items)

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        return self.cascade(self.position(state), period)

    def want(self, position: Tensor, rows: Rows, period: int) -> Tensor:
        """What is missing to the quantity wanted at arrival."""
        left = position - rows.take(self._until_arrival.at(period, position))
        if self._demand is None:
            # Demand that finds nothing is lost and leaves the shelf empty, not below.
            left = left.clamp(min=0)
        return super().want(left, rows, period)


def _mean(total: TotalDemand) -> FloatArray:
    return total.mean
