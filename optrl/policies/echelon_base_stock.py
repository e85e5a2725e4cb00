"""Echelon base stock: every node orders for itself and all nodes below it."""

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


class EchelonBaseStock(SeparableLevelPolicy):
    """Order-up-to levels on echelon inventory positions.

    A node's echelon is the node with all below it on primary lanes; its position is all stock
    there and on the way there, less all backlog. Levels are means of two quantiles of echelon
    demand over the sum of lead times and review periods (`optrl.policies.levels`), at the ratios
    of `UnitCosts.echelon_ratios`.

    Source: Clark & Scarf (1960), Optimal policies for a multi-echelon inventory problem,
    Management Science 6(4) (form of the policy, optimal for serial systems with backorders);
    Shang & Song (2003), Management Science 49(5) (levels).
    """

    name: ClassVar[str] = "echelon_base_stock"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from echelon lead-time demand; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratios = UnitCosts.of(sourcing, rate).echelon_ratios(sourcing)
        return cls(sourcing, quantile_levels(sourcing, demand, "echelon", *ratios))

    @classmethod
    def at_level(cls, instance: Instance, level: FloatArray | float) -> Self:
        """Fixed echelon levels.

        Args:
            instance: The instance.
            level: Echelon level of each stocking node in graph order, broadcasts to (N, M).
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing))

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        position = self.echelon_position(state)
        return self.round_up(self.want(position, self._every, period), self._every)
