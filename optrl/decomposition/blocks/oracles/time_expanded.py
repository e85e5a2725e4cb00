"""Cheapest ways through a network over time, for many items at once, and flow sent along them.

A unit stands at a stocking node in a period; it is held to the next, or released on a lane and
arrives after its lead time. It ends at a demand of its period, or (waiting demand) of an earlier
one, or as stock when the horizon is over. Every cost is a unit's, so ways are shortest paths: one
sweep over the periods, nodes joined by lanes of lead time 0 in their order.

Shapes: T periods, V nodes, A lanes, S sources, B items. Source 0 is the suppliers, without limit;
the others are stock on hand or due, each at a node and period.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from optrl_formulations.network import FloatArray, IntArray, Network, NodeKind

Choice = NDArray[np.int32]
_NONE, _START, _HOLD = -1, -2, -3


@dataclass(frozen=True)
class Costs:
    """Of a unit of each item, infinite where it cannot go.

    Attributes:
        order: By lane and period of release, shape (A, T, B).
        serve: By lane and period, shape (A, T, B).
        sales: Zero where the item's demand at the node is served from its stock, (V, B).
        hold: By node and period, at the end of which it is held, shape (V, T, B).
        wait: Of a unit unmet, by node and period: for good, or for that period, shape (V, T, B).
    """

    order: FloatArray
    serve: FloatArray
    sales: FloatArray
    hold: FloatArray
    wait: FloatArray


@dataclass(frozen=True)
class Flows:
    """What goes where, shapes as in `Costs`.

    Attributes:
        order: Shape (A, T, B).
        serve: Shape (A, T, B).
        sales: Shape (V, T, B).
        hold: Stock at the end of the period, shape (V, T, B).
        unmet: Shape (V, T, B).
    """

    order: FloatArray
    serve: FloatArray
    sales: FloatArray
    hold: FloatArray
    unmet: FloatArray


@dataclass(frozen=True)
class Ways:
    """Cheapest ways from every source.

    Attributes:
        to_demand: Cost of meeting a unit of the demand of a period, shape (V, T, S, B).
        to_end: Cost of leaving a unit until the horizon is over, shape (S, B).
        unmet: Cost of never meeting a unit of the demand of a period, shape (V, T, B).
        stock: Choices that lead to a node and period, shape (T, V, S, B).
        meeting: Choices that meet demand, shape (V, T, S, B).
        end: Choices that end the horizon, shape (S, B).
    """

    to_demand: FloatArray
    to_end: FloatArray
    unmet: FloatArray
    stock: Choice
    meeting: Choice
    end: Choice


class TimeExpanded:
    """A network over T periods.

    Choices are lane numbers, or one of three marks: nowhere, begins here, held. Those of demand:
    lane, begins here for sales from own stock, held for waiting. Those of the end: lane times T
    plus period of release, or -10 - node for stock of the last period.
    """

    def __init__(self, network: Network, periods: int, sources: IntArray, waits: bool) -> None:
        """Order the nodes.

        Args:
            network: Only its graph is used.
            periods: T.
            sources: Node and period of sources 1, 2, ..., shape (S - 1, 2).
            waits: Whether unmet demand waits.
        """
        self.network, self.periods, self.sources, self.waits = network, periods, sources, waits
        self._stocking = network.kind == NodeKind.STOCKING
        self._supplier = network.kind == NodeKind.SUPPLIER

    @cached_property
    def order(self) -> list[int]:
        """Stocking nodes, origins of lanes of lead time 0 before their destinations."""
        network = self.network
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(np.flatnonzero(self._stocking).tolist())
        for lane in network.replenishment_lanes.tolist():
            origin, destination = int(network.origin[lane]), int(network.destination[lane])
            if network.lead_time[lane] == 0 and self._stocking[origin]:
                graph.add_edge(origin, destination)
        return list(nx.topological_sort(graph))

    @cached_property
    def _into(self) -> dict[int, list[int]]:
        network = self.network
        lanes = range(len(network.lanes))
        return {
            v: [a for a in lanes if network.destination[a] == v] for v in range(len(network.nodes))
        }

    def ways(self, costs: Costs) -> Ways:
        """Find them."""
        network, periods = self.network, self.periods
        nodes, batch = len(network.nodes), costs.hold.shape[2]
        shape = (1 + len(self.sources), batch)
        reach = np.full((periods, nodes, *shape), np.inf)
        choice = np.full(reach.shape, _NONE, dtype=np.int32)
        for s, (node, period) in enumerate(self.sources.tolist(), start=1):
            reach[period, node, s] = 0.0
            choice[period, node, s] = _START
        for t in range(periods):
            for v in self.order:
                if t > 0:
                    _improve(
                        reach[t, v], choice[t, v], reach[t - 1, v] + costs.hold[v, t - 1], _HOLD
                    )
                for a in self._into[v]:
                    release = t - int(network.lead_time[a])
                    if release >= 0:
                        self._by_lane(
                            reach[t, v], choice[t, v], reach, costs.order[a], a, release, a
                        )
        end = np.full(shape, np.inf)
        chosen = np.full(shape, _NONE, dtype=np.int32)
        for v in self.order:
            _improve(end, chosen, reach[-1, v] + costs.hold[v, -1], -10 - v)
        for a in network.replenishment_lanes.tolist():
            for release in range(max(periods - int(network.lead_time[a]), 0), periods):
                self._by_lane(end, chosen, reach, costs.order[a], a, release, a * periods + release)
        to_demand, meeting, unmet = self._demand(costs, reach)
        return Ways(to_demand, end, unmet, choice, meeting, chosen)

    def _by_lane(
        self,
        best: FloatArray,
        choice: Choice,
        reach: FloatArray,
        cost: FloatArray,
        lane: int,
        release: int,
        mark: int,
    ) -> None:
        """Improve by what a lane brings that is released in a period."""
        origin = self.network.origin[lane]
        if self._supplier[origin]:
            _improve(best[:1], choice[:1], cost[None, release], mark)
        else:
            _improve(best, choice, reach[release, origin] + cost[release], mark)

    def _demand(self, costs: Costs, reach: FloatArray) -> tuple[FloatArray, Choice, FloatArray]:
        network, periods = self.network, self.periods
        best = np.full((len(network.nodes), periods, *reach.shape[2:]), np.inf)
        choice = np.full(best.shape, _NONE, dtype=np.int32)
        unmet = costs.wait.copy()
        for t in reversed(range(periods)):
            for v in range(len(network.nodes)):
                if self._stocking[v]:
                    _improve(best[v, t], choice[v, t], reach[t, v] + costs.sales[v], _START)
                else:
                    for a in self._into[v]:
                        self._by_lane(best[v, t], choice[v, t], reach, costs.serve[a], a, t, a)
            if self.waits and t + 1 < periods:
                _improve(best[:, t], choice[:, t], best[:, t + 1] + costs.wait[:, t, None], _HOLD)
                unmet[:, t] += unmet[:, t + 1]
        return best, choice, unmet

    def send(self, ways: Ways, met: FloatArray, left: FloatArray, never: FloatArray) -> Flows:
        """Flow along cheapest ways.

        Args:
            ways: The ways.
            met: Demand met by source, shape (V, T, S, B).
            left: Units of each source left until the end, shape (S, B).
            never: Demand never met, shape (V, T, B).
        """
        network, periods = self.network, self.periods
        nodes, lanes, batch = len(network.nodes), len(network.lanes), never.shape[2]
        flows = Flows(
            order=np.zeros((lanes, periods, batch)),
            serve=np.zeros((lanes, periods, batch)),
            sales=np.zeros((nodes, periods, batch)),
            hold=np.zeros((nodes, periods, batch)),
            unmet=np.cumsum(never, axis=1) if self.waits else never.copy(),
        )
        out = np.zeros((periods, nodes, *left.shape))
        self._meet(ways, met.copy(), flows, out)
        for v in self.order:
            part = np.where(ways.end == -10 - v, left, 0.0)
            out[-1, v] += part
            flows.hold[v, -1] += part.sum(axis=0)
        for a in network.replenishment_lanes.tolist():
            for release in range(max(periods - int(network.lead_time[a]), 0), periods):
                part = np.where(ways.end == a * periods + release, left, 0.0)
                self._draw(part, a, release, flows.order, out)
        for t in reversed(range(periods)):
            for v in reversed(self.order):
                if t > 0:
                    part = np.where(ways.stock[t, v] == _HOLD, out[t, v], 0.0)
                    flows.hold[v, t - 1] += part.sum(axis=0)
                    out[t - 1, v] += part
                for a in self._into[v]:
                    release = t - int(network.lead_time[a])
                    if release >= 0:
                        part = np.where(ways.stock[t, v] == a, out[t, v], 0.0)
                        self._draw(part, a, release, flows.order, out)
        return flows

    def _meet(self, ways: Ways, met: FloatArray, flows: Flows, out: FloatArray) -> None:
        """From demands back to stock: waiting, sales, serving."""
        for t in range(self.periods):
            if self.waits and t + 1 < self.periods:
                part = np.where(ways.meeting[:, t] == _HOLD, met[:, t], 0.0)
                met[:, t + 1] += part
                flows.unmet[:, t] += part.sum(axis=1)
            for v in range(len(self.network.nodes)):
                if self._stocking[v]:
                    part = np.where(ways.meeting[v, t] == _START, met[v, t], 0.0)
                    flows.sales[v, t] = part.sum(axis=0)
                    out[t, v] += part
                else:
                    for a in self._into[v]:
                        part = np.where(ways.meeting[v, t] == a, met[v, t], 0.0)
                        self._draw(part, a, t, flows.serve, out)

    def _draw(
        self, part: FloatArray, lane: int, period: int, flow: FloatArray, out: FloatArray
    ) -> None:
        """Count flow on a lane and take it from the stock of its origin, if it is no supplier."""
        flow[lane, period] += part.sum(axis=0)
        origin = self.network.origin[lane]
        if not self._supplier[origin]:
            out[period, origin] += part


def _improve(best: FloatArray, choice: Choice, other: FloatArray, mark: int) -> None:
    better = other < best
    np.copyto(best, other, where=better)
    np.copyto(choice, np.int32(mark), where=better)
