"""Where each item comes from: primary lanes, primary serving nodes and the echelons they form.

Classical policies order on one lane into each node. The primary lane of an item into a stocking
node is the last lane of the cheapest way from any supplier, counting purchase price and transport
(stock on the way costs nothing in this model; fixed costs, lots and resources are not counted);
ties go to the shorter total lead time. Demand at a stocking node belongs to that node; demand of
a customer belongs to the origin of its cheapest allowed serving lane, the one that the order of
events uses first. Demand that a supplier serves itself belongs to no stocking node.

Shapes: N items, M stocking nodes, D demand nodes. Nodes are numbered among the stocking nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network, NodeKind

from optrl.instance import ArrivalProfile, Instance

NOWHERE = -1
_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True)
class Delay:
    """Lead time of lanes as a planner counts with it, each of shape (A,).

    Attributes:
        lead_time: Periods from release to usable; with an `ArrivalProfile` the expectation over
            what arrives, rounded up.
        variance: Variance of the lead time.
        arriving: Share of an order that is expected to arrive.
    """

    lead_time: IntArray
    variance: FloatArray
    arriving: FloatArray

    @classmethod
    def of(cls, network: Network, profiles: tuple[ArrivalProfile, ...]) -> Self:
        """Delays of all lanes."""
        lead, variance = network.lead_time.copy(), np.zeros(len(network.lanes))
        arriving = np.ones(len(network.lanes))
        for profile in profiles:
            share = profile.probability @ profile.fraction
            total = share.sum()
            if total <= 0:
                continue
            ages = np.arange(len(share))
            mean = share @ ages / total
            lead[profile.lane] = int(np.ceil(mean - 1e-9))
            variance[profile.lane] = share @ (ages - mean) ** 2 / total
            arriving[profile.lane] = total
        return cls(lead, variance, arriving)


@dataclass(frozen=True)
class Sourcing:
    """Primary lanes and serving nodes of every item.

    Attributes:
        network: The network, of all items.
        stocking: Stocking nodes among all nodes, shape (M,).
        demand_nodes: Demand nodes among all nodes, shape (D,).
        lane: Primary lane into each stocking node, `NOWHERE` without one, shape (N, M).
        parent: Stocking node at its origin, `NOWHERE` for a supplier or no lane, shape (N, M).
        owner: Stocking node that a demand node's demand belongs to, or `NOWHERE`, shape (N, D).
        landed_cost: Purchase and transport up to each stocking node, infinite where no way
            leads, shape (N, M).
        serving_cost: Cost of the primary serving lane, 0 where demand stands at its owner, (N, D).
        lead_time: Of the primary lane, 0 without one, shape (N, M).
        lead_time_variance: Of the primary lane, shape (N, M).
        arriving: Share of an order on the primary lane that is expected to arrive, (N, M).
        review: Review period of the primary lane, 1 without one, shape (N, M).
    """

    network: Network
    stocking: IntArray
    demand_nodes: IntArray
    lane: IntArray
    parent: IntArray
    owner: IntArray
    landed_cost: FloatArray
    serving_cost: FloatArray
    lead_time: IntArray
    lead_time_variance: FloatArray
    arriving: FloatArray
    review: IntArray

    @classmethod
    def of(cls, instance: Instance) -> Self:
        """Find primary lanes and serving nodes of an instance."""
        network = instance.network
        delay = Delay.of(network, instance.arrivals)
        stocking: IntArray = np.flatnonzero(network.kind == NodeKind.STOCKING)
        cost, lane = _cheapest_ways(network, delay.lead_time)
        owner, serving_cost = _owners(network, instance.demand.nodes, stocking, cost)
        lane = lane[:, stocking]
        number = np.full(len(network.nodes), NOWHERE)
        number[stocking] = np.arange(len(stocking))

        return cls(
            network,
            stocking,
            instance.demand.nodes,
            lane,
            _pick(number[network.origin], lane, NOWHERE),
            owner,
            cost[:, stocking],
            serving_cost,
            _pick(delay.lead_time, lane, 0),
            _pick(delay.variance, lane, 0.0),
            _pick(delay.arriving, lane, 1.0),
            _pick(network.review_period, lane, 1),
        )

    def for_items(self, items: slice) -> Self:
        """The sourcing of some items; `network` stays that of all items."""
        names = ("lane", "parent", "owner", "landed_cost", "serving_cost", "lead_time")
        more = ("lead_time_variance", "arriving", "review")
        return replace(self, **{name: getattr(self, name)[items] for name in names + more})

    @cached_property
    def height(self) -> IntArray:
        """Longest chain of stocking nodes below each node, 0 at the bottom, shape (N, M)."""
        height = np.zeros(self.parent.shape, dtype=np.int64)
        item, node = np.nonzero(self.parent != NOWHERE)
        above = self.parent[item, node]
        for _ in range(self.parent.shape[1]):
            raised = height.copy()
            np.maximum.at(raised, (item, above), height[item, node] + 1)
            if (raised == height).all():
                break
            height = raised
        return height

    @cached_property
    def children(self) -> IntArray:
        """Number of stocking nodes whose primary lane starts at each node, shape (N, M)."""
        children = np.zeros(self.parent.shape, dtype=np.int64)
        item, node = np.nonzero(self.parent != NOWHERE)
        np.add.at(children, (item, self.parent[item, node]), 1)
        return children

    @cached_property
    def below(self) -> IntArray:
        """Periods of demand that the nodes below already cover, shape (N, D, M).

        At a demand node's owner 0; at the nodes above it the sum of lead time and review period
        of the owner and of lead time and review period less 1 of the nodes between: a node
        above sees orders, not demand, and the orders of its own period it has already seen.
        `NOWHERE` where the node does not supply the demand node.
        """
        n, d = self.owner.shape
        below = np.full((n, d, len(self.stocking)), NOWHERE, dtype=np.int64)
        node, covered = self.owner.copy(), np.zeros((n, d), dtype=np.int64)
        item = np.broadcast_to(np.arange(n)[:, None], (n, d))
        which = np.broadcast_to(np.arange(d)[None, :], (n, d))
        for step in range(len(self.stocking)):
            live = node != NOWHERE
            if not live.any():
                break
            i, j, v = item[live], which[live], node[live]
            below[i, j, v] = covered[live]
            covered[live] += self.lead_time[i, v] + self.review[i, v] - int(step > 0)
            node[live] = self.parent[i, v]
        return below

    @cached_property
    def supplies(self) -> BoolArray:
        """Whether a demand node's demand passes a stocking node, shape (N, D, M)."""
        supplies: BoolArray = self.below != NOWHERE
        return supplies

    @cached_property
    def owns(self) -> BoolArray:
        """Whether a demand node's demand is served from a stocking node, shape (N, D, M)."""
        owns: BoolArray = self.owner[:, :, None] == np.arange(len(self.stocking))
        return owns

    @cached_property
    def owner_cost(self) -> FloatArray:
        """Landed cost at the owner of each demand node, 0 where unknown, shape (N, D)."""
        padded = np.pad(self.landed_cost, ((0, 0), (0, 1)))
        cost = np.take_along_axis(padded, self.owner % padded.shape[1], axis=1)
        return np.where(np.isfinite(cost), cost, 0.0)

    def of_lane(self, values: FloatArray) -> FloatArray:
        """Coefficients (N, A) of the primary lanes, 0 without one, shape (N, M)."""
        padded = np.pad(values, ((0, 0), (0, 1)))
        return np.take_along_axis(padded, self.lane % padded.shape[1], axis=1)

    def waiting_time(self, period: int) -> IntArray:
        """Periods from `period` until the order after the next one, shape (N, M).

        With the primary lane open in `period` that is the time to its next opening, the review
        period unless lanes are closed; otherwise the time to the opening after the next. Lanes
        that do not open within the span looked at count with the end of that span.
        """
        network = self.network
        span = 2 * int(network.review_period.max(initial=1)) + len(network.closed) + 1
        opens = network.open_periods(period, span)
        nth = np.cumsum(opens, axis=1)
        second = np.where((nth >= 2).any(axis=1), (nth >= 2).argmax(axis=1), span)
        return _pick(second, self.lane, 1)


