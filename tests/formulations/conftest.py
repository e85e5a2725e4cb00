"""Small chain problems stated by name, for optima that can be computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
import pytest
from optrl_formulations.network import Network
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import Model
from optrl.stages.stage_problem import StageSolution

KINDS = {"S": "supplier", "C": "customer"}
BY_LANE = ("lane_cost", "fixed_cost", "lot_size", "minimum_quantity", "setup_time")
BY_NODE = ("holding_cost", "shortage_cost", "terminal_value", "service_level")


def small_network(
    lanes: Mapping[tuple[str, str], int], items: int = 1, **coefficients: Any
) -> Network:
    """Lanes with lead times between nodes: S... suppliers, C... customers, others hold stock.

    Coefficients may be numbers, arrays, or values by lane or node name; the rest is zero.
    Lanes must be listed by origin.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name in dict.fromkeys([u for u, _ in lanes] + [v for _, v in lanes]):
        graph.add_node(name, kind=KINDS.get(name[0], "stocking"))
    for (u, v), lead in lanes.items():
        graph.add_edge(u, v, lead_time=lead)
    assert list(graph.edges) == list(lanes), "list lanes by origin"
    n, v, a = items, graph.number_of_nodes(), graph.number_of_edges()

    def take(name: str, default: float, keys: Sequence[Any]) -> np.ndarray:
        given = coefficients.pop(name, default)
        if isinstance(given, Mapping):
            assert set(given) <= set(keys)
            given = [given.get(key, default) for key in keys]
        return np.broadcast_to(np.asarray(given, float), (n, len(keys))).copy()

    edges, nodes = list(graph.edges), list(graph.nodes)
    arrays = {name: take(name, 0.0, edges) for name in BY_LANE}
    arrays |= {name: take(name, 0.0, nodes) for name in BY_NODE}
    arrays["maximum_quantity"] = take("maximum_quantity", np.inf, edges)
    arrays["supply_capacity"] = take("supply_capacity", np.inf, nodes)
    joint = take("joint_fixed_cost", 0.0, edges)[0]
    per_item = {
        name: np.broadcast_to(np.asarray(coefficients.pop(name, 0.0), float), n)
        for name in ("unit_cost", "volume", "weight", "time")
    }
    return Network(
        graph=graph,
        items=tuple(f"item{k}" for k in range(n)),
        unmet=coefficients.pop("unmet", "lost"),
        allowed=np.ones((n, a), dtype=bool),
        joint_fixed_cost=joint,
        review_period=np.ones(a, dtype=np.int64),
        review_offset=np.zeros(a, dtype=np.int64),
        **arrays,
        **per_item,
        **coefficients,
    )


def solve_chain(
    network: Network,
    demand: Mapping[str, Any],
    *,
    on_hand: Mapping[str, Any] | None = None,
    backlog: Mapping[str, Any] | None = None,
    due: Mapping[str, Any] | None = None,
    **more: Any,
) -> StageSolution:
    """Optimum on one demand path; demand by node, shape (T,) or (N, T)."""
    n, v = len(network.items), len(network.nodes)
    periods = np.asarray(next(iter(demand.values()))).shape[-1]
    tree = ScenarioTree.chain(periods)
    pairs = np.zeros((n, v), dtype=bool)
    path = np.zeros((n, v, periods + 1))

    def state(values: Mapping[str, Any] | None) -> np.ndarray:
        dense = np.zeros((n, v))
        for name, value in (values or {}).items():
            dense[:, network.node_index[name]] = value
        return dense

    for name, values in demand.items():
        place = network.node_index[name]
        pairs[:, place] = True
        path[:, place, 1:] = values
    longest = max([np.asarray(x).shape[-1] for x in (due or {}).values()], default=0)
    pipeline = np.zeros((n, v, longest))
    for name, values in (due or {}).items():
        pipeline[:, network.node_index[name]] = values
    data = ReplenishmentData(state(on_hand), pipeline, state(backlog), path, **more)
    layout = ReplenishmentLayout(network, tree, 0, pairs)
    return StageSolution(layout, Model(build_replenishment(layout, data)).solve(relative_gap=1e-9))


@pytest.fixture(scope="session")
def small() -> Callable[..., Network]:
    """Builds a network from lanes and coefficients by name."""
    return small_network


@pytest.fixture(scope="session")
def optimum() -> Callable[..., StageSolution]:
    """Solves a network on one demand path."""
    return solve_chain
