"""Instances from a graph and a few numbers; what is not given costs nothing and limits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray, Network, Resource, Unmet

from optrl.instance import DemandTable, Instance

NodeValues = Mapping[str, float | FloatArray]
LaneValues = Mapping[tuple[str, str], float | FloatArray]


def build(
    name: str,
    nodes: Mapping[str, str],
    lanes: Mapping[tuple[str, str], int],
    demand_at: Sequence[str],
    *,
    unmet: Unmet,
    horizon: int,
    items: int = 1,
    holding_cost: NodeValues | None = None,
    shortage_cost: NodeValues | None = None,
    lane_cost: LaneValues | None = None,
    on_hand: NodeValues | None = None,
    lot_size: float = 0.0,
    resources_: Sequence[Resource] = (),
    notes: Mapping[str, str] | None = None,
) -> Instance:
    """An instance without history, empty at first unless stock is given.

    Args:
        name: Its name.
        nodes: Kind of each node.
        lanes: Lead time of each lane.
        demand_at: Nodes with demand.
        unmet: Whether unmet demand is lost.
        horizon: Periods.
        items: Number of items N.
        holding_cost: By node, a number or shape (N,).
        shortage_cost: By node, likewise.
        lane_cost: By lane, likewise; purchase prices included.
        on_hand: First stock by node, likewise.
        lot_size: Quantities are multiples of it on all lanes; 0 leaves them continuous.
        resources_: Shared capacities.
        notes: What is real and what is assumed.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for node, kind in nodes.items():
        graph.add_node(node, kind=kind)
    for (origin, destination), lead in lanes.items():
        graph.add_edge(origin, destination, lead_time=lead)
    node_index = {node: k for k, node in enumerate(graph.nodes)}
    lane_index = {lane: k for k, lane in enumerate(graph.edges)}
    v, a = len(node_index), len(lane_index)

    def by_node(values: NodeValues | None) -> FloatArray:
        table = np.zeros((items, v))
        for node, value in (values or {}).items():
            table[:, node_index[node]] = value
        return table

    by_lane = np.zeros((items, a))
    for lane, value in (lane_cost or {}).items():
        by_lane[:, lane_index[lane]] = value
    none, nothing = np.zeros(items), np.zeros((items, a))
    network = Network(
        graph=graph,
        items=tuple(f"item{k}" for k in range(items)),
        unmet=unmet,
        unit_cost=none,
        volume=none,
        weight=none,
        time=none,
        allowed=np.ones((items, a), dtype=np.bool_),
        lane_cost=by_lane,
        fixed_cost=nothing,
        joint_fixed_cost=np.zeros(a),
        lot_size=np.full((items, a), lot_size),
        minimum_quantity=nothing,
        maximum_quantity=np.full((items, a), np.inf),
        setup_time=nothing,
        review_period=np.ones(a, dtype=np.int64),
        review_offset=np.zeros(a, dtype=np.int64),
        holding_cost=by_node(holding_cost),
        shortage_cost=by_node(shortage_cost),
        terminal_value=np.zeros((items, v)),
        service_level=np.zeros((items, v)),
        supply_capacity=np.full((items, v), np.inf),
        resources=tuple(resources_),
    )
    where = np.array(sorted(node_index[node] for node in demand_at), dtype=np.int64)
    return Instance(
        name=name,
        period="period",
        periods_per_year=1.0,
        money="",
        quantity="units",
        network=network,
        start=0,
        horizon=horizon,
        on_hand=by_node(on_hand),
        due=np.zeros((items, v, 0)),
        backlog=np.zeros((items, v)),
        demand=DemandTable(where, 0, np.zeros((items, len(where), 0))),
        notes=dict(notes or {}),
    )
