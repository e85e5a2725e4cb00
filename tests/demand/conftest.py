"""Instances for the tests of demand models."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
from optrl_formulations.network import Network

from optrl.instance import DemandTable, Forecast, Instance


def build_instance(
    quantity: np.ndarray,
    start: int,
    *,
    season: int = 0,
    family: str = "negative_binomial",
    forecast: Forecast | None = None,
    first_period: int = 0,
) -> Instance:
    """A hub serving one customer per demand node; only its demand matters here."""
    items, demand_nodes = quantity.shape[:2]
    graph = nx.DiGraph()
    graph.add_node("hub", kind="stocking")
    for j in range(demand_nodes):
        graph.add_node(f"customer_{j}", kind="customer")
        graph.add_edge("hub", f"customer_{j}", lead_time=0)
    lanes, nodes = demand_nodes, demand_nodes + 1
    one = np.ones(items)
    on_lane, at_node = np.zeros((items, lanes)), np.zeros((items, nodes))
    network = Network(
        graph=graph,
        items=tuple(f"item_{i}" for i in range(items)),
        unmet="lost",
        unit_cost=one,
        volume=one,
        weight=one,
        time=one,
        allowed=np.ones((items, lanes), dtype=bool),
        lane_cost=on_lane,
        fixed_cost=on_lane,
        joint_fixed_cost=np.zeros(lanes),
        lot_size=on_lane,
        minimum_quantity=on_lane,
        maximum_quantity=on_lane + np.inf,
        setup_time=on_lane,
        review_period=np.ones(lanes, dtype=np.int64),
        review_offset=np.zeros(lanes, dtype=np.int64),
        holding_cost=at_node,
        shortage_cost=at_node,
        terminal_value=at_node,
        service_level=at_node,
        supply_capacity=at_node + np.inf,
    )
    return Instance(
        name="test",
        period="week",
        periods_per_year=52.0,
        money="USD",
        quantity="unit",
        network=network,
        start=start,
        horizon=8,
        on_hand=at_node,
        due=np.zeros((items, nodes, 0)),
        backlog=at_node,
        demand=DemandTable(np.arange(1, nodes), first_period, quantity),
        forecast=forecast,
        demand_family=family,
        season=season,
    )


@pytest.fixture(scope="session")
def make_instance() -> Callable[..., Instance]:
    """Builds an instance around a demand table (N, D, H)."""
    return build_instance
