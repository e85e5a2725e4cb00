"""Random small instances, for property tests of formulations, simulators and policies."""

from __future__ import annotations

import networkx as nx
import numpy as np
from optrl_formulations.network import Network, NodeKind, Resource, Unmet

from optrl.instance import DemandTable, Instance


def random_instance(
    generator: np.random.Generator,
    *,
    items: int = 2,
    stocking: int = 3,
    customers: int = 2,
    horizon: int = 4,
    unmet: Unmet = "lost",
    resources: bool = True,
    integers: bool = False,
    limited_supply: bool = False,
    service: bool = False,
    discount: float = 1.0,
) -> Instance:
    """A random feasible instance with two suppliers, transshipment and multi-source customers.

    Stocking nodes form a line of echelons with extra lanes forward (some of lead time 0) and one
    lane back (lead time 1 or more, so that no zero-lead cycle arises). Demand stands at customers
    and at the last stocking node. Costs are positive and terminal values below unit costs.

    Args:
        generator: Source of randomness.
        items: Number of items.
        stocking: Number of stocking nodes.
        customers: Number of customers.
        horizon: Periods to plan; demand covers them and as many periods of history.
        unmet: What happens to unmet demand.
        resources: Whether to add one shared resource of each kind.
        integers: Whether to add fixed costs, lots, minimum quantities and set-up times.
        limited_supply: Whether suppliers are limited by item.
        service: Whether one item and node has a service-level target.
        discount: Discount factor.
    """
    graph = _graph(generator, stocking, customers)
    n, v, a = items, graph.number_of_nodes(), graph.number_of_edges()
    nodes = list(graph.nodes)
    lanes = list(graph.edges)
    stores = [f"store{k}" for k in range(stocking)]
    kind = np.array([NodeKind[graph.nodes[node]["kind"].upper()] for node in nodes])
    into_customer = np.array([kind[nodes.index(d)] == NodeKind.CUSTOMER for _, d in lanes])
    whole = np.where(into_customer[None, :], 0.0, 1.0)
    allowed = generator.random((n, a)) < 0.9
    unit_cost = generator.uniform(1, 3, n)
    supply = np.full((n, v), np.inf)
    if limited_supply:
        supply[:, :2] = generator.uniform(5, 12, (n, 2))
    levels = np.zeros((n, v))
    if service:
        # customer0 has a lane straight from a supplier, so that the target can be met.
        levels[0, nodes.index("customer0")] = 0.05
        allowed[0, lanes.index(("supplier1", "customer0"))] = True
    network = Network(
        graph=graph,
        items=tuple(f"item{k}" for k in range(n)),
        unmet=unmet,
        unit_cost=unit_cost,
        volume=generator.uniform(0.5, 2, n),
        weight=generator.uniform(0.5, 2, n),
        time=generator.uniform(0.1, 0.4, n),
        allowed=allowed,
        lane_cost=generator.uniform(0.1, 1, (n, a)),
        fixed_cost=whole * generator.choice([0.0, 2.0], (n, a)) * integers,
        joint_fixed_cost=whole[0] * generator.choice([0.0, 3.0], a) * integers,
        lot_size=whole * generator.choice([0.0, 2.0], (n, a)) * integers,
        minimum_quantity=whole * generator.choice([0.0, 3.0], (n, a)) * integers,
        maximum_quantity=generator.choice([np.inf, 12.0], (n, a)),
        setup_time=whole * generator.choice([0.0, 0.5], (n, a)) * integers,
        review_period=np.where(into_customer, 1, generator.choice([1, 1, 2], a)),
        review_offset=np.zeros(a, dtype=np.int64),
        closed=frozenset({(0, horizon), (lanes.index((stores[0], "customer0")), horizon + 1)}),
        holding_cost=generator.uniform(0.1, 0.5, (n, v)),
        shortage_cost=generator.uniform(4, 9, (n, v)),
        terminal_value=0.5 * unit_cost[:, None] * np.ones(v),
        service_level=levels,
        supply_capacity=supply,
        resources=_resources(generator, nodes, lanes, unit_cost, horizon) if resources else (),
        discount=discount,
    )
    where = np.flatnonzero((kind == NodeKind.CUSTOMER) | (np.arange(v) == 1 + stocking))
    quantity = generator.poisson(3.0, (n, len(where), 2 * horizon)).astype(float)
    stocked = kind == NodeKind.STOCKING
    longest = max(1, network.longest_lead_time)
    demanded = np.isin(np.arange(v), where)
    return Instance(
        name="random",
        period="week",
        periods_per_year=52,
        money="EUR",
        quantity="units",
        network=network,
        start=horizon,
        horizon=horizon,
        on_hand=generator.integers(0, 8, (n, v)) * stocked.astype(float),
        due=generator.integers(0, 4, (n, v, longest)) * stocked.astype(float)[None, :, None],
        backlog=(generator.integers(0, 3, (n, v)) * demanded * (unmet == "backorder")).astype(
            float
        ),
        demand=DemandTable(nodes=where, first_period=0, quantity=quantity),
        demand_family="poisson",
    )


def _graph(generator: np.random.Generator, stocking: int, customers: int) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("supplier0", kind="supplier")
    graph.add_node("supplier1", kind="supplier")
    stores = [f"store{k}" for k in range(stocking)]
    for name in stores:
        graph.add_node(name, kind="stocking")
    for k in range(customers):
        graph.add_node(f"customer{k}", kind="customer")
    graph.add_edge("supplier0", stores[0], lead_time=int(generator.integers(0, 3)))
    graph.add_edge("supplier1", stores[-1], lead_time=int(generator.integers(1, 3)))
    for k in range(stocking):
        for later in range(k + 1, stocking):
            graph.add_edge(stores[k], stores[later], lead_time=int(generator.integers(0, 3)))
    if stocking > 1:
        graph.add_edge(stores[-1], stores[0], lead_time=1)
    for k in range(customers):
        for store in stores:
            graph.add_edge(store, f"customer{k}", lead_time=0)
    graph.add_edge("supplier1", "customer0", lead_time=0)
    return graph


def _resources(
    generator: np.random.Generator,
    nodes: list[str],
    lanes: list[tuple[str, str]],
    unit_cost: np.ndarray[tuple[int], np.dtype[np.float64]],
    horizon: int,
) -> tuple[Resource, ...]:
    n = len(unit_cost)
    last = max(k for k, name in enumerate(nodes) if name.startswith("store"))
    use = generator.uniform(0.5, 1.5, n)

    def limit(low: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return generator.uniform(low, low + 4, horizon)

    return (
        Resource("storage", "storage", use, limit(60), node=2, overflow_cost=5.0),
        Resource("inbound", "inbound", use, limit(9), node=2, takes_setup_time=True),
        Resource("outbound", "outbound", use, limit(7), node=last),
        Resource("lane", "lane", use, limit(4), lane=lanes.index((nodes[2], nodes[3]))),
        Resource("budget", "budget", unit_cost, limit(20)),
    )
