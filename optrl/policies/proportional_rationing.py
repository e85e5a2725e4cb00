"""Proportional rationing: everyone gets the same share of what they ask for."""

from __future__ import annotations

from typing import ClassVar, Self

from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.levels import FixedLevels
from optrl.policies.rationing import RationedBaseStock, Scarcity, largest_remainders
from optrl.policies.sourcing import Sourcing


class ProportionalRationing(RationedBaseStock):
    """Echelon base stock; what is scarce is shared in proportion to what is asked.

    Shares are rounded down to lots, and what rounding leaves over goes lot by lot to those who
    lost most of a lot by it (largest remainder), so that no stock stays behind that somebody
    asks for. The dynamics' own rationing of `echelon_base_stock` leaves it behind.

    Levels of `fit` are those of `echelon_base_stock`.

    Source: Kaynov et al. (2024), International Journal of Production Economics 267 (echelon base
    stock with proportional allocation as benchmark).
    """

    name: ClassVar[str] = "proportional_rationing"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from echelon lead-time demand; deterministic, whatever the seed."""
        return cls(Sourcing.of(instance), EchelonBaseStock.fit(instance, demand).levels)

    @classmethod
    def at_level(cls, instance: Instance, level: FloatArray | float) -> Self:
        """Fixed echelon levels.

        Args:
            instance: The instance.
            level: Echelon level of each stocking node in graph order, broadcasts to (N, M).
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing))

    def share(self, scarcity: Scarcity) -> Tensor:
        """Proportional shares in whole lots, shape (C, P)."""
        exact = scarcity.asked * (scarcity.have / scarcity.asked.sum(0))
        return largest_remainders(exact, scarcity.have, scarcity.lot)
