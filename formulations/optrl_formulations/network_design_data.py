"""What network design reads from a graph: coefficients as arrays and the bound of each flow.

Shapes: V nodes, A lanes, K commodities, Q shares (a commodity, or with disaggregation a
commodity of one destination).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from optrl_formulations.network import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class DesignData:
    """Coefficients of network design, checked.

    Attributes:
        graph: The graph read.
        nodes: Nodes in graph order.
        lanes: Lane keys in graph order.
        commodities: Commodity names.
        tail: Node number where each lane starts, shape (A,).
        head: Node number where each lane ends, shape (A,).
        supply: Exact supply, negative for demand, shape (V, K).
        supply_capacity: What a node may provide beyond its supply, shape (V, K).
        opening_cost: Shape (V,).
        node_capacity: Shape (V,), infinite for none.
        unit_cost: Shape (A, K).
        fixed_cost: Shape (A,).
        capacity: Shape (A,), infinite for none.
        minimum_flow: Shape (A,).
        share_commodity: Commodity number of each share, shape (Q,).
        share_destination: Node number of each share's destination, -1 for all, shape (Q,).
    """

    graph: nx.Graph[Any]
    nodes: tuple[Any, ...]
    lanes: tuple[tuple[Any, ...], ...]
    commodities: tuple[str, ...]
    tail: IntArray
    head: IntArray
    supply: FloatArray
    supply_capacity: FloatArray
    opening_cost: FloatArray
    node_capacity: FloatArray
    unit_cost: FloatArray
    fixed_cost: FloatArray
    capacity: FloatArray
    minimum_flow: FloatArray
    share_commodity: IntArray
    share_destination: IntArray

    @property
    def disaggregated(self) -> bool:
        """Whether shares are commodities of one destination."""
        return bool((self.share_destination >= 0).any())

    @property
    def has_binaries(self) -> bool:
        """Whether any lane or node has a fixed cost."""
        return bool((self.fixed_cost > 0).any() or (self.opening_cost > 0).any())

    @cached_property
    def demand(self) -> FloatArray:
        """Demand of each share at each node, shape (V, Q)."""
        demand = np.maximum(-self.supply, 0.0)[:, self.share_commodity]
        elsewhere = np.arange(len(self.nodes))[:, None] != self.share_destination[None, :]
        return np.where(elsewhere & (self.share_destination >= 0), 0.0, demand)

    @cached_property
    def supplied(self) -> FloatArray:
        """Supply that is not a decision, shape (V, Q): none is fixed once disaggregated."""
        supply = np.maximum(self.supply, 0.0)[:, self.share_commodity]
        return np.zeros_like(supply) if self.disaggregated else supply

    @cached_property
    def may_provide(self) -> BoolArray:
        """Where what a node provides of a share is a decision, shape (V, Q)."""
        may = self.supply_capacity > 0
        if self.disaggregated:
            may = may | (self.supply > 0)
        result: BoolArray = may[:, self.share_commodity] & (self._downstream > 0)
        return result

    @cached_property
    def _upstream(self) -> FloatArray:
        """Supply of the nodes that reach each node, itself included, shape (V, K)."""
        available = np.maximum(self.supply, 0.0) + self.supply_capacity
        reached = np.zeros_like(available)
        number: dict[Any, int] = {v: i for i, v in enumerate(self.nodes)}
        for i in np.flatnonzero(available.any(axis=1)).tolist():
            below: list[int] = [i, *(number[w] for w in nx.descendants(self.graph, self.nodes[i]))]
            reached[below] += available[i]
        return reached

    @cached_property
    def _downstream(self) -> FloatArray:
        """Demand of the nodes reachable from each node, itself included, shape (V, Q)."""
        needed = np.zeros_like(self.demand)
        number: dict[Any, int] = {v: i for i, v in enumerate(self.nodes)}
        for i in np.flatnonzero(self.demand.any(axis=1)).tolist():
            above: list[int] = [i, *(number[w] for w in nx.ancestors(self.graph, self.nodes[i]))]
            needed[above] += self.demand[i]
        return needed

    @property
    def free_of_cycles(self) -> bool:
        """Whether some optimal flow runs around no cycle."""
        return bool((self.unit_cost >= 0).all() and (self.minimum_flow == 0).all())

    @cached_property
    def through(self) -> FloatArray:
        """Largest useful flow of each share through each node, shape (V, Q)."""
        limit = np.broadcast_to(self.node_capacity[:, None], self.demand.shape)
        if not self.free_of_cycles:
            return limit.copy()
        return np.minimum(
            np.minimum(self._upstream[:, self.share_commodity], self._downstream), limit
        )

    @cached_property
    def bound(self) -> FloatArray:
        """Largest useful flow of each share on each lane, shape (A, Q)."""
        limit = np.repeat(self.capacity[:, None], self.demand.shape[1], axis=1)
        if not self.has_binaries and not self.disaggregated:
            return limit
        # Only what reaches a lane's start can flow on it, and only what lies beyond its end asks.
        if self.free_of_cycles:
            limit = np.minimum(limit, self._upstream[self.tail][:, self.share_commodity])
            limit = np.minimum(limit, self._downstream[self.head])
        ends = np.minimum(self.node_capacity[self.tail], self.node_capacity[self.head])
        return np.minimum(limit, ends[:, None])


def read_design(graph: nx.Graph[Any], commodities: Sequence[str], disaggregate: bool) -> DesignData:
    """Read and check the attributes that `add_network_design` documents.

    Raises:
        ValueError: See `add_network_design`.
    """
    if not graph.is_directed():
        raise ValueError("the graph is undirected; give a networkx.DiGraph or MultiDiGraph")
    if not commodities or len(set(commodities)) != len(commodities):
        raise ValueError(f"commodities must be distinct and at least one, found {commodities!r}")
    nodes = tuple(graph.nodes)
    number = {v: i for i, v in enumerate(nodes)}
    # Edges of a multigraph iterate with their keys.
    lanes: list[tuple[Any, ...]] = list(graph.edges)
    of_node = [(f"node {v!r}", graph.nodes[v]) for v in nodes]
    of_lane = [(f"lane {lane!r}", graph.edges[lane]) for lane in lanes]
    inf = float("inf")
    supply = _table(of_node, "supply", commodities, 0.0, low=-inf)
    if disaggregate:
        places, owners = np.nonzero(supply < 0)
    else:
        owners = np.arange(len(commodities))
        places = np.full(len(commodities), -1)
    data = DesignData(
        graph=graph,
        nodes=nodes,
        lanes=tuple(lanes),
        commodities=tuple(commodities),
        tail=np.array([number[lane[0]] for lane in lanes], dtype=np.int64),
        head=np.array([number[lane[1]] for lane in lanes], dtype=np.int64),
        supply=supply,
        supply_capacity=_table(of_node, "supply_capacity", commodities, 0.0, infinite=True),
        opening_cost=_column(of_node, "opening_cost", 0.0),
        node_capacity=_column(of_node, "capacity", inf, infinite=True),
        unit_cost=_table(of_lane, "unit_cost", commodities, 0.0, low=-inf),
        fixed_cost=_column(of_lane, "fixed_cost", 0.0),
        capacity=_column(of_lane, "capacity", inf, infinite=True),
        minimum_flow=_column(of_lane, "minimum_flow", 0.0),
        share_commodity=owners.astype(np.int64),
        share_destination=places.astype(np.int64),
    )
    _check(data)
    return data


def _column(
    owners: Sequence[tuple[str, Mapping[str, Any]]],
    name: str,
    default: float,
    *,
    infinite: bool = False,
) -> FloatArray:
    return _table(owners, name, ("",), default, infinite=infinite)[:, 0]


def _table(
    owners: Sequence[tuple[str, Mapping[str, Any]]],
    name: str,
    commodities: Sequence[str],
    default: float,
    *,
    low: float = 0.0,
    infinite: bool = False,
) -> FloatArray:
    """Attribute `name` of every owner by commodity, shape (owners, commodities)."""
    result = np.full((len(owners), len(commodities)), default)
    for i, (_, attributes) in enumerate(owners):
        given = attributes.get(name, default)
        if isinstance(given, Mapping):
            result[i] = [float(given.get(k, default)) for k in commodities]
        else:
            result[i] = float(given)
    wrong = np.isnan(result) | (result < low) | (np.isinf(result) & (not infinite))
    for i, k in zip(*np.nonzero(wrong), strict=True):
        of = f" of commodity {commodities[k]!r}" if commodities[k] else ""
        want = "finite" if low < 0 else "not negative" if infinite else "finite and not negative"
        raise ValueError(f"{owners[i][0]}: {name}{of} is {result[i, k]}, must be {want}")
    return result


def _check(data: DesignData) -> None:
    for a in np.flatnonzero(data.minimum_flow > data.capacity):
        raise ValueError(
            f"lane {data.lanes[a]!r}: minimum_flow {data.minimum_flow[a]} exceeds its capacity "
            f"{data.capacity[a]}; lower the one or raise the other"
        )
    for k, name in enumerate(data.commodities):
        of = f"commodity {name!r}: " if name else ""
        given = float(np.maximum(data.supply[:, k], 0).sum())
        asked = float(np.maximum(-data.supply[:, k], 0).sum())
        extra = float(data.supply_capacity[:, k].sum())
        if given > asked + 1e-9 * max(1.0, asked) or asked > given + extra + 1e-9 * max(1.0, asked):
            raise ValueError(
                f"{of}supply {given:g} (and up to {extra:g} more) cannot balance demand {asked:g}; "
                "give what may stay unused as supply_capacity, and add supply where it lacks"
            )
    if not data.has_binaries:
        return
    for a in np.flatnonzero((data.fixed_cost > 0) & np.isinf(data.bound).any(axis=1)):
        raise ValueError(
            f"lane {data.lanes[a]!r}: a fixed cost needs a capacity here, because with negative "
            "unit costs or minimum flows nothing else bounds the flow; give the lane a capacity"
        )
    for v in np.flatnonzero((data.opening_cost > 0) & np.isinf(data.through).any(axis=1)):
        raise ValueError(
            f"node {data.nodes[v]!r}: an opening cost needs a capacity here, because with negative "
            "unit costs or minimum flows nothing else bounds the flow; give the node a capacity"
        )
