"""Value of stock held against forecast error, for plans made on expected demand.

A plan on expected demand keeps no safety stock by itself. Here the expected shortage that stock y
at the end of a period saves becomes a concave value of y, which the plan weighs against holding
cost, capacity and what else the stock could do.

Forecast errors of the last w periods are not yet corrected, with w = min(periods since the plan
was made, lead time + review period). With x = (expected demand of those w periods) + y available
against their demand D_w, expected units short by then are E (D_w - x)^+. Under backorders all of
them wait and cost in the period. Under lost sales a unit is lost once, but is short in this sum
for as long as it stays uncorrected: for R + L/2 periods of a lead time L and a review period R,
about, as in the base-stock levels (`critical_ratio`), so that the saving counts by that fraction.

A node that supplies others is valued with its echelon (itself and all below, what is on the way
between them included), against the demand of those w periods and of the lead time below that
follows, because what it releases later comes too late for that (Clark & Scarf 1960; Axsäter,
Inventory Control, 3rd ed., chapter 10). Its own customers are protected for one review period.
A shortage is then valued once at each level between customer and supplier; each level counts in
equal parts.

A unit saves the shortage cost but is used up: what it is worth to replace (landed cost, and the
lane to the customer) is subtracted under lost sales.
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from optrl_formulations.replenishment_data import StockValue

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand, total_demand
from optrl.instance import Instance
from optrl.policies.sourcing import NOWHERE, Sourcing

# Breakpoints in standard deviations of the demand covered; a slope between two of them is the
# average over the segment, so that the piecewise function meets the exact one at breakpoints.
_BREAKPOINTS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


class SafetyValues:
    """Stock values of an instance, by period, for N items and M stocking nodes.

    Args:
        instance: Instance on its full network.
        demand: What is believed about demand.
        sourcing: Primary lanes and serving nodes.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        sourcing: Sourcing,
    ) -> None:
        """See the class."""
        self._demand = demand
        self._sourcing = sourcing
        self._lost = instance.network.unmet == "lost"
        self._cache: dict[tuple[str, int, int], TotalDemand] = {}
        self._groups = {
            "own": sourcing.owns.astype(float),
            "echelon": sourcing.supplies.astype(float),
        }
        protection = sourcing.lead_time + np.maximum(sourcing.review, 1)
        self._upstream: BoolArray = sourcing.children > 0
        self._protection: IntArray = protection
        self._below = self._lead_time_below()
        review = np.maximum(sourcing.review, 1)
        cover = {"own": self._own_protection, "echelon": protection + self._below}
        levels = 1 + sourcing.height + _levels_above(sourcing)
        self._share = {
            kind: 1 / (levels * _periods_short(each, review, self._lost))
            for kind, each in cover.items()
        }
        self._price = {kind: self._unit_value(instance, kind) for kind in self._groups}

    def at(self, period: int, horizon: int, node: IntArray, nodes: int) -> tuple[StockValue, ...]:
        """Stock values of a plan made in `period`.

        Args:
            period: Absolute period of the first decision.
            horizon: Number of periods T of the plan.
            node: Position of each node of the full network in the plan's network, shape (V,).
            nodes: Number of nodes of the plan's network.

        Returns:
            For each stocking node its own value, and for each that supplies others that of its
            echelon; widths and marginal values of shape (N, T, segments).
        """
        values = []
        for kind in ("own", "echelon"):
            width, worth = self._curves(kind, period, horizon)
            for m in range(len(self._sourcing.stocking)):
                relevant = self._groups[kind][:, :, m].any()
                if not relevant or (kind == "echelon" and not self._upstream[:, m].any()):
                    continue
                on_hand, transit = self._members(kind, m, node, nodes)
                values.append(
                    StockValue(
                        on_hand_nodes=on_hand,
                        transit_nodes=transit,
                        width=width[:, m].transpose(0, 2, 1),
                        marginal_value=worth[:, m].transpose(0, 2, 1),
                    )
                )
        return tuple(values)

    def _members(
        self, kind: str, m: int, node: IntArray, nodes: int
    ) -> tuple[BoolArray, BoolArray]:
        """Nodes whose stock counts and nodes whose pipeline counts, each (N, plan's nodes)."""
        sourcing = self._sourcing
        n = sourcing.lane.shape[0]
        on_hand = np.zeros((n, nodes), dtype=bool)
        transit = np.zeros((n, nodes), dtype=bool)
        places = node[sourcing.stocking]
        on_hand[:, places[m]] = True
        if kind == "echelon":
            for other, above in enumerate(sourcing.parent.T):
                inside = np.zeros(n, dtype=bool)
                step = above.copy()
                for _ in range(len(places)):
                    inside |= step == m
                    step = np.where(step == NOWHERE, NOWHERE, sourcing.parent[np.arange(n), step])
                on_hand[inside, places[other]] = True
                transit[inside, places[other]] = True
        return on_hand, transit

    def _curves(self, kind: str, period: int, horizon: int) -> tuple[FloatArray, FloatArray]:
        """Widths and marginal values, each of shape (N, M, segments, T)."""
        n, m = self._sourcing.lane.shape
        segments = len(_BREAKPOINTS)
        width = np.zeros((n, m, segments, horizon))
        worth = np.zeros_like(width)
        for offset in range(horizon):
            last = period + offset
            protection = self._protection if kind == "echelon" else self._own_protection
            window = np.minimum(offset + 1, protection)
            ahead = self._below if kind == "echelon" else np.zeros_like(window)
            code = window * (int(ahead.max(initial=0)) + 1) + ahead
            for each in np.unique(code):
                w, b = divmod(int(each), int(ahead.max(initial=0)) + 1)
                here = code == each
                widths, worths = self._curve(kind, last - w + 1, w, b)
                width[here, :, offset] = widths[:, here].T
                worth[here, :, offset] = worths[:, here].T
        if kind == "echelon":
            width[~self._upstream] = 0.0
            worth[~self._upstream] = 0.0
        return width, worth

    @property
    def _own_protection(self) -> IntArray:
        """A node that supplies others protects its own customers for one review period only."""
        review = np.maximum(self._sourcing.review, 1)
        return np.where(self._upstream, review, self._protection)

    def _curve(
        self, kind: str, first: int, window: int, ahead: int
    ) -> tuple[FloatArray, FloatArray]:
        """Widths and marginal values of one period, each of shape (segments, N, M)."""
        total = self._total(kind, first, window + ahead)
        past = self._total(kind, first, window)
        # Rounding may leave a little less where nothing is expected ahead.
        expected_ahead = np.maximum(total.mean - past.mean, 0.0)
        spread = np.sqrt(np.maximum(total.variance, 0.0))
        points = expected_ahead + _BREAKPOINTS[:, None, None] * spread
        points = np.concatenate([np.zeros((1, *spread.shape)), points])
        short = total.shortage(past.mean + points)[0]
        width = np.diff(points, axis=0)
        saved = np.maximum(-np.diff(short, axis=0), 0.0)
        slope = np.divide(saved, width, out=np.zeros_like(saved), where=width > 1e-9)
        slope = np.minimum(slope, 1.0) * self._price[kind] * self._share[kind]
        # Concave: the difference of two convex functions need not fall where little is covered.
        return width, np.maximum.accumulate(slope[::-1], axis=0)[::-1]

    def _total(self, kind: str, first: int, periods: int) -> TotalDemand:
        key = kind, first, periods
        if key not in self._cache:
            self._cache[key] = total_demand(self._demand, self._groups[kind], first, periods)
        return self._cache[key]

    def _lead_time_below(self) -> IntArray:
        """Longest lead time of a primary lane out of each node, shape (N, M)."""
        sourcing = self._sourcing
        longest = np.zeros_like(sourcing.lead_time)
        item, node = np.nonzero(sourcing.parent != NOWHERE)
        np.maximum.at(longest, (item, sourcing.parent[item, node]), sourcing.lead_time[item, node])
        return longest

    def _unit_value(self, instance: Instance, kind: str) -> FloatArray:
        """Money saved by a unit that avoids a shortage, averaged over demand, shape (N, M)."""
        network, sourcing = instance.network, self._sourcing
        mean = self._demand.mean(instance.start, max(1, instance.horizon)).sum(axis=2)
        short = network.shortage_cost[:, sourcing.demand_nodes]
        if self._lost:
            short = np.maximum(short - sourcing.owner_cost - sourcing.serving_cost, 0.0)
        weight = mean[:, :, None] * self._groups[kind]
        total = weight.sum(axis=1)
        value = np.divide(
            (short[:, :, None] * weight).sum(axis=1),
            total,
            out=np.zeros_like(total),
            where=total > 0,
        )
        held = network.holding_cost[:, sourcing.stocking]
        level = _service_level(instance, sourcing, self._groups[kind])
        # A fill-rate target asks for at least the shortage cost whose critical ratio it is.
        least = held * level / np.maximum(1 - level, 1e-6)
        worth: FloatArray = np.maximum(value, least) + held * (total > 0)
        return worth


def _service_level(instance: Instance, sourcing: Sourcing, groups: FloatArray) -> FloatArray:
    """Highest target among the demand nodes of each group, shape (N, M)."""
    asked = instance.network.service_level[:, sourcing.demand_nodes]
    highest: FloatArray = (asked[:, :, None] * groups).max(axis=1, initial=0.0)
    return highest


def _periods_short(cover: IntArray, review: IntArray, lost: bool) -> FloatArray:
    """Periods for which a unit short stays in the sum but costs once, shape (N, M)."""
    return review + (cover - review) / 2 if lost else np.ones(cover.shape)


def _levels_above(sourcing: Sourcing) -> IntArray:
    """Number of stocking nodes that supply each node, directly or not, shape (N, M)."""
    above = np.zeros(sourcing.parent.shape, dtype=np.int64)
    step = sourcing.parent
    item = np.arange(len(step))[:, None]
    while (step != NOWHERE).any():
        above += step != NOWHERE
        step = np.where(step == NOWHERE, NOWHERE, sourcing.parent[item, step])
    return above