def _pick(values: NDArray[_Number], lane: IntArray, without: float) -> NDArray[_Number]:
    """Values of lanes, `without` where the lane is `NOWHERE` (the last position)."""
    padded: NDArray[_Number] = np.append(values, values.dtype.type(without))[lane]
    return padded


def _cheapest_ways(network: Network, lead_time: IntArray) -> tuple[FloatArray, IntArray]:
    """Cost of the cheapest way from a supplier and its last lane, both of shape (N, V).

    Labels (cost, lead time) fall in lexicographic order (Bellman-Ford, all items at once). Since
    no cycle has lead time 0, none has a label of zero, and the last lanes form a forest.
    """
    n, v = len(network.items), len(network.nodes)
    supplier = network.kind == NodeKind.SUPPLIER
    cost = np.where(supplier & (network.supply_capacity > 0), 0.0, np.inf)
    time = np.zeros((n, v))
    last = np.full((n, v), NOWHERE, dtype=np.int64)
    usable = network.allowed & (network.maximum_quantity > 0)
    price = np.where(usable, network.purchase_cost + network.lane_cost, np.inf)
    for _ in range(v):
        changed = False
        for a in network.replenishment_lanes:
            u, w = network.origin[a], network.destination[a]
            through, when = cost[:, u] + price[:, a], time[:, u] + lead_time[a]
            better = (through < cost[:, w]) | (
                (through == cost[:, w]) & np.isfinite(through) & (when < time[:, w])
            )
            if better.any():
                changed = True
                cost[better, w], time[better, w], last[better, w] = (
                    through[better],
                    when[better],
                    a,
                )
        if not changed:
            break
    return cost, last


def _owners(
    network: Network, demand_nodes: IntArray, stocking: IntArray, cost: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Owner of each demand node's demand and cost of the lane from it, both of shape (N, D)."""
    n = len(network.items)
    owner = np.full((n, len(demand_nodes)), NOWHERE, dtype=np.int64)
    serving_cost = np.zeros((n, len(demand_nodes)))
    number = np.full(len(network.nodes), NOWHERE)
    number[stocking] = np.arange(len(stocking))
    for position, node in enumerate(demand_nodes):
        if network.kind[node] == NodeKind.STOCKING:
            owner[:, position] = number[node]
            continue
        lanes = network.serving_lanes[network.destination[network.serving_lanes] == node]
        if not len(lanes):
            continue
        usable = network.allowed[:, lanes] & (network.maximum_quantity[:, lanes] > 0)
        # A node that nothing reaches cannot serve for long.
        usable &= np.isfinite(cost[:, network.origin[lanes]])
        price = np.where(usable, network.lane_cost[:, lanes], np.inf)
        best = price.argmin(axis=1)
        found = usable[np.arange(n), best]
        owner[:, position] = np.where(found, number[network.origin[lanes[best]]], NOWHERE)
        serving_cost[:, position] = np.where(found, price[np.arange(n), best], 0.0)
    return owner, serving_cost
