"""How safe a stock should be: critical ratios of underage to underage plus overage cost.

With purchase and transport c up to where demand is served, shortage cost p, holding cost h and
discount g, one more unit that meets demand saves b and one that does not costs H a period:

* backorders: b = p - (1 - g) c a period, H = h + (1 - g) c, so that b / (b + H) is
  (p - (1 - g) c) / (p + h);
* lost sales without lead time, reviewed every period: b = p - c once (a unit lost is neither
  bought nor carried), H as above: b / (b + H) = (p - c) / (p - g c + h).

Here p is the shortage cost where the demand stands. A node that several demand nodes depend on
takes the mean weighted by expected demand.

Lost sales with lead time L and R periods between orders take the ratio b' / (b' + H) of
backorders whose penalty a period is b' = b / (R + L / 2): a unit lost counts once, while a unit
waiting would count until an order on the way covers it, about halfway through the lead time.
Without lead time that is b / (b + R H), exact for R = 1. The rule is this package's own, chosen
on Zipkin's (2008) lost-sales instances, where its base-stock level is the best one or next to it
in 11 of 12 (b / (b + H) instead costs up to 26 % more than the optimum); Janakiraman, Seshadri &
Shanthikumar (2007), Operations Research 55(5), compare lost sales with backorders of other
penalties.

Source: Zipkin (2000), Foundations of Inventory Management, section 9.4 (lost sales without lead
time); Snyder & Shen (2019), Fundamentals of Supply Chain Theory, section 4.4 (backorders,
infinite horizon).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.policies.sourcing import NOWHERE, Sourcing

LARGEST_RATIO = 0.9999
"""Bound on ratios: without holding cost the ratio is 1 and no finite stock is safe enough."""


@dataclass(frozen=True)
class UnitCosts:
    """Cost of one unit too few and too many at each stocking node, each of shape (N, M).

    Attributes:
        underage: b, at least 0; 0 where no demand depends on the node.
        overage: H a period.
        overage_below: H where the demand is served from, mean over demand.
        lead_time: L of the node's primary lane.
        echelon_lead_time: Periods from the node's order to where demand is served, mean over
            demand.
        target: Largest service level that a demand node depending on the node asks for.
        lost: Whether unmet demand is lost.
    """

    underage: FloatArray
    overage: FloatArray
    overage_below: FloatArray
    lead_time: FloatArray
    echelon_lead_time: FloatArray
    target: FloatArray
    lost: bool

    @classmethod
    def of(cls, sourcing: Sourcing, demand: FloatArray) -> UnitCosts:
        """Costs of a unit.

        Args:
            sourcing: Primary lanes and serving nodes.
            demand: Expected demand a period, the weights, shape (N, D).
        """
        network, stocking, nodes = sourcing.network, sourcing.stocking, sourcing.demand_nodes
        lost = network.unmet == "lost"
        landed = np.where(np.isfinite(sourcing.landed_cost), sourcing.landed_cost, 0.0)
        overage = network.holding_cost[:, stocking] + (1 - network.discount) * landed
        owner = np.maximum(sourcing.owner, 0)
        if len(stocking):
            at_owner = np.take_along_axis(overage, owner, axis=1)
            cost = np.take_along_axis(landed, owner, axis=1) + sourcing.serving_cost
        else:
            at_owner = cost = np.zeros(owner.shape)
        shortage = network.shortage_cost[:, nodes]
        saved = shortage - (cost if lost else (1 - network.discount) * cost)
        # Items without expected demand weigh their demand nodes alike.
        weight = (demand + 1e-12)[:, :, None] * sourcing.supplies
        total = np.maximum(weight.sum(axis=1), 1e-300)
        underage = np.einsum("ndm,nd->nm", weight, np.maximum(saved, 0.0)) / total
        overage_below = np.einsum("ndm,nd->nm", weight, at_owner) / total
        lead = sourcing.lead_time.astype(float)
        way = sourcing.below + sourcing.lead_time[:, None, :] - (~sourcing.owns)
        level = network.service_level[:, nodes, None] * sourcing.supplies
        reached = np.isfinite(sourcing.landed_cost)
        return cls(
            np.where(reached, underage, 0.0),
            overage,
            overage_below,
            lead,
            (weight * way).sum(axis=1) / total,
            level.max(axis=1, initial=0.0),
            lost,
        )

    def penalty(self, lead_time: FloatArray, cycle: FloatArray | IntArray) -> FloatArray:
        """Cost of a unit short a period: b with backorders, b' with lost sales, shape (N, M).

        Args:
            lead_time: L, shape (N, M).
            cycle: R, periods between orders, shape (N, M).
        """
        return self.underage / (cycle + lead_time / 2) if self.lost else self.underage

    def ratio(self, cycle: FloatArray | IntArray) -> FloatArray:
        """Ratio b / (b + H) with backorders, b' / (b' + H) with lost sales, shape (N, M).

        Args:
            cycle: Periods between orders, shape (N, M).
        """
        penalty = self.penalty(self.lead_time, cycle)
        return self._bounded(penalty, penalty + self.overage)

    def newsvendor_ratio(self, cycle: FloatArray | IntArray) -> FloatArray:
        """The ratio as if without lead time, shape (N, M).

        Args:
            cycle: Periods between orders, shape (N, M).
        """
        penalty = self.penalty(np.zeros_like(self.lead_time), cycle)
        return self._bounded(penalty, penalty + self.overage)

    def echelon_ratios(self, sourcing: Sourcing) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ratio of echelon base-stock levels, both of shape (N, M).

        With H' the overage of the node's supplier, (b + H') / (b + H at the demand) and
        (b + H') / (b + H). H' is 0 at an outside supplier. It is taken as 0 too where the
        supplying node has several children: stock sent to one of them cannot serve the others,
        so that waiting upstream has a value that a serial system does not know.

        Source: Shang & Song (2003), Newsvendor bounds and heuristic for optimal policies in
        serial supply chains, Management Science 49(5), Theorem 1 (serial systems).
        """
        parent = np.maximum(sourcing.parent, 0)
        above = np.take_along_axis(self.overage, parent, axis=1)
        alone = np.take_along_axis(sourcing.children, parent, axis=1) == 1
        above = np.where((sourcing.parent != NOWHERE) & alone, above, 0.0)
        below = np.maximum(self.overage_below, self.overage)
        # Moving stock to dearer nodes only: echelon holding costs are not negative.
        above = np.minimum(above, self.overage)
        penalty = self.penalty(self.echelon_lead_time, sourcing.review)
        gain = penalty + above
        return self._bounded(gain, penalty + below), self._bounded(gain, penalty + self.overage)

    def _bounded(self, gain: FloatArray, whole: FloatArray) -> FloatArray:
        wanted = self.underage > 0
        ratio = np.divide(gain, whole, out=np.zeros_like(whole), where=wanted & (whole > 0))
        return np.minimum(np.maximum(ratio, self.target * wanted), LARGEST_RATIO)
