"""The stage problem of one period with values of positions, as an allocation of scarce capacity.

With the values of `optrl.policies.position_values` the problem of a single period falls apart into
what each item orders on the primary lane into each node: an order raises the position of its node
and leaves the positions of the nodes above as they are. What is left in common is the stock that
orders leave from and the shared resources (`optrl.decomposition.allocation`). It is the program of
`cost_to_go` with a horizon of one period, on primary lanes, and costs one pass over the items in
place of a linear program.

What resources cost later belongs to what a unit is worth where it will be: with `tolls`, prices of
resources beyond this period, stock keeps at a node what the way there will cost, and a unit of
demand met saves that much less.

Demand expected in the period is served first: what it takes of stock and of resources on serving
lanes is set aside. What arrives within the period on a lane without lead time is not shipped on in
the same period. Storage follows random demand, so that no order controls it: what is expected to be
there when an order arrives is kept within its capacity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, NodeKind, Resource

from optrl.decomposition.allocation.problem import UNGROUPED, Allocation, Curves
from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.levels import mean_rate
from optrl.policies.position_values import PositionValues, Shape
from optrl.policies.sourcing import NOWHERE
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
class _Curves:
    """Curves of a period, and the demand and tolls that they were made for."""

    mean: FloatArray
    variance: FloatArray
    tolls: FloatArray
    curves: Curves


class PositionStage:
    """Builds the allocation of a state and period.

    Columns are first the orders, J of them, one for each item and node that it needs, and then
    what nodes keep for their own demand where they supply others too.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        shape: What was learned about values of positions; the rule's own when None.

    Attributes:
        item: Item of each order, shape (J,).
        lane: Its lane, shape (J,).
        place: Its lane among the replenishment lanes, shape (J,).
    """

    def __init__(self, instance: Instance, demand: DemandModel, shape: Shape | None = None) -> None:
        """See the class."""
        self.instance, self._demand = instance, demand
        self._values = PositionValues(instance, demand, 1, shape)
        sourcing = self.sourcing = self._values.sourcing
        network = self._network = instance.network
        self.item, self._node = np.nonzero(self._values.far)
        self.lane = sourcing.lane[self.item, self._node]
        self.place: IntArray = np.searchsorted(network.replenishment_lanes, self.lane)
        self._parent = sourcing.parent[self.item, self._node]
        upstream = np.zeros(sourcing.parent.shape, dtype=bool)
        stocked = self._parent != NOWHERE
        upstream[self.item[stocked], self._parent[stocked]] = True
        self._keeper = np.nonzero(upstream & sourcing.owns.any(axis=1))
        self._rate = mean_rate(demand, instance.start, instance.horizon)
        self._arriving = sourcing.arriving[self.item, self._node]
        self._use = self._resource_use()
        self._last: _Curves | None = None
        self._set_groups()

    def tolls(self, prices: FloatArray) -> FloatArray:
        """What the way to each node uses of the resources at prices (R,), shape (N, M)."""
        sourcing = self.sourcing
        orders = len(self.item)
        step = np.zeros(sourcing.lane.shape)
        step[self.item, self._node] = self._use[:orders] @ prices
        total = step.copy()
        above, rows = sourcing.parent, np.arange(len(step))[:, None]
        for _ in range(len(sourcing.stocking)):
            total += np.where(above != NOWHERE, step[rows, above], 0.0)
            above = np.where(above != NOWHERE, sourcing.parent[rows, above], NOWHERE)
        return total

    def allocation(
        self,
        state: StageState,
        period: int,
        tolls: FloatArray | None = None,
        *,
        margin: float = 1.0,
    ) -> Allocation:
        """The problem of a state.

        Args:
            state: What the decision sees, on the instance's own network.
            period: Absolute period.
            tolls: See `tolls`; none when None.
            margin: Share of capacities that may be used.
        """
        network, sourcing = self._network, self.sourcing
        toll = np.zeros(sourcing.lane.shape) if tolls is None else tolls
        mean = self._demand.mean(period, 1)[:, :, 0]
        waiting = state.backlog[:, sourcing.demand_nodes]
        owed = np.einsum("nd,ndm->nm", mean + waiting, sourcing.owns)
        on_hand = state.on_hand[:, sourcing.stocking]
        # Without backorders what cannot be served is gone, and takes nothing off the position.
        served = np.minimum(on_hand, owed) if network.unmet == "lost" else owed
        position = on_hand - served + state.due[:, sourcing.stocking].sum(axis=2)
        echelon = np.einsum("nv,nmv->nm", position, self._values.echelons)
        kept = len(self._keeper[0])
        orders, item, node = len(self.item), self.item, self._node
        is_open = network.open_periods(period, 1)[self.lane, 0]
        largest = np.where(is_open, network.maximum_quantity[item, self.lane], 0.0)
        spare = np.maximum(on_hand - owed, 0.0)
        stock = np.where(
            self._group_stocked,
            spare[self._group_item, np.maximum(self._group_node, 0)],
            self._group_supply,
        )

        def pad(values: FloatArray, last: float = 0.0) -> FloatArray:
            return np.concatenate([values, np.full((kept, *values.shape[1:]), last)])

        setup = np.zeros((orders, len(network.resources)))
        for r, resource in enumerate(network.resources):
            if resource.takes_setup_time:
                inside = np.isin(self.lane, network.lanes_of(resource))
                setup[:, r] = network.setup_time[item, self.lane] * inside
        return Allocation(
            curves=self._curves(period, toll),
            position=pad(echelon[item, node] / self._arriving),
            cost=pad(self._unit_cost(toll)),
            use=self._use,
            capacity=margin * self._capacity(period, mean + waiting, position),
            largest=pad(largest, np.inf),
            group=self._group,
            stock=stock,
            lot=pad(network.lot_size[item, self.lane]),
            smallest=pad(network.minimum_quantity[item, self.lane]),
            fixed_cost=pad(network.fixed_cost[item, self.lane]),
            setup=pad(setup),
            names=tuple(resource.name for resource in network.resources),
        )

    def orders(self, quantity: FloatArray) -> FloatArray:
        """Quantities of an allocation on the instance's replenishment lanes, shape (N, lanes)."""
        network = self._network
        order = np.zeros((len(network.items), len(network.replenishment_lanes)))
        order[self.item, self.place] = quantity[: len(self.item)]
        return order

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
        at_node = network.discount * landed[item, node] - self._values.overage[item, node]
        unit: FloatArray = cost - at_node * self._arriving - saved
        return unit

    def _curves(self, period: int, toll: FloatArray) -> Curves:
        window = self._values.covered(period)
        last = self._last
        if (
            last is not None
            and np.array_equal(last.mean, window.mean)
            and np.array_equal(last.variance, window.variance)
            and np.array_equal(last.tolls, toll)
        ):
            return last.curves
        width, worth = (part[:, :, 0] for part in self._values.curves(period))
        item, node = self.item, self._node
        total = self._values.shortage + self._values.overage
        valued = self._values.shortage * self._met(toll) + self._values.overage
        scale = np.divide(valued, total, out=np.ones_like(total), where=total > 0)
        width = width[item, node] / self._arriving[:, None]
        slope = worth[item, node] * (scale[item, node] * self._arriving)[:, None]
        own_width, own_slope = self._own(period, width.shape[1])
        curves = Curves(np.concatenate([width, own_width]), np.concatenate([slope, own_slope]))
        self._last = _Curves(window.mean, window.variance, toll.copy(), curves)
        return curves

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
            inside = np.isin(self.lane, self._lanes(resource))
            use[: len(self.item), r] = resource.use[self.item] * inside
        return use

    def _lanes(self, resource: Resource) -> IntArray:
        """Lanes whose orders a resource limits: for storage those that arrive there."""
        if resource.kind == "storage":
            return np.flatnonzero(self._network.destination == resource.node)
        return self._network.lanes_of(resource)

    def _capacity(self, period: int, asked: FloatArray, position: FloatArray) -> FloatArray:
        """Capacities less what is taken of them without orders of the period, shape (R,).

        Serving expected demand takes its part; of storage, what is expected there on arrival.

        Args:
            period: Absolute period.
            asked: Expected demand and backlog, shape (N, D).
            position: Stock and pipeline after the period's demand, shape (N, M).
        """
        network, sourcing = self._network, self.sourcing
        capacity = np.array([r.capacity_at(max(period, 0), 1)[0] for r in network.resources])
        customers = network.kind[sourcing.demand_nodes] == NodeKind.CUSTOMER
        passing = np.einsum("nd,ndm->nm", self._rate, sourcing.supplies)
        for r, resource in enumerate(network.resources):
            lanes = network.lanes_of(resource)
            if resource.kind == "storage" and resource.node is not None:
                m = int(np.searchsorted(sourcing.stocking, resource.node))
                there = position[:, m] - np.maximum(sourcing.lead_time[:, m], 0) * passing[:, m]
                capacity[r] -= float(resource.use @ np.maximum(there, 0.0))
            for lane in lanes[np.isin(lanes, network.serving_lanes)].tolist():
                at = np.flatnonzero(
                    customers & (sourcing.demand_nodes == network.destination[lane])
                )
                owner = np.where(
                    sourcing.owner[:, at] != NOWHERE, sourcing.stocking[sourcing.owner[:, at]], -1
                )
                mine = owner == network.origin[lane]
                capacity[r] -= float(resource.use @ (asked[:, at] * mine).sum(axis=1))
        rest: FloatArray = np.maximum(capacity, 0.0)
        return rest

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
        code = item * len(network.nodes) + node
        distinct, group = np.unique(code[inside], return_inverse=True)
        self._group: IntArray = np.full(len(code), UNGROUPED)
        self._group[inside] = group
        self._group_item, place = np.divmod(distinct, len(network.nodes))
        self._group_stocked = network.kind[place] == NodeKind.STOCKING
        self._group_supply = np.where(
            self._group_stocked, 0.0, network.supply_capacity[self._group_item, place]
        )
        self._group_node = np.searchsorted(sourcing.stocking, place)
        self._group_node[~self._group_stocked] = 0
