"""The order of events in a period, batched over scenarios and items.

The events are those of `optrl.simulation.state`. A step starts from the state a decision sees
and ends with the arrivals of the next period, so that the next state is again what a decision
sees. It never changes the state it is given.

Memory is graph-first: (nodes or lanes, S, N), contiguous for each node and lane. With gradients
on, everything is out of place and differentiable almost everywhere; rounding to lots, minimum
quantities and fixed costs have gradient zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from optrl_formulations.network import IntArray, NodeKind
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.arrivals import ArrivalDraws, Arrivals, Underway
from optrl.simulation.costs import CostRates
from optrl.simulation.errors import SimulationError
from optrl.simulation.feasibility import UNLIMITED, Cuts
from optrl.simulation.features import Features
from optrl.simulation.fulfilment import Fulfilment
from optrl.simulation.network_state import NetworkState, Places, Shipment
from optrl.simulation.replenishment import Replenishment
from optrl.simulation.resources import Capacities, LaneResources
from optrl.simulation.rows import Rows, by_scenario, graph_first
from optrl.simulation.state import Decision


@dataclass(frozen=True)
class PeriodOutcome:
    """What happened in a period; graph-first tensors (rows, S, N) and sums over items (S,).

    Attributes:
        released: On replenishment lanes.
        served: Over serving lanes.
        sold: Demand and backlog served, by demand node.
        short: Demand lost in the period, or waiting at its end, by demand node.
        late: Demand of the period not met in it, by demand node.
        on_hand: Stock at the end, by stocking node.
        cost: Money by kind, not discounted.
        totals: Sums over items and nodes: demand, sold, unmet, demanding and short (number of item
            and node pairs with demand, with unmet demand), sold_value, stock, stock_value, lost
            (on lanes with profiles).
        cut: Quantity of the decision cut, by reason.
        resource_use: Use of each resource, shape (S, R).
        capacity: Capacity of each resource, shape (R,).
    """

    released: Tensor
    served: Tensor
    sold: Tensor
    short: Tensor
    late: Tensor
    on_hand: Tensor
    cost: dict[str, Tensor]
    totals: dict[str, Tensor]
    cut: dict[str, Tensor]
    resource_use: Tensor
    capacity: Tensor


class Dynamics:
    """The simulator of one instance; immutable after construction.

    Args:
        instance: The instance.
        dtype: torch.float32 or torch.float64.
        items: Items to simulate; anything but all needs `couples_items` to be false.
        features: What the network uses, where it is known already.

    Raises:
        SimulationError: If backlog stands where no demand does, a profile is on a serving lane,
            or lanes that deliver at once form a cycle.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        dtype: torch.dtype = torch.float32,
        items: slice = slice(None),
        features: Features | None = None,
    ) -> None:
        network = instance.network
        if features is None:
            features = Features.of(network)
        _check(instance)
        self.instance = instance
        self.dtype = dtype
        self.items = items
        self._item_numbers = torch.arange(len(network.items))[items]
        self._backorder = network.unmet == "backorder"
        stocking: IntArray = np.flatnonzero(network.kind == NodeKind.STOCKING)
        nodes = len(network.nodes)
        self.stocking = Rows(stocking, nodes)
        self.demand = Rows(instance.demand.nodes, nodes)
        arrivals = Arrivals(instance.arrivals, dtype)
        lanes = network.replenishment_lanes
        fixed = np.setdiff1d(lanes, arrivals.lanes)
        longest = max(int(network.lead_time[fixed].max(initial=0)), arrivals.longest)
        to_node = network.destination[lanes]
        self._random = Rows(np.searchsorted(lanes, arrivals.lanes), len(lanes))
        self.places = Places(
            self.stocking,
            self.demand,
            Rows(to_node[self._random.index], nodes),
            arrivals,
            max(longest, instance.due.shape[2]),
        )
        self._capacities = (
            Capacities(network, items, dtype, features) if network.resources else None
        )
        suppliers: IntArray = np.flatnonzero(network.kind == NodeKind.SUPPLIER)
        if not features.supply:
            suppliers = suppliers[:0]
        supply = network.supply_capacity[items][:, suppliers]
        limited = torch.from_numpy(np.minimum(supply, UNLIMITED).T.copy()).to(dtype)
        self._supply = limited[:, None] if len(suppliers) else None
        self._replenishment = Replenishment(
            network, stocking, suppliers, self._capacities, arrivals, items, dtype, features
        )
        self._fulfilment = Fulfilment(
            network,
            instance.demand.nodes,
            stocking,
            suppliers,
            self._capacities,
            items,
            dtype,
            features,
        )
        self._costs = CostRates(network, stocking, instance.demand.nodes, items, dtype, features)
        # Lanes of one lead time, with their destinations among all nodes.
        self._groups: list[tuple[int, Rows, Rows]] = []
        for lead in np.unique(network.lead_time[fixed]):
            if lead > 0:
                some = np.flatnonzero((network.lead_time[lanes] == lead) & np.isin(lanes, fixed))
                members, targets = Rows(some, len(lanes)), Rows(to_node[some], nodes)
                self._groups.append((int(lead), members, targets))
        self._storage: Tensor | None = None
        if self._capacities is not None and len(self._capacities.storage):
            member = np.zeros((len(stocking), len(network.resources)))
            for r in self._capacities.storage:
                node = network.resources[r].node
                member[:, r] = stocking == node
            self._storage = torch.from_numpy(member).to(dtype)
        self._lane_resources = LaneResources(self._capacities, lanes) if self._capacities else None

    @staticmethod
    def couples_items(instance: Instance) -> bool:
        """Whether resources or joint fixed costs keep items from being simulated apart."""
        network = instance.network
        return bool(network.resources) or bool((network.joint_fixed_cost > 0).any())

    def initial_state(self, scenarios: int) -> NetworkState:
        """The instance's own state at `Instance.start`, for each of `scenarios`."""
        instance = self.instance
        everywhere = Rows(np.arange(self.stocking.size), self.stocking.size)

        def tensor(x: np.ndarray, nodes: IntArray) -> Tensor:
            rows = torch.from_numpy(np.ascontiguousarray(x[self.items][:, nodes].T))
            return rows.to(self.dtype)[:, None].expand(-1, scenarios, -1).contiguous()

        slots: list[tuple[Shipment, ...]] = [()] * self.places.longest
        stock = self.stocking.spread(tensor(instance.on_hand, self.stocking.index))
        moving = torch.zeros_like(stock)
        for k in range(instance.due.shape[2]):
            due = tensor(instance.due[:, :, k], everywhere.index)
            slots[k] = (Shipment(everywhere, due),)
            moving = moving + due
        waiting = tensor(instance.backlog, self.demand.index) if self._backorder else None
        return NetworkState(
            self.places,
            instance.start,
            stock,
            moving,
            waiting,
            tuple(slots),
            (),
        )

    def draws(self, seed: int, first: int, scenarios: int) -> ArrivalDraws:
        """Random numbers of arrivals for scenarios first, ..., first + scenarios - 1."""
        return ArrivalDraws(seed, torch.arange(first, first + scenarios), self._item_numbers)

    def step(
        self, state: NetworkState, decision: Decision, demand: Tensor, draws: ArrivalDraws
    ) -> tuple[NetworkState, PeriodOutcome]:
        """Carry out one period.

        Args:
            state: What the decision saw.
            decision: What to release and, if given, how much to serve over each lane.
            demand: Demand of the period, graph-first, shape (D, S, N).
            draws: Random numbers of arrivals.

        Returns:
            The state that the next decision sees, and what happened.
        """
        cuts = Cuts()
        period = state.period
        capacity = None if self._capacities is None else self._capacities.at(period)
        arrivals = self.places.arrivals
        drawn = arrivals.draw(period, draws) if len(arrivals) else None
        supply = None
        if self._supply is not None:
            supply = self._supply.expand(-1, *demand.shape[1:]).clone()
        release = self._replenishment.release(
            self._lanes(decision.order, "order"),
            self.stocking.take(state.stock),
            supply,
            capacity,
            drawn,
            period,
            cuts,
        )

        need = demand if state.waiting is None else demand + state.waiting
        at_most = None
        if decision.serve is not None:
            at_most = self._lanes(decision.serve, "serve").clamp(min=0)
        served, sold, short, stock = self._fulfilment.serve_(
            need, release.stock, release.supply, release.left, at_most, period
        )
        late = short if state.waiting is None else torch.minimum(short, demand)

        cost = self._costs.flows(release.released, served) | self._costs.shortage(short)
        sums = self._costs.stock(stock)
        if "holding" in sums:
            cost["holding"] = sums.pop("holding")
        with torch.no_grad():
            totals = (
                sums
                | self._costs.sold(sold)
                | {
                    "stock": by_scenario(stock),
                    "demand": by_scenario(demand),
                    "sold": by_scenario(sold),
                    "unmet": by_scenario(late),
                    "demanding": by_scenario(demand.sign()),
                    "short": by_scenario(late.sign()),
                }
            )
        charges = self._costs.transit(release.released, state.charges)
        if charges:
            cost["transit"] = charges[0]
        use, capacity, overflow = self._resources(release.released, served, stock, capacity)
        if overflow is not None:
            cost["overflow"] = overflow
        orders = None
        if drawn is not None:
            orders = Underway(self._random.take(release.released), drawn)
            totals["lost"] = by_scenario(arrivals.lost(orders).detach())
        following = self._arrive(state, stock, release.released, orders, short)
        if charges:
            following = replace(following, charges=charges[1:])
        return following, PeriodOutcome(
            release.released,
            served,
            sold,
            short,
            late,
            stock,
            cost,
            totals,
            cuts.by_reason,
            use,
            capacity,
        )

    def terminal_value(self, state: NetworkState) -> Tensor:
        """Value of what is left in stock and on the way in `state`, shape (S,)."""
        return self._costs.terminal(self.stocking.take(state.stock + state.pipeline))

    def _lanes(self, quantity: Tensor, what: str) -> Tensor:
        network = self.instance.network
        lanes = network.replenishment_lanes if what == "order" else network.serving_lanes
        if quantity.ndim != 3 or quantity.shape[2] != len(lanes):
            raise SimulationError(
                f"Decision.{what} has shape {tuple(quantity.shape)}; its last dimension must be "
                f"the {len(lanes)} lanes it decides on"
            )
        return graph_first(quantity.to(self.dtype))

    def _resources(
        self, released: Tensor, served: Tensor, stock: Tensor, capacity: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        if self._capacities is None or capacity is None or self._lane_resources is None:
            empty = stock.new_zeros(stock.shape[1], 0)
            return empty, stock.new_zeros(0), None
        use = self._lane_resources.use(released)
        if len(self.instance.network.serving_lanes):
            use = use + self._fulfilment.resource_use(served)
        if self._storage is None:
            return use, capacity, None
        use = use + self._capacities.weigh(stock, self._storage)
        above = (use - capacity).clamp(min=0) * self._storage.any(0)
        return use, capacity, above @ self._capacities.overflow_cost

    def _arrive(
        self,
        state: NetworkState,
        stock: Tensor,
        released: Tensor,
        orders: Underway | None,
        short: Tensor,
    ) -> NetworkState:
        """Put what was released on the way and let the next period's arrivals in."""
        slots = [*state.slots, ()]
        moving, stock = state.moving.clone(), self.stocking.spread(stock)
        for lead, lanes, targets in self._groups:
            shipment = Shipment(targets, lanes.take(released).expand(len(lanes), *stock.shape[1:]))
            slots[lead - 1] = (*slots[lead - 1], shipment)
            moving = targets.add_(moving, shipment.quantity)
        for shipment in slots[0]:
            stock = shipment.nodes.add_(stock, shipment.quantity)
            moving = shipment.nodes.add_(moving, shipment.quantity, sign=-1)
        underway: tuple[Underway, ...] = ()
        if orders is not None:
            arrivals = self.places.arrivals
            underway = (orders, *state.underway)[: arrivals.longest]
            for position, past in enumerate(underway):
                arrived = arrivals.arriving(past, position + 1)
                stock = self.places.random.add_(stock, arrived)
        return NetworkState(
            self.places,
            state.period + 1,
            stock,
            moving,
            short if self._backorder else None,
            tuple(slots[1:]) if self.places.longest else (),
            underway,
        )


def _check(instance: Instance) -> None:
    network = instance.network
    if network.unmet == "backorder":
        waiting = np.flatnonzero(instance.backlog.any(axis=0))
        nowhere = np.setdiff1d(waiting, instance.demand.nodes)
        if len(nowhere):
            raise SimulationError(
                f"node {network.nodes[nowhere[0]]!r} has backlog but is no demand node; give it "
                "demand (zero will do) or clear its backlog"
            )
    wrong = np.setdiff1d([p.lane for p in instance.arrivals], network.replenishment_lanes)
    if len(wrong):
        raise SimulationError(
            f"lane {' -> '.join(network.lanes[int(wrong[0])])} serves a customer and cannot have "
            "an arrival profile; put it on a lane into a stocking node"
        )
