"""Customers that are alike to the network, merged into zones.

Customers served from the same nodes in the same order of cost differ, for decisions taken before
demand is seen, only by what they ask. Merging them shrinks a plan by an order of magnitude and
keeps every stocking node, replenishment lane and resource. A zone's lane cost is the average of
its customers' lanes weighted with their demand, so that splitting a zone's flow in proportion to
demand costs the same up to shifts of demand within the zone.
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
        lane: Coarse lane of each lane of the fine network, shape (A,).
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
        into_customer = self.serving[None, :, None]
        return np.where(into_customer, serve[:, self.lane] * share, 0.0)


def aggregate_customers(network: Network, weight: FloatArray) -> Aggregation:
    """Merge customers that the network cannot tell apart.

    Customers stay alone where a resource limits a lane to them, a lane to them has a largest
    quantity, or they have a service-level target.

    Args:
        network: Fine network.
        weight: Typical demand, shape (N, V), to average lane costs with.
    """
    zone_of = _zones(network)
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
        graph.add_edge(
            u, renamed[network.destination[lane]], lead_time=int(network.lead_time[lane])
        )
    position = {name: k for k, name in enumerate(graph.nodes)}
    lane_position = {edge: k for k, edge in enumerate(graph.edges)}
    node = np.array([position[name] for name in renamed])
    coarse_lane = np.array(
        [
            lane_position[u, renamed[network.destination[a]]]
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


def _zones(network: Network) -> dict[int, bytes]:
    limited_lanes = {r.lane for r in network.resources if r.kind == "lane"}
    limited_nodes = {r.node for r in network.resources if r.kind == "inbound"}
    zones = {}
    for v in np.flatnonzero(network.kind == NodeKind.CUSTOMER).tolist():
        lanes = np.flatnonzero(network.destination == v)
        alone = (
            v in limited_nodes
            or bool(limited_lanes.intersection(lanes.tolist()))
            or bool(np.isfinite(network.maximum_quantity[:, lanes]).any())
            or bool((network.service_level[:, v] > 0).any())
            or any(lane in lanes for lane, _ in network.closed)
        )
        by_origin = lanes[np.argsort(network.origin[lanes], kind="stable")]
        rank = np.argsort(network.lane_cost[:, by_origin], axis=1, kind="stable")
        key = b"|".join(
            part.tobytes()
            for part in (
                network.origin[by_origin],
                network.allowed[:, by_origin],
                rank,
                network.review_period[by_origin],
                network.review_offset[by_origin],
                network.shortage_cost[:, v],
            )
        )
        zones[v] = str(v).encode() if alone else key
    return zones


def _zone_name(network: Network, members: list[int]) -> str:
    name = network.nodes[members[0]]
    return name if len(members) == 1 else f"{name} and {len(members) - 1} more"


def _coarse(
    network: Network, graph: nx.DiGraph[str], node: IntArray, lane: IntArray, weight: FloatArray
) -> Network:
    lanes, nodes = graph.number_of_edges(), graph.number_of_nodes()
    on_lane = np.maximum(weight[:, network.destination], 1e-9)
    total = _add_up(on_lane, lane, lanes)
    cost = _add_up(on_lane * network.lane_cost, lane, lanes)
    last_lane = np.zeros(lanes, dtype=np.int64)
    last_lane[lane] = np.arange(len(lane))
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
        **by_lane,
        **by_node,
    )


def _add_up(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Sums over axis 1 by group, shape (N, groups, ...)."""
    merged = np.zeros((groups, values.shape[0], *values.shape[2:]))
    np.add.at(merged, group, np.moveaxis(values, 1, 0))
    return np.moveaxis(merged, 0, 1)
