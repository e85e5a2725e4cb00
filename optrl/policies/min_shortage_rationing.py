"""Min-shortage rationing: scarce stock goes where it saves most expected shortage."""

from __future__ import annotations

from typing import ClassVar, Self

from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.levels import FixedLevels, Levels
from optrl.policies.marginal_shortage import EchelonTotals, MarginalShortage
from optrl.policies.rationing import RationedBaseStock, Scarcity, hand_out, whole_lots
from optrl.policies.sourcing import Sourcing

# Halvings of the interval of marginal values: from some units to rounding error.
_HALVINGS = 44


class MinShortageRationing(RationedBaseStock):
    """Echelon base stock; what is scarce goes where it saves most expected shortage.

    Of a node with echelon position y after rationing, E (D - y)^+ units are expected short when
    the next order could arrive, D being the demand of the node and all below it from now until
    then (lead time and review period). A supplying node shares what it has so that the sum over
    the nodes below is smallest. The sum is separable and convex: lots go to the largest
    marginal saving per unit, that is (E (D - y)^+ - E (D - y - q)^+) / q of a lot q, or P(D > y)
    where quantities are continuous, until nothing is left. The marginal value at which stock
    runs out is found by bisection for all scenarios and items at once. With lots of one size the
    sum is the smallest possible; with different ones less than a lot may stay behind.

    Units are counted alike whatever a shortage costs where; demand lost on the way is not
    projected. Units short for certain save the same everywhere: of those, the largest backlog
    in periods of demand comes first.

    Levels of `fit` are those of `echelon_base_stock`.

    Source: Fox (1966), Discrete optimization via marginal analysis, Management Science 13(3)
    (greedy is optimal); Federgruen & Zipkin (1984), Approximations of dynamic, multilocation
    production and inventory problems, Management Science 30(1) (myopic allocation); Kaynov et
    al. (2024), International Journal of Production Economics 267 (min-shortage allocation as
    benchmark, there said to even out shortfalls from the levels).
    """

    name: ClassVar[str] = "min_shortage_rationing"

    def __init__(self, sourcing: Sourcing, levels: Levels, totals: EchelonTotals) -> None:
        """Prepare the policy.

        Args:
            sourcing: Primary lanes and serving nodes.
            levels: Echelon level of each stocking node, by period.
            totals: Demand that an order of a node must cover with all nodes below.
        """
        self._totals = totals
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels from echelon lead-time demand; deterministic, whatever the seed."""
        sourcing = Sourcing.of(instance)
        levels = EchelonBaseStock.fit(instance, demand).levels
        return cls(sourcing, levels, EchelonTotals(sourcing, demand))

    @classmethod
    def at_level(cls, instance: Instance, level: FloatArray | float, demand: DemandModel) -> Self:
        """Fixed echelon levels.

        Args:
            instance: The instance.
            level: Echelon level of each stocking node in graph order, broadcasts to (N, M).
            demand: Demand that shortages are expected from.
        """
        sourcing = Sourcing.of(instance)
        return cls(sourcing, FixedLevels(level, sourcing), EchelonTotals(sourcing, demand))

    def _use(self, items: slice) -> None:
        super()._use(items)
        network = self.sourcing.network
        lot = self.sourcing.of_lane(network.lot_size[items])
        self._marginal = MarginalShortage(self._totals, items, lot)

    def share(self, scarcity: Scarcity) -> Tensor:
        """Shares of least expected shortage in whole lots, shape (C, P)."""
        curve = self._marginal.at(scarcity.period).of(scarcity.node, scarcity.item)
        asked, have, lot = scarcity.asked, scarcity.have, scarcity.lot

        def worth_more(value: Tensor) -> Tensor:
            """Lots, or quantities, of at least a marginal value."""
            reach = curve.position(value) - scarcity.position
            reach = whole_lots(reach + lot, lot)
            return reach.clamp(min=0).minimum(asked)

        # At `high` nobody gets anything, at `low` everybody all.
        high = curve.value(scarcity.position).amax(0) + 1.0
        low = curve.value(scarcity.position + asked).amin(0) - 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = worth_more(middle).sum(0) <= have
            high, low = middle.where(fits, high), low.where(fits, middle)
        sure = worth_more(high)
        more = worth_more(low) - sure
        return sure + hand_out(have - sure.sum(0), more, lot)
