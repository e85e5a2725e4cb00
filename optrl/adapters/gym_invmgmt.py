"""An environment of the package `gym-invmgmt` (0.2) as an instance of one item.

Source: gym-invmgmt 0.2.1 (MIT licence), arXiv:2605.11355; its `CoreEnv` states the order of
events.

**Their order of events** in period t, and what it becomes here:

1. Orders are placed and shipped at once, link by link, out of the stock at the *start* of t,
   before the period's receipts; a factory ships at most its capacity C.
2. Receipts: what was ordered L periods ago; an order with L = 0 of this very period.
3. Demand is seen and served from stock *including* these receipts.
4. Costs fall on what is left in stock and on the way.

Receipts of t thus serve demand of t, as here with lead time L, but ship onwards only in t + 1,
which here is lead time L + 1. So a link into a node that only serves a market keeps its L, and a
link into a node that only ships gets L + 1; in the period of receipt the unit then still counts as
on its way and is charged the node's holding cost (`Network.transit_cost` at age L), before that
the link's pipeline cost g. A node that does both keeps L: plans may then ship receipts of the same
period, which the environment cuts.

**Money.** Profit = sales revenue - purchases from raw materials - operating cost - holding -
pipeline holding - backlog penalty - fixed ordering cost. Prices between managed nodes cancel.
Raw-material prices and operating cost o / v are lane costs. Lost sales: revenue is p times demand
less p times what is lost, so the shortage cost is p + b and p times demand is
`GymInvmgmt.revenue`. Backlog: the revenue is a negative cost of the serving lane and the shortage
cost is b a period.

**Yield.** A factory of yield v uses 1 / v of stock for a unit shipped. Stock of each node is
counted in units that make every flow conserve quantity (`GymInvmgmt.order_scale`).

**Markets.** Each retail link is a customer. Where a retailer has several, the environment serves
them in link order; lanes from an always empty node, which no item may use, rank the later ones
behind.

**Goodwill** makes demand depend on past service, which no instance can express. Such environments
are refused unless asked for; then costs and network are read as they are, and the demand model
follows the environment's goodwill (`GymInvmgmtDemand`), so that policies can act inside it. There
is no optimum under perfect information, because demand is not known apart from decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray, IntArray, Network, Resource

from optrl.adapters.gym_invmgmt_demand import AdapterError, GymInvmgmtDemand
from optrl.instance import DemandTable, Forecast, Instance

_Link = tuple[Any, Any]


@dataclass(frozen=True)
class GymInvmgmt:
    """An environment read into an instance.

    Attributes:
        instance: One item; period 0 is the environment's first, the horizon its episode.
        demand: What an informed agent knows of demand.
        revenue: Revenue per unit demanded that costs leave out, by demand node, shape (D,).
        order_lane: Position of each of their reorder links among `Network.replenishment_lanes`.
        order_scale: Units of the instance per unit of theirs, by reorder link.
        node: Index of each of their managed nodes (`main_nodes`) in the instance.
        node_scale: Units of the instance per unit of theirs, by managed node.
    """

    instance: Instance
    demand: GymInvmgmtDemand
    revenue: FloatArray
    order_lane: IntArray
    order_scale: FloatArray
    node: IntArray
    node_scale: FloatArray


def read_gym_invmgmt(env: Any, *, goodwill: bool = False) -> GymInvmgmt:
    """Read an environment (`gym_invmgmt.CoreEnv` or a wrapper around one).

    Args:
        env: The environment.
        goodwill: Whether one with goodwill is read, for policies to act inside it.

    Raises:
        AdapterError: If it uses goodwill that was not asked for, yields that no units make
            consistent, raw-material nodes with stock, or capacities of factories that serve
            markets themselves.
    """
    env = env.unwrapped
    net = env.network
    _check(env)
    if env.demand_engine.use_goodwill and not goodwill:
        raise AdapterError(
            "demand_config['use_goodwill'] is True: demand would depend on past service, which an "
            "instance cannot express; set it to False, or read the environment with goodwill=True "
            "for policies to act inside it"
        )
    scale = _node_scale(env)
    graph, customer = _graph(env)
    lanes = {edge: a for a, edge in enumerate(graph.edges)}
    nodes = {name: v for v, name in enumerate(graph.nodes)}
    demand_nodes = np.array([nodes[customer[link]] for link in net.retail_links], dtype=np.int64)
    ascending = np.argsort(demand_nodes)
    if (np.diff(ascending) < 0).any():
        raise AdapterError("customers must be listed in the order of the retail links")
    retail_scale = np.array([scale[j] for j, _ in net.retail_links])
    demand = GymInvmgmtDemand.of(env, demand_nodes, retail_scale)
    network = _network(env, graph, customer, scale)
    position = {int(a): k for k, a in enumerate(network.replenishment_lanes)}
    on_hand = np.zeros((1, len(nodes)))
    for j in net.main_nodes:
        on_hand[0, nodes[str(j)]] = env.graph.nodes[j].get("I0", 0) * scale[j]
    price = np.array([env.graph.edges[link]["p"] for link in net.retail_links])
    horizon = int(env.num_periods)
    instance = Instance(
        name=f"gym-invmgmt {env.env_kwargs.get('scenario', '')}".strip(),
        period="period",
        periods_per_year=float(horizon),
        money="money",
        quantity="units",
        network=network,
        start=0,
        horizon=horizon,
        on_hand=on_hand,
        due=np.zeros((1, len(nodes), network.longest_lead_time)),
        backlog=np.zeros((1, len(nodes))),
        demand=DemandTable(demand_nodes, 0, np.zeros((1, len(demand_nodes), 0))),
        forecast=Forecast(
            mean=demand.mean(0, horizon), standard_deviation=np.sqrt(demand.variance(0, horizon))
        ),
        demand_family="normal",
        notes={"source": "gym-invmgmt environment, see optrl.adapters.gym_invmgmt"},
    )
    return GymInvmgmt(
        instance=instance,
        demand=demand,
        revenue=np.zeros(len(price)) if env.backlog else price / retail_scale,
        order_lane=np.array([position[lanes[_names(e)]] for e in net.reorder_links]),
        order_scale=np.array([scale[w] for _, w in net.reorder_links]),
        node=np.array([nodes[str(j)] for j in net.main_nodes]),
        node_scale=np.array([scale[j] for j in net.main_nodes]),
    )


def _names(link: _Link) -> tuple[str, str]:
    return str(link[0]), str(link[1])


def _check(env: Any) -> None:
    net, graph = env.network, env.graph
    for j in net.rawmat:
        if j in net.main_nodes:
            raise AdapterError(
                f"raw-material node {j} has stock or capacity (I0, C), but raw materials are "
                "unlimited: remove the attribute or give the node a supplier"
            )
    for j in net.main_nodes:
        data = graph.nodes[j]
        if j in net.factory and j in net.retail:
            raise AdapterError(
                f"factory {j} serves a market itself: its capacity C = {data['C']} would also "
                "limit sales here, which it does not there; put a retailer between them"
            )
        if j not in net.factory and data.get("v", 1.0) != 1.0:
            raise AdapterError(
                f"node {j} has yield v = {data['v']} and no capacity C: the environment ignores "
                "its yield when it limits orders; set v = 1 or give the node a capacity"
            )


def _node_scale(env: Any) -> dict[Any, float]:
    """Units here per unit there: s_u = v_u s_w on every link u -> w between managed nodes."""
    net, graph = env.network, env.graph
    links = [(u, w) for u, w in net.reorder_links if u in net.main_nodes]
    ties: nx.Graph[Any] = nx.Graph()
    ties.add_nodes_from(net.main_nodes)
    ties.add_edges_from(links)
    scale: dict[Any, float] = {}
    for part in nx.connected_components(ties):
        root = next((j for j in net.retail if j in part), next(iter(part)))
        scale[root] = 1.0
        for near, far in nx.bfs_edges(ties, root):
            if (far, near) in graph.edges:
                scale[far] = scale[near] * graph.nodes[far].get("v", 1.0)
            else:
                scale[far] = scale[near] / graph.nodes[near].get("v", 1.0)
    for u, w in links:
        needed = scale[w] * graph.nodes[u].get("v", 1.0)
        if not np.isclose(scale[u], needed, rtol=1e-9):
            raise AdapterError(
                f"link {u} -> {w}: yields along the ways to market differ ({scale[u]:g} against "
                f"{needed:g}), so that no unit of stock at node {u} fits both; make the products "
                "of v along all ways equal"
            )
    return scale


def _graph(env: Any) -> tuple[nx.DiGraph[str], dict[_Link, str]]:
    """Our graph, and the customer of each retail link."""
    net = env.network
    graph: nx.DiGraph[str] = nx.DiGraph()
    for j in env.graph.nodes:
        if j in net.rawmat:
            graph.add_node(str(j), kind="supplier")
        elif j not in net.market:
            graph.add_node(str(j), kind="stocking")
    for u, w in net.reorder_links:
        length = int(env.graph.edges[u, w]["L"])
        graph.add_edge(str(u), str(w), lead_time=length + int(_only_ships(env, w)))
    customer: dict[_Link, str] = {}
    for j, market in net.retail_links:
        name = f"market {market} of {j}"
        before = sum(1 for retailer, _ in customer if retailer == j)
        customer[j, market] = name
        graph.add_node(name, kind="customer")
        for k in range(before):
            graph.add_node(_empty(k), kind="stocking")
        graph.add_edge(str(j), name, lead_time=0)
        for k in range(before):
            graph.add_edge(_empty(k), name, lead_time=0)
    return graph, customer


def _empty(k: int) -> str:
    return f"always empty {k}"


def _only_ships(env: Any, j: Any) -> bool:
    return j not in env.network.retail


def _network(
    env: Any, graph: nx.DiGraph[str], customer: dict[_Link, str], scale: dict[Any, float]
) -> Network:
    net = env.network
    nodes, lanes = list(graph.nodes), list(graph.edges)
    v, a = len(nodes), len(lanes)
    node_of = {name: k for k, name in enumerate(nodes)}
    lane_of = {edge: k for k, edge in enumerate(lanes)}
    holding, shortage = np.zeros((1, v)), np.zeros((1, v))
    lane_cost, fixed_cost = np.zeros((1, a)), np.zeros((1, a))
    longest = max((graph.edges[edge]["lead_time"] for edge in lanes), default=0)
    transit = np.zeros((1, a, longest))
    for j in net.main_nodes:
        holding[0, node_of[str(j)]] = env.graph.nodes[j]["h"] / scale[j]
    for u, w in net.reorder_links:
        data, lane = env.graph.edges[u, w], lane_of[str(u), str(w)]
        length = int(data["L"])
        price = data["p"] if u in net.rawmat else 0.0
        lane_cost[0, lane] = (price + _operating_cost(env, u)) / scale[w]
        fixed_cost[0, lane] = data.get("K", 0.0)
        transit[0, lane, :length] = data["g"] / scale[w]
        if _only_ships(env, w):
            transit[0, lane, length] = env.graph.nodes[w]["h"] / scale[w]
    allowed = np.array([[not u.startswith(_empty(0)[:-1]) for u, _ in lanes]])
    for (j, market), name in customer.items():
        data, lane = env.graph.edges[j, market], lane_of[str(j), name]
        revenue = data["p"] / scale[j]
        lane_cost[0, lane] = -revenue if env.backlog else 0.0
        lost = 0.0 if env.backlog else revenue
        shortage[0, node_of[name]] = lost + data["b"] / scale[j]
    # An unusable lane counts in the order of serving by its cost: below every usable one.
    lane_cost[~allowed] = lane_cost.min() - 1.0
    one, none, by_node = np.zeros(1), np.zeros((1, a)), np.zeros((1, v))
    return Network(
        graph=graph,
        items=("item",),
        unmet="backorder" if env.backlog else "lost",
        unit_cost=one,
        volume=one,
        weight=one,
        time=one,
        allowed=allowed,
        lane_cost=lane_cost,
        fixed_cost=fixed_cost,
        joint_fixed_cost=np.zeros(a),
        lot_size=none,
        minimum_quantity=none,
        setup_time=none,
        maximum_quantity=np.full((1, a), np.inf),
        review_period=np.ones(a, dtype=np.int64),
        review_offset=np.zeros(a, dtype=np.int64),
        holding_cost=holding,
        shortage_cost=shortage,
        terminal_value=by_node,
        service_level=by_node,
        supply_capacity=np.full((1, v), np.inf),
        resources=tuple(
            Resource(
                name=f"capacity of {j}",
                kind="outbound",
                use=np.ones(1),
                # What a factory ships is counted in its own stock's units over its yield.
                capacity=np.array([env.graph.nodes[j]["C"] * scale[j] / env.graph.nodes[j]["v"]]),
                node=node_of[str(j)],
            )
            for j in net.factory
        ),
        discount=float(env.alpha),
        transit_cost=transit,
    )


def _operating_cost(env: Any, j: Any) -> float:
    """Cost of a unit shipped out of a factory, 0 elsewhere."""
    if j not in env.network.factory:
        return 0.0
    data = env.graph.nodes[j]
    return float(data["o"] / data["v"])
