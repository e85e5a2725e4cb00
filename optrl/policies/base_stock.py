"""Installation base stock: every node orders up to a level of its own."""

from __future__ import annotations

from typing import ClassVar, Self

from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import FixedLevels, mean_rate, quantile_levels
from optrl.policies.order_up_to import SeparableLevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.state import State


class BaseStock(SeparableLevelPolicy):
    """Order-up-to levels by node, on what each node sees itself.

    The level is the quantile, at the critical ratio of `UnitCosts`, of the demand that an order
    must cover (`optrl.policies.levels`): of all demand below a node over its own lead time.

    Source: Snyder & Shen (2019), Fundamentals of Supply Chain Theory, section 4.3.4; Zipkin
    (2000), Foundations of Inventory Management, section 9.4.
    """

    name: ClassVar[str] = "base_stock"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from lead-time demand; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratio = UnitCosts.of(sourcing, rate).ratio(sourcing.review)
        return cls(sourcing, quantile_levels(sourcing, demand, "protection", ratio))

    @classmethod
    def at_level(cls, instance: Instance, level: FloatArray | float) -> Self:
        """Fixed levels.

        Args:
            instance: The instance.
            level: Level of each stocking node in graph order, broadcasts to (N, M).
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing))

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        return self.cascade(self.position(state), period)
