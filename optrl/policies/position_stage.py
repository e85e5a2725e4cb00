"""The stage problem of one period with values of positions, as an allocation of scarce capacity.

With the values of `optrl.policies.position_values` the problem of a single period falls apart into
what each item orders on the primary lane into each node: an order raises the position of its node
and leaves the positions of the nodes above as they are. What is left in common is the stock that
orders leave from and the shared resources (`optrl.decomposition.allocation`). It is the program of
`cost_to_go` with a horizon of one period, on primary lanes, and costs one pass over the items in
place of a linear program.

What resources cost later belongs to what a unit is worth where it will be: at `later` prices of
resources beyond this period stock keeps at a node, as a toll, what the way there will cost, and a
unit of demand met saves that much less.

Demand expected in the period is served first: what it takes of stock and of resources on serving
lanes is set aside. What arrives within the period on a lane without lead time is not shipped on in
the same period.

Everything that does not depend on the state is worked out once and kept while demand, calendar and
later prices last. Arrays are laid out as the simulator's: nodes first, then items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, NodeKind

from optrl.decomposition.allocation.curves import Curves
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.terms import UNGROUPED, Terms
from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.learned_worth import LearnedWorth
from optrl.policies.levels import mean_rate
from optrl.policies.position_values import PositionValues, Shape
from optrl.policies.sourcing import NOWHERE
from optrl.policies.stage_capacity import StageCapacity, ordering_lanes
from optrl.stages.stage_problem import StageState


def not_separable(instance: Instance) -> tuple[str, ...]:
    """What couples the orders of a period otherwise than stock and resources do; empty if nothing.

    Each reason is complete by itself. Where there is one the stage problem needs a program.
    """
    network, found = instance.network, []
    if (network.joint_fixed_cost > 0).any():
        u, v = network.lanes[int(np.argmax(network.joint_fixed_cost > 0))]
        found.append(f"lane {u}->{v} has a joint fixed cost")
    if (network.service_level > 0).any():
        found.append("service levels count over the whole horizon")
    return tuple(found)


def has_several_ways(instance: Instance) -> bool:
    """Whether an item reaches a node over several lanes; the separable problem has the primary."""
    network = instance.network
    usable = network.allowed & (network.maximum_quantity > 0)
    into = np.zeros((len(network.nodes), len(network.lanes)))
    into[network.destination, np.arange(len(network.lanes))] = 1.0
    return bool((usable @ into.T > 1).any())


@dataclass(frozen=True)
class _Demand:
    """What is known of the demand that positions must cover, and when lanes open."""

    waiting_time: IntArray
    mean: FloatArray
    variance: FloatArray
    total: FloatArray

    def same(self, other: _Demand) -> bool:
        """Whether curves of the other serve here too."""
        names = ("waiting_time", "mean", "variance", "total")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)


@dataclass(frozen=True)
class _Kept:
    """What a period's problems share, whatever the state.

    Attributes:
        period: Absolute period.
        demand: What it was made for.
        later: Prices that it was made for, shape (R,).
        terms: Of the allocation.
        expected: Demand expected in the period, shape (N, D).
        owed: The same by the node that serves it, shape (M, N).
        largest: Largest quantities, shape (J,).
        capacity: Of the resources, shape (R,).
    """

    period: int
    demand: _Demand
    later: FloatArray
    terms: Terms
    expected: FloatArray
    owed: FloatArray
    largest: FloatArray
    capacity: FloatArray


class PositionStage:
    """Builds the allocation of a state and period.

    Columns are first the orders, J of them, one for each item and node that it needs, node after
    node, and then what nodes keep for their own demand where they supply others too.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        shape: What was learned about values of positions; the rule's own when None.
        worth: What was learned about them by item; nothing when None.

    Attributes:
        item: Item of each order, shape (J,).
        lane: Its lane, shape (J,).
        place: Its lane among the replenishment lanes, shape (J,).
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        shape: Shape | None = None,
        worth: LearnedWorth | None = None,
    ) -> None:
        """See the class."""
        self.instance, self._demand = instance, demand
        values = self._values = PositionValues(instance, demand, 1, shape)
        sourcing = self.sourcing = values.sourcing
        network = self._network = instance.network
        self._node, self.item = np.nonzero(values.far.T)
        self.lane = sourcing.lane[self.item, self._node]
        self.place: IntArray = np.searchsorted(network.replenishment_lanes, self.lane)
        self._parent = sourcing.parent[self.item, self._node]
        feeding = np.zeros(sourcing.parent.shape, dtype=bool)
        fed_item, fed_node = np.nonzero(sourcing.parent != NOWHERE)
        feeding[fed_item, sourcing.parent[fed_item, fed_node]] = True
        upstream = np.zeros(sourcing.parent.shape, dtype=bool)
        stocked = self._parent != NOWHERE
        upstream[self.item[stocked], self._parent[stocked]] = True
        self._keeper = np.nonzero(upstream & sourcing.owns.any(axis=1))
        learned = LearnedWorth() if worth is None else worth
        self._shortage, self._overage = learned.applied(values.shortage, values.overage, feeding)
        self._rate = mean_rate(demand, instance.start, instance.horizon)
        self._arriving = sourcing.arriving[self.item, self._node]
        self._limits = StageCapacity(network, sourcing, self._rate)
        self._below = _echelon_pairs(values.echelons)
        self._use = self._resource_use()
        self._setup = self._setup_time()
        self._most = network.maximum_quantity[self.item, self.lane]
        self._last: _Kept | None = None
        self._set_groups()

    def allocation(
        self,
        state: StageState,
        period: int,
        later: FloatArray | None = None,
        *,
        margin: float = 1.0,
    ) -> Allocation:
        """The problem of a state.

        Args:
            state: What the decision sees, on the instance's own network.
            period: Absolute period.
            later: What resources are worth beyond the period, shape (R,); nothing when None.
            margin: Share of capacities that may be used.
        """
        network, sourcing = self._network, self.sourcing
        kept = self._prepared(period, np.zeros(len(network.resources)) if later is None else later)
        owed, asked = kept.owed, kept.expected
        waiting = state.backlog[:, sourcing.demand_nodes]
        if waiting.any():
            owed = owed + np.einsum("nd,ndm->mn", waiting, sourcing.owns)
            asked = asked + waiting
        on_hand = state.on_hand.T[sourcing.stocking]
        # Without backorders what cannot be served is gone, and takes nothing off the position.
        served = np.minimum(on_hand, owed) if network.unmet == "lost" else owed
        position = on_hand - served
        for k in range(state.due.shape[2]):
            position += state.due[:, :, k].T[sourcing.stocking]
        echelon = np.zeros_like(position)
        for upper, lower, inside in self._below:
            echelon[upper] += position[lower] if inside is None else position[lower] * inside
        raised = echelon.ravel()[self._node * len(network.items) + self.item] / self._arriving
        spare = np.maximum(on_hand - owed, 0.0)[self._group_node, self._group_item]
        return Allocation(
            kept.terms,
            position=self._pad(raised),
            capacity=margin * self._limits.left(kept.capacity, asked, position),
            largest=kept.largest,
            stock=np.where(self._group_stocked, spare, self._group_supply),
        )

    def orders(self, quantity: FloatArray) -> FloatArray:
        """Quantities of an allocation on the instance's replenishment lanes, shape (N, lanes)."""
        network = self._network
        order = np.zeros((len(network.replenishment_lanes), len(network.items)))
        order[self.place, self.item] = quantity[: len(self.item)]
        return order.T

    def _pad(self, values: FloatArray, last: float = 0.0) -> FloatArray:
        """Values of orders (J, ...) followed by those of what nodes keep."""
        kept = len(self._keeper[0])
        if not kept:
            return values
        return np.concatenate([values, np.full((kept, *values.shape[1:]), last)])

    def _prepared(self, period: int, later: FloatArray) -> _Kept:
        """What the period's problems share; most of it that of the last period, while it lasts."""
        last = self._last
        same_prices = last is not None and np.array_equal(last.later, later)
        if last is not None and same_prices and last.period == period:
            return last
        demand = self._known_demand(period)
        if last is not None and same_prices and last.demand.same(demand):
            terms = last.terms
        else:
            terms = self._terms(period, self._tolls(later))
        expected = demand.mean[:, :, 0]
        opens = self._network.open_periods(period, 1)[:, 0]
        self._last = _Kept(
            period,
            demand,
            later.copy(),
            terms,
            expected,
            np.einsum("nd,ndm->mn", expected, self.sourcing.owns),
            self._pad(np.where(opens[self.lane], self._most, 0.0), np.inf),
            self._limits.at(period),
        )
        return self._last

    def _known_demand(self, period: int) -> _Demand:
        """Moments of demand over the longest window that a position must cover."""
        sourcing, model = self.sourcing, self._demand
        wait = sourcing.waiting_time(period)
        reach = np.maximum(sourcing.below, 0) + (sourcing.lead_time + wait)[:, None, :]
        longest = max(1, int(reach.max(initial=1)))
        everything = np.ones((len(self._rate), self._rate.shape[1], 1))
        return _Demand(
            wait,
            model.mean(period, longest),
            model.variance(period, longest),
            model.total_variance(everything, period, longest),
        )

    def _terms(self, period: int, toll: FloatArray) -> Terms:
        network, item, lane = self._network, self.item, self.lane
        return Terms(
            curves=self._curves(period, toll),
            cost=self._pad(self._unit_cost(toll)),
            use=self._use,
            group=self._group,
            lot=self._pad(network.lot_size[item, lane]),
            smallest=self._pad(network.minimum_quantity[item, lane]),
            fixed_cost=self._pad(network.fixed_cost[item, lane]),
            setup=self._setup,
            names=tuple(resource.name for resource in network.resources),
        )

    def _tolls(self, prices: FloatArray) -> FloatArray:
        """What the way to each node uses of the resources at prices (R,), shape (N, M)."""
        sourcing = self.sourcing
        step = np.zeros(sourcing.lane.shape)
        step[self.item, self._node] = self._use[: len(self.item)] @ prices
        total = step.copy()
        above, rows = sourcing.parent, np.arange(len(step))[:, None]
        for _ in range(len(sourcing.stocking)):
            total += np.where(above != NOWHERE, step[rows, above], 0.0)
            above = np.where(above != NOWHERE, sourcing.parent[rows, above], NOWHERE)
        return total

    def _unit_cost(self, toll: FloatArray) -> FloatArray:
        """Cost of an order of one unit less what it saves where it leaves, shape (J,)."""
        network, sourcing = self._network, self.sourcing
        item, node, lane = self.item, self._node, self.lane
        landed = np.where(np.isfinite(sourcing.landed_cost), sourcing.landed_cost, 0.0) + toll
        left = np.maximum(self._parent, 0)
        held = network.holding_cost[:, sourcing.stocking][item, left]
        saved = np.where(self._parent != NOWHERE, held - network.discount * landed[item, left], 0.0)
        cost = network.lane_cost[item, lane] + network.purchase_cost[item, lane]
        if network.transit_cost is not None:
            cost = cost + network.transit_cost[item, lane, 0]
        at_node = network.discount * landed[item, node] - self._overage[item, node]
        unit: FloatArray = cost - at_node * self._arriving - saved
        return unit

    def _curves(self, period: int, toll: FloatArray) -> Curves:
        width, worth = (part[:, :, 0] for part in self._values.curves(period))
        item, node = self.item, self._node
        total = self._values.shortage + self._values.overage
        valued = self._shortage * self._met(toll) + self._overage
        scale = np.divide(valued, total, out=np.ones_like(total), where=total > 0)
        width = width[item, node] / self._arriving[:, None]
        slope = worth[item, node] * (scale[item, node] * self._arriving)[:, None]
        own_width, own_slope = self._own(period, width.shape[1])
        return Curves(np.concatenate([width, own_width]), np.concatenate([slope, own_slope]))

    def _met(self, toll: FloatArray) -> FloatArray:
        """Share of what a unit of demand met saves that tolls leave, shape (N, M)."""
        sourcing = self.sourcing
        if self._network.unmet != "lost" or not toll.any():
            return np.ones(toll.shape)
        owner = np.maximum(sourcing.owner, 0)
        paid = np.take_along_axis(toll, owner, axis=1) * (sourcing.owner != NOWHERE)
        weight = (self._rate + 1e-12)[:, :, None] * sourcing.supplies
        total = np.maximum(weight.sum(axis=1), 1e-300)
        paid = np.einsum("ndm,nd->nm", weight, paid) / total
        saved = self._values.underage
        left = np.divide(saved - paid, saved, out=np.ones_like(saved), where=saved > 0)
        met: FloatArray = np.clip(left, 0.0, 1.0)
        return met

    def _own(self, period: int, segments: int) -> tuple[FloatArray, FloatArray]:
        """Curves of stock kept for a node's own demand, shape (keepers, segments)."""
        item, node = self._keeper
        width, slope = np.zeros((len(item), segments)), np.zeros((len(item), segments))
        if not len(item):
            return width, slope
        places = np.arange(len(self._network.nodes))
        for value in self._values.at(period, places, len(places)):
            if value.transit_nodes.any():
                continue
            place = int(np.argmax(value.on_hand_nodes.any(axis=0)))
            mine = self.sourcing.stocking[node] == place
            count = value.width.shape[2]
            width[mine, :count] = value.width[item[mine], 0]
            slope[mine, :count] = value.marginal_value[item[mine], 0]
        return width, slope

    def _resource_use(self) -> FloatArray:
        network = self._network
        use = np.zeros((len(self.item) + len(self._keeper[0]), len(network.resources)))
        for r, resource in enumerate(network.resources):
            inside = np.isin(self.lane, ordering_lanes(network, resource))
            use[: len(self.item), r] = resource.use[self.item] * inside
        return use

    def _setup_time(self) -> FloatArray:
        network = self._network
        setup = np.zeros((len(self.item), len(network.resources)))
        for r, resource in enumerate(network.resources):
            if resource.takes_setup_time:
                inside = np.isin(self.lane, network.lanes_of(resource))
                setup[:, r] = network.setup_time[self.item, self.lane] * inside
        return self._pad(setup)

    def _set_groups(self) -> None:
        """Stock at stocking nodes, and what limited suppliers release, by item."""
        network, sourcing = self._network, self.sourcing
        origin = network.origin[self.lane]
        supply = network.supply_capacity[self.item, origin]
        limited = (self._parent != NOWHERE) | np.isfinite(supply)
        keeper_item, keeper_node = self._keeper
        item = np.concatenate([self.item, keeper_item])
        node = np.concatenate([origin, sourcing.stocking[keeper_node]])
        inside = np.concatenate([limited, np.ones(len(keeper_item), dtype=bool)])
        code = node * len(network.items) + item
        distinct, group = np.unique(code[inside], return_inverse=True)
        self._group: IntArray = np.full(len(code), UNGROUPED)
        self._group[inside] = group
        place, self._group_item = np.divmod(distinct, len(network.items))
        self._group_stocked = network.kind[place] == NodeKind.STOCKING
        self._group_supply = np.where(
            self._group_stocked, 0.0, network.supply_capacity[self._group_item, place]
        )
        self._group_node = np.searchsorted(sourcing.stocking, place)
        self._group_node[~self._group_stocked] = 0


def _echelon_pairs(echelons: BoolArray) -> list[tuple[int, int, FloatArray | None]]:
    """Nodes and those in their echelons, with the items of which that is so, None for all.

    Args:
        echelons: Whether a node is in the echelon of another, shape (N, M, M).
    """
    pairs: list[tuple[int, int, FloatArray | None]] = []
    for upper, lower in np.argwhere(echelons.any(axis=0)).tolist():
        inside = echelons[:, upper, lower]
        pairs.append((upper, lower, None if inside.all() else inside.astype(float)))
    return pairs
