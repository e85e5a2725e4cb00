"""Customers that are alike to the network, merged into zones.

Customers served from the same nodes in the same order of cost differ, for decisions taken before
demand is seen, only by what they ask. Merging them shrinks a plan by an order of magnitude and
keeps every stocking node, replenishment lane and resource. A zone's lane cost is the average of
its customers' lanes weighted with their demand, so that splitting a zone's flow in proportion to
demand costs the same up to shifts of demand within the zone. Leaving out each customer's dearest
lanes merges further, at the price of help from afar that the plan no longer sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network, NodeKind


@dataclass(frozen=True)
class Aggregation:
    """A network with zones in place of customers.

    Attributes:
        network: Coarse network; suppliers, stocking nodes and replenishment lanes keep their
            order.
        node: Coarse node of each node of the fine network, shape (V,).
        lane: Coarse lane of each lane of the fine network, -1 where left out, shape (A,).
        destination: Fine node where each fine lane ends, shape (A,).
        serving: Which fine lanes end at a customer, shape (A,).
    """

    network: Network
    node: IntArray
    lane: IntArray
    destination: IntArray
    serving: BoolArray

    def merge_nodes(self, values: FloatArray) -> FloatArray:
        """Add up the node axis (axis 1): (N, V, ...) of the fine to that of the coarse network."""
        return _add_up(values, self.node, len(self.network.nodes))

    def split_serve(self, serve: FloatArray, demand: FloatArray) -> FloatArray:
        """Split zone flows over serving lanes in proportion to each customer's demand.

        Args:
            serve: Flow on coarse lanes, shape (N, coarse A, T).
            demand: Demand of the fine network, shape (N, V, T).

        Returns:
            Flow on fine lanes, shape (N, A, T); zero on replenishment lanes.
        """
        total = self.merge_nodes(demand)
        destination = self.destination
        asked = demand[:, destination]
        zone_asked = total[:, self.node[destination]]
        share = np.divide(asked, zone_asked, out=np.zeros_like(asked), where=zone_asked > 0)
        split = (self.serving & (self.lane >= 0))[None, :, None]
        return np.where(split, serve[:, self.lane] * share, 0.0)


def aggregate_customers(
    network: Network, weight: FloatArray, *, merge: bool = True, ranks: int | None = None
) -> Aggregation:
    """Merge customers that the network cannot tell apart.

    Customers stay alone where a resource limits a lane to them, a lane to them has a largest
    quantity, or they have a service-level target.

    Args:
        network: Fine network.
        weight: Typical demand, shape (N, V), to average lane costs with.
        merge: False keeps every customer alone, with all its lanes.
        ranks: Number of cheapest lanes to keep into each customer that may be merged; all when
            None.
    """
    zone_of, dropped = _zones(network, ranks) if merge else ({}, set())
    first: dict[bytes, list[int]] = {}
    for customer, key in zone_of.items():
        first.setdefault(key, []).append(customer)
    name_of = {
        customer: _zone_name(network, members) for members in first.values() for customer in members
    }
    graph: nx.DiGraph[str] = nx.DiGraph()
    for v, name in enumerate(network.nodes):
        graph.add_node(name_of.get(v, name), kind=network.graph.nodes[name]["kind"])
    renamed = [name_of.get(v, name) for v, name in enumerate(network.nodes)]
    for lane, (u, _) in enumerate(network.lanes):
        if lane in dropped:
            continue
        graph.add_edge(
            u, renamed[network.destination[lane]], lead_time=int(network.lead_time[lane])
        )
    position = {name: k for k, name in enumerate(graph.nodes)}
    lane_position = {edge: k for k, edge in enumerate(graph.edges)}
    node = np.array([position[name] for name in renamed])
    coarse_lane = np.array(
        [
            -1 if a in dropped else lane_position[u, renamed[network.destination[a]]]
            for a, (u, _) in enumerate(network.lanes)
        ],
        dtype=np.int64,
    )
    return Aggregation(
        network=_coarse(network, graph, node, coarse_lane, weight),
        node=node,
        lane=coarse_lane,
        destination=network.destination,
        serving=network.kind[network.destination] == NodeKind.CUSTOMER,
    )


def _zones(network: Network, ranks: int | None) -> tuple[dict[int, bytes], set[int]]:
    """Key of each customer's zone, and the lanes left out."""
    limited_lanes = {r.lane for r in network.resources if r.kind == "lane"}
    limited_nodes = {r.node for r in network.resources if r.kind == "inbound"}
    closed_lanes = {lane for lane, _ in network.closed}
    zones: dict[int, bytes] = {}
    dropped: set[int] = set()
    for v in np.flatnonzero(network.kind == NodeKind.CUSTOMER).tolist():
        lanes = np.flatnonzero(network.destination == v)
        alone = (
            v in limited_nodes
            or bool((limited_lanes | closed_lanes).intersection(lanes.tolist()))
            or bool(np.isfinite(network.maximum_quantity[:, lanes]).any())
            or bool((network.service_level[:, v] > 0).any())
        )
        if alone:
            zones[v] = str(v).encode()
            continue
        cost = np.where(network.allowed[:, lanes], network.lane_cost[:, lanes], np.inf)
        rank = np.argsort(np.argsort(cost, axis=1, kind="stable"), axis=1)
        if ranks is not None:
            keep = (rank < ranks).any(axis=0)
            dropped.update(lanes[~keep].tolist())
            lanes, rank = lanes[keep], rank[:, keep]
        by_origin = np.argsort(network.origin[lanes], kind="stable")
        lanes = lanes[by_origin]
        zones[v] = b"|".join(
            part.tobytes()
            for part in (
                network.origin[lanes],
                network.allowed[:, lanes],
                rank[:, by_origin],
                network.review_period[lanes],
                network.review_offset[lanes],
                network.shortage_cost[:, v],
            )
        )
    return zones, dropped


