"""What inventory positions are worth where orders arrive beyond the end of a short program.

A program of H periods does not see what an order of a lead time of H or more is good for. What such
an order does is known all the same: released in period t, it raises the position of its node (stock
and pipeline there and below) and so serves the demand of the periods t, ..., t + L + R - 1 that the
order must cover. Charging period t with the expected cost that this demand D causes,

    h (x - E D) + (h + b) E (D - x)^+      for a position x after ordering,

is the accounting under which base-stock levels are optimal (Clark & Scarf 1960: costs of period t +
L are known in t, up to an expectation). Here the second term, counted as a value of the position at
the end of each of the H periods, is a concave piecewise-linear function, so that a network flow
stays one; the first is a cost of stock on the way beside the holding cost of stock at hand. The
program then weighs positions of all items and nodes against capacities, and moves stock for the
periods that it sees. What is left at the end keeps its landed cost.

The shape in standard deviations of D is shared by all items; `Shape` holds what may be learned: how
much a unit short counts beside the rule's own penalty (`critical_ratio`), for positions and for
stock that the program sees.

Source: Clark & Scarf (1960), Optimal policies for a multi-echelon inventory problem, Management
Science 6(4); Axsäter, Inventory Control, third edition, chapter 10; separable concave functions in
multi-stage programs: Powell, Ruszczynski & Topaloglu (2004), Mathematics of Operations Research 29.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network
from optrl_formulations.replenishment_data import StockValue

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import WindowDemand, mean_rate
from optrl.policies.safety import SafetyValues
from optrl.policies.sourcing import NOWHERE, Sourcing

# In standard deviations of the demand that a position must cover, from its mean; close where levels
# lie, since a program's positions end at breakpoints.
_BREAKPOINTS = np.concatenate([[-3.0, -2.0, -1.5], np.arange(-1.0, 3.05, 0.2), [3.5, 4.0]])


@dataclass(frozen=True)
class Shape:
    """What multiplies the value of a unit that avoids a shortage; 1 leaves the rule's own.

    Attributes:
        position: Of positions whose orders arrive beyond the program's end.
        stock: Of stock held against forecast error within it (`optrl.policies.safety`).
        overage: Multiplies the cost of a unit too many on the way.
        lead_time: Between 0 and 1: how much less a unit short a period counts at a position of
            long lead time when sales are lost, as a power of the rule's R + L / 2. With 1, the
            rule, items of long lead times come last where capacity is scarce for long; with 0 a
            unit lost counts the same whatever its lead time.
    """

    position: float = 1.0
    stock: float = 1.0
    overage: float = 1.0
    lead_time: float = 1.0

    def __post_init__(self) -> None:
        for name in ("position", "stock", "overage"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise OptrlError(f"{name} is {value}; it must be a positive number")
        if not 0 <= self.lead_time <= 1:
            raise OptrlError(f"lead_time is {self.lead_time}; it must lie between 0 and 1")


class PositionValues:
    """Stock values of an instance for programs of H periods.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        horizon: Periods H of the programs.
        shape: What was learned.
        sourcing: Of the instance, where it is known already.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        horizon: int,
        shape: Shape | None = None,
        sourcing: Sourcing | None = None,
    ) -> None:
        """See the class."""
        self._instance = instance
        self.shape = Shape() if shape is None else shape
        self.horizon = horizon
        self._demand = demand
        self.sourcing = sourcing = Sourcing.of(instance) if sourcing is None else sourcing
        self._safety = SafetyValues(instance, demand, sourcing)
        self._window = WindowDemand(sourcing, demand, "echelon")
        used = sourcing.supplies.any(axis=1) & (sourcing.lane != NOWHERE)
        self.far: BoolArray = used & (2 * (sourcing.lead_time + sourcing.review) > horizon)
        """Whose orders into which stocking nodes cover more than half of it, shape (N, M)."""
        rate = mean_rate(demand, instance.start, instance.horizon)
        costs = UnitCosts.of(sourcing, rate)
        penalty = costs.penalty(costs.echelon_lead_time, sourcing.review)
        if costs.lost:
            cover = sourcing.review + costs.echelon_lead_time / 2
            penalty = penalty * cover ** (1 - self.shape.lead_time)
        wanted = np.maximum(penalty, _least_penalty(costs))
        self.shortage: FloatArray = self.shape.position * wanted
        """What a unit that avoids a shortage of the position saves, shape (N, M)."""
        self.overage: FloatArray = self.shape.overage * costs.overage
        """What a unit too many on the way costs a period, shape (N, M)."""
        self.underage: FloatArray = costs.underage
        """What a unit of demand met saves where it is served, mean over demand, shape (N, M)."""
        self.echelons: BoolArray = _echelons(sourcing)
        """Whether a stocking node is a node or below it on primary lanes, shape (N, M, M)."""

    def believing(self, demand: DemandModel) -> PositionValues:
        """The values for another belief about demand."""
        return PositionValues(self._instance, demand, self.horizon, self.shape, self.sourcing)

    def network(self, network: Network) -> Network:
        """A network of the same items whose costs complete the values.

        Stock on the way to `far` nodes costs what it costs at hand, and everything keeps its
        landed cost at the end.
        """
        sourcing = self.sourcing
        lead = int(network.lead_time.max(initial=0))
        n, lanes = len(network.items), network.replenishment_lanes
        fine = sourcing.network
        place = {fine.nodes[v]: m for m, v in enumerate(sourcing.stocking.tolist())}
        transit = np.zeros((n, len(network.lanes), max(lead, 1)))
        terminal = network.terminal_value.copy()
        for v, name in enumerate(network.nodes):
            if name in place:
                landed = sourcing.landed_cost[:, place[name]]
                terminal[:, v] = np.where(np.isfinite(landed), landed, terminal[:, v])
        for lane in lanes.tolist():
            m = place[network.nodes[network.destination[lane]]]
            cost = np.where(self.far[:, m], self.overage[:, m], 0.0)
            transit[:, lane, : network.lead_time[lane]] = cost[:, None]
        if network.transit_cost is not None:
            longest = max(transit.shape[2], network.transit_cost.shape[2])
            wide = np.zeros((n, len(network.lanes), longest))
            wide[:, :, : transit.shape[2]] = transit
            wide[:, :, : network.transit_cost.shape[2]] += network.transit_cost
            transit = wide
        return replace(network, transit_cost=transit, terminal_value=terminal)

    def at(self, period: int, node: IntArray, nodes: int) -> tuple[StockValue, ...]:
        """Stock values of a program that begins in `period`.

        Args:
            period: Absolute period of the first decision.
            node: Position of each node of the instance in the program's network, shape (V,).
            nodes: Number of nodes of the program's network.
        """
        width, worth = self.curves(period)
        places = node[self.sourcing.stocking]
        values = []
        for value in self._safety.at(period, self.horizon, node, nodes):
            near = value
            if value.transit_nodes.any():
                # An echelon's node is the one that all its pipelines start from.
                top = int(np.argmax((places == _top(value)).astype(int)))
                keep = ~self.far[:, top]
                if not keep.any():
                    continue
                near = replace(value, marginal_value=value.marginal_value * keep[:, None, None])
            values.append(replace(near, marginal_value=near.marginal_value * self.shape.stock))
        for m in np.flatnonzero(self.far.any(axis=0)).tolist():
            members = np.zeros((len(self.far), nodes), dtype=bool)
            item, inside = np.nonzero(self.echelons[:, m] & self.far[:, [m]])
            members[item, places[inside]] = True
            values.append(StockValue(members, members, width[:, m], worth[:, m]))
        return tuple(values)

    def covered(self, period: int) -> TotalDemand:
        """Demand that the position of each node must cover after the orders of a period."""
        return self._window.at(period)

    def curves(self, period: int) -> tuple[FloatArray, FloatArray]:
        """Widths and marginal values of positions, each of shape (N, M, H, segments).

        A position is measured after the period's expected demand has left it.
        """
        n, m = self.far.shape
        segments = len(_BREAKPOINTS)
        width = np.zeros((n, m, self.horizon, segments))
        worth = np.zeros_like(width)
        for offset in range(self.horizon):
            total = self._window.at(period + offset)
            mean = self._demand.mean(period + offset, 1)[:, :, 0]
            present = np.einsum("nd,ndm->nm", mean, self.sourcing.supplies)
            spread = np.sqrt(np.maximum(total.variance, 0.0))
            points = np.maximum(total.mean + _BREAKPOINTS[:, None, None] * spread, present)
            points = np.concatenate([present[None], points])
            short = total.shortage(points)[0]
            step = np.diff(points, axis=0)
            saved = np.maximum(-np.diff(short, axis=0), 0.0)
            slope = np.divide(saved, step, out=np.zeros_like(saved), where=step > 1e-9)
            slope = np.minimum(slope, 1.0)
            falling = np.maximum.accumulate(slope[::-1], axis=0)[::-1]
            slope = falling * (self.shortage + self.overage)
            width[:, :, offset] = np.where(self.far, step, 0.0).transpose(1, 2, 0)
            worth[:, :, offset] = np.where(self.far, slope, 0.0).transpose(1, 2, 0)
        return width, worth


def _least_penalty(costs: UnitCosts) -> FloatArray:
    """Penalty that a service-level target stands for: that whose critical ratio it is."""
    level = np.minimum(costs.target, 0.9999)
    least: FloatArray = costs.overage * level / (1 - level)
    return least


def _echelons(sourcing: Sourcing) -> BoolArray:
    """Whether a stocking node is a node or below it on primary lanes, shape (N, M, M)."""
    n, m = sourcing.parent.shape
    inside = np.zeros((n, m, m), dtype=bool)
    item = np.arange(n)
    for v in range(m):
        ahead = np.full(n, v)
        for _ in range(m):
            live = ahead != NOWHERE
            inside[item[live], ahead[live], v] = True
            ahead = np.where(live, sourcing.parent[item, np.maximum(ahead, 0)], NOWHERE)
    return inside


def _top(value: StockValue) -> int:
    """The node of an echelon: its stock counts and what is on its way to it does not."""
    return int(np.argmax((value.on_hand_nodes & ~value.transit_nodes).any(axis=0)))
