"""Min-shortage rationing: scarce stock goes where it saves most expected shortage."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.levels import FixedLevels, Levels
from optrl.policies.marginal_shortage import Curves, EchelonTotals, MarginalShortage
from optrl.policies.rationing import RationedBaseStock, Scarcity, hand_out, whole_lots
from optrl.policies.sourcing import Sourcing

# Halvings of the interval of marginal values: from some units to rounding error.
_HALVINGS = 44
# Bisection ends where each node has few lots within it, or so small a share of what it asks for.
_FEW = 3
_CONTINUOUS = 1e-7


class MinShortageRationing(RationedBaseStock):
    """Echelon base stock; what is scarce goes where it saves most expected shortage.

    Of a node with echelon position y after rationing, E (D - y)^+ units are expected short when
    the next order could arrive, D being the demand of the node and all below it from now until
    then (lead time and review period). A supplying node shares what it has so that the sum over
    the nodes below is smallest. The sum is separable and convex: lots go to the largest
    marginal saving per unit, that is (E (D - y)^+ - E (D - y - q)^+) / q of a lot q, or P(D > y)
    where quantities are continuous, until nothing is left. The marginal value at which stock
    runs out is bracketed by bisection, for all scenarios and items at once, and the few lots
    within the bracket are sorted. With lots of one size the sum is the smallest possible; with
    different ones less than a lot may stay behind.

    Units are counted alike whatever a shortage costs where; demand lost on the way is not
    projected. Units short for certain save the same everywhere: of those, the largest backlog
    in relation to mean demand of that time comes first.

    Levels of `fit` are those of `echelon_base_stock`.

    Source: Fox (1966), Discrete optimization via marginal analysis, Management Science 13(3)
    (greedy is optimal); Federgruen & Zipkin (1984), Approximations of dynamic, multilocation
    production and inventory problems, Management Science 30(1) (myopic allocation); Kaynov et
    al. (2024), International Journal of Production Economics 267 (min-shortage allocation as
    benchmark; by its re-implementations it evens out shortfalls from the levels).
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
        sure, most = torch.zeros_like(asked), asked
        near = torch.where(lot > 0, _FEW * lot, _CONTINUOUS * asked)
        for _ in range(_HALVINGS):
            if bool((most - sure <= near).all()):
                break
            middle = (low + high) / 2
            found = worth_more(middle)
            fits = found.sum(0) <= have
            high, low = middle.where(fits, high), low.where(fits, middle)
            sure, most = found.where(fits, sure), most.where(fits, found)
        return sure + _by_value(curve, scarcity, sure, most - sure)


def _by_value(curve: Curves, scarcity: Scarcity, sure: Tensor, more: Tensor) -> Tensor:
    """What is left, lot by lot to the largest saving among the next ones of each node, (C, P).

    Args:
        curve: Marginal savings.
        scarcity: The cases.
        sure: What each node gets in any case, shape (C, P).
        more: What each may get beyond, shape (C, P).
    """
    lot, count = scarcity.lot, len(more)
    ahead = torch.arange(_FEW + 1, dtype=lot.dtype)[:, None, None] * lot
    value = curve.value(scarcity.position + sure + ahead)
    one = torch.where(lot > 0, lot, torch.where(ahead > 0, 0.0, more))
    room = torch.minimum(one, more - ahead).clamp(min=0)
    flat = (-1, value.shape[-1])
    rank = value.reshape(flat).sort(dim=0, descending=True, stable=True).indices
    left = scarcity.have - sure.sum(0)
    taken = hand_out(left, room.reshape(flat), lot.repeat(_FEW + 1, 1), rank)
    return taken.view(-1, count, value.shape[-1]).sum(0)