def _zone_name(network: Network, members: list[int]) -> str:
    name = network.nodes[members[0]]
    return name if len(members) == 1 else f"{name} and {len(members) - 1} more"


def _coarse(
    network: Network, graph: nx.DiGraph[str], node: IntArray, lane: IntArray, weight: FloatArray
) -> Network:
    lanes, nodes = graph.number_of_edges(), graph.number_of_nodes()
    kept = lane >= 0
    on_lane = np.maximum(weight[:, network.destination], 1e-9)[:, kept]
    total = _add_up(on_lane, lane[kept], lanes)
    cost = _add_up(on_lane * network.lane_cost[:, kept], lane[kept], lanes)
    last_lane = np.zeros(lanes, dtype=np.int64)
    last_lane[lane[kept]] = np.flatnonzero(kept)
    last_node = np.zeros(nodes, dtype=np.int64)
    last_node[node] = np.arange(len(node))
    by_lane = {
        name: getattr(network, name)[:, last_lane]
        for name in (
            "allowed",
            "fixed_cost",
            "lot_size",
            "minimum_quantity",
            "maximum_quantity",
            "setup_time",
        )
    }
    by_node = {
        name: getattr(network, name)[:, last_node]
        for name in (
            "holding_cost",
            "shortage_cost",
            "terminal_value",
            "service_level",
            "supply_capacity",
        )
    }
    return replace(
        network,
        graph=graph,
        lane_cost=cost / total,
        joint_fixed_cost=network.joint_fixed_cost[last_lane],
        review_period=network.review_period[last_lane],
        review_offset=network.review_offset[last_lane],
        closed=frozenset((int(lane[a]), period) for a, period in network.closed),
        resources=tuple(
            replace(
                r,
                node=None if r.node is None else int(node[r.node]),
                lane=None if r.lane is None else int(lane[r.lane]),
            )
            for r in network.resources
        ),
        transit_cost=None if network.transit_cost is None else network.transit_cost[:, last_lane],
        **by_lane,
        **by_node,
    )


def _add_up(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Sums over axis 1 by group, shape (N, groups, ...)."""
    merged = np.zeros((groups, values.shape[0], *values.shape[2:]))
    np.add.at(merged, group, np.moveaxis(values, 1, 0))
    return np.moveaxis(merged, 0, 1)
