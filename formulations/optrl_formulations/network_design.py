"""Network design: which nodes open, which lanes are used, and what flows, in one period.

    minimize    sum_v opening_cost_v open_v + sum_a fixed_cost_a use_a
                + sum_a,k unit_cost_ak flow_ak
    subject to  inflow_vk + provided_vk - outflow_vk = demand_vk             each node, commodity
                sum_k flow_ak <= capacity_a use_a                            each lane
                sum_k (inflow_vk + provided_vk) <= capacity_v open_v         each node
                flow_ak <= bound_ak use_a,  flow_ak <= bound_ak open_u       strong linking
                use_a <= open_u for both ends u,  use_a, open_v in {0, 1}

Facility location, fixed-charge network flow, multicommodity design and plain minimum-cost flow are
this one formulation: binaries exist only for lanes and nodes that have a fixed cost, so without
any it is the network's linear program.

The bound of a lane is the smallest of its capacity, its ends' capacities, what sources that reach
it can supply and what destinations reachable from it demand. The last two hold for some optimal
solution because flow that runs around a cycle can be removed; they are used where this is free
(no negative unit cost, no minimum flow) and otherwise a lane with a fixed cost needs a capacity.

Two rows that these imply for integers, enough capacity and enough nodes open for all demand, are
stated too (`NetworkDesign.coverage`): the second, rounded up, lifts the relaxation wherever
capacities are scarce.

With `disaggregate` each destination's demand becomes a commodity of its own, so that bounds are a
single destination's demand instead of everybody's. The linear relaxation of uncapacitated
fixed-charge problems then comes close to the integer optimum, at as many times the columns as
there are destinations.

Sources: Balinski (1965), Integer programming: methods, uses, computation, Management Science 12,
    253-313 (strong linking in facility location). Rardin and Choe (1979), Tighter relaxations of
    fixed charge network flow problems, Georgia Tech report J-79-18, and Magnanti and Wong (1984),
    Network design and transportation planning, Transportation Science 18, 1-55, section 3.1
    (disaggregation by destination).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import numpy as np
import pyomo.environ as pyo

from optrl_formulations.network import BoolArray
from optrl_formulations.network_design_data import DesignData, read_design

Linking = Literal["strong", "weak"]

_COMPONENTS = (
    "flow",
    "use",
    "open",
    "provided",
    "balance",
    "supply",
    "lane_capacity",
    "minimum_flow",
    "node_capacity",
    "linking",
    "access",
    "coverage",
    "cost",
)


@dataclass(frozen=True)
class NetworkDesign:
    """Handles to what `add_network_design` has added.

    Nodes and lanes are numbered as the graph lists them. A *share* is a commodity, or with
    disaggregation a commodity of one destination.

    Attributes:
        nodes: Nodes in order.
        lanes: Lane keys in order: (origin, destination), with the key third in a multigraph.
        shares: Shares in order: (commodity, destination or None).
        flow: Flow by (lane, share).
        use: Whether a lane with a fixed cost is used, by lane.
        open: Whether a node with an opening cost is open, by node.
        provided: What a node provides where that is a decision, by (node, share).
        balance: Conservation of flow, by (node, share).
        supply: What a node provides over all shares, by (node, commodity).
        lane_capacity: Capacity of lanes that need the row, by lane.
        minimum_flow: By lane.
        node_capacity: Throughput capacity of nodes that need the row, by node.
        linking: Strong linking, by (lane, share, node whose opening it is or -1 for the lane).
        access: A lane with a fixed cost is used only between open nodes, by (lane, node).
        coverage: Enough capacity and enough nodes open for all demand.
        cost: Total cost.
    """

    nodes: tuple[Any, ...]
    lanes: tuple[tuple[Any, ...], ...]
    shares: tuple[tuple[str, Any], ...]
    flow: pyo.Var
    use: pyo.Var
    open: pyo.Var
    provided: pyo.Var
    balance: pyo.Constraint
    supply: pyo.Constraint
    lane_capacity: pyo.Constraint
    minimum_flow: pyo.Constraint
    node_capacity: pyo.Constraint
    linking: pyo.Constraint
    access: pyo.Constraint
    coverage: pyo.Constraint
    cost: pyo.Expression


def add_network_design(
    block: pyo.Block,
    graph: nx.Graph[Any],
    commodities: Sequence[str] = ("",),
    *,
    linking: Linking = "strong",
    strong_lanes: int | None = None,
    disaggregate: bool = False,
) -> NetworkDesign:
    """Add network design over a directed graph to a Pyomo block.

    A commodity-dependent attribute is a number, the same for all commodities, or a mapping from
    commodity to number. All are optional:

    * node: ``supply`` (by commodity; positive is provided and negative is demanded, exactly),
      ``supply_capacity`` (by commodity; what the node may provide beyond that),
      ``opening_cost``, ``capacity`` (of what enters the node or is provided there);
    * lane: ``unit_cost`` (by commodity), ``fixed_cost``, ``capacity``, ``minimum_flow``.

    Args:
        block: Where to add the components.
        graph: `networkx.DiGraph`, or `networkx.MultiDiGraph` for parallel lanes.
        commodities: Names; one nameless commodity by default.
        linking: ``strong`` links every flow to its binary with the tightest bound; ``weak``
            links sums of flows only, with far fewer rows and a weaker relaxation.
        strong_lanes: Link strongly only that many lanes into each node, the cheapest by unit
            cost; None for all. Where a destination has a hundred lanes, the dear ones carry
            nothing in the relaxation, and their rows only slow it down.
        disaggregate: Whether each destination's demand is a commodity of its own.

    Returns:
        Handles; `cost` is to be minimized.

    Raises:
        ValueError: If the graph is undirected, a number is not usable, supply and demand cannot
            balance, or a lane with a fixed cost has no bound; names the node or lane.
    """
    data = read_design(graph, commodities, disaggregate)
    lanes, shares = range(len(data.lanes)), range(len(data.share_commodity))
    nodes = range(len(data.nodes))
    cost = data.unit_cost[:, data.share_commodity]
    ends = list(zip(data.tail.tolist(), data.head.tolist(), strict=True))
    incoming: dict[int, list[int]] = {v: [] for v in nodes}
    outgoing: dict[int, list[int]] = {v: [] for v in nodes}
    for a, (u, v) in enumerate(ends):
        outgoing[u].append(a)
        incoming[v].append(a)

    block.flow = pyo.Var(
        lanes, shares, bounds=lambda _, a, q: (0.0, _finite(float(data.bound[a, q])))
    )
    block.use = pyo.Var(np.flatnonzero(data.fixed_cost > 0).tolist(), domain=pyo.Binary)
    block.open = pyo.Var(np.flatnonzero(data.opening_cost > 0).tolist(), domain=pyo.Binary)
    by_choice = [tuple(pair) for pair in np.argwhere(data.may_provide).tolist()]
    block.provided = pyo.Var(by_choice, domain=pyo.NonNegativeReals)
    provided: dict[tuple[int, int], Any] = dict(block.provided.items())

    def entering(v: int, q: int) -> Any:
        fixed = float(data.supplied[v, q])
        chosen = provided.get((v, q), 0.0)
        return pyo.quicksum(block.flow[a, q] for a in incoming[v]) + fixed + chosen

    block.balance = pyo.Constraint(
        nodes,
        shares,
        rule=lambda _, v, q: _row(
            entering(v, q) - pyo.quicksum(block.flow[a, q] for a in outgoing[v]),
            "==",
            float(data.demand[v, q]),
            f"node {data.nodes[v]!r} has no lane",
        ),
    )
    _add_supply(block, data)

    def lane_capacity_rule(_: Any, a: int) -> Any:
        total = float(data.bound[a].sum())
        if a in block.use:
            if strong[a] and total <= data.capacity[a] and len(shares) == 1:
                return pyo.Constraint.Skip  # the linking row says the same
            limit = float(min(data.capacity[a], total)) * block.use[a]
        elif len(shares) > 1 and total > data.capacity[a]:
            limit = float(data.capacity[a])
        else:
            return pyo.Constraint.Skip
        return pyo.quicksum(block.flow[a, q] for q in shares) <= limit

    strong = _strong_lanes(data, 0 if linking == "weak" else strong_lanes)
    block.lane_capacity = pyo.Constraint(lanes, rule=lane_capacity_rule)
    block.minimum_flow = pyo.Constraint(
        np.flatnonzero(data.minimum_flow > 0).tolist(),
        rule=lambda _, a: pyo.quicksum(block.flow[a, q] for q in shares) >= data.minimum_flow[a],
    )

    def node_capacity_rule(_: Any, v: int) -> Any:
        if v not in block.open and np.isinf(data.node_capacity[v]):
            return pyo.Constraint.Skip
        limit = float(min(data.node_capacity[v], data.through[v].sum()))
        if v in block.open:
            leaving = data.bound[outgoing[v]].sum()
            linked = strong[outgoing[v]].all()
            if linked and not data.demand[v].any() and leaving <= limit:
                return pyo.Constraint.Skip  # the linking rows of its lanes say as much
            return pyo.quicksum(entering(v, q) for q in shares) <= limit * block.open[v]
        return pyo.quicksum(entering(v, q) for q in shares) <= data.node_capacity[v]

    block.node_capacity = pyo.Constraint(nodes, rule=node_capacity_rule)
    strong_rows = [
        (a, int(q), end)
        for a in np.flatnonzero(strong).tolist()
        for end in _linked(block, a, ends[a])
        for q in np.flatnonzero(data.bound[a] > 0)
    ]
    block.linking = pyo.Constraint(
        strong_rows,
        rule=lambda _, a, q, end: (
            block.flow[a, q]
            <= float(data.bound[a, q]) * (block.use[a] if end < 0 else block.open[end])
        ),
    )
    block.access = pyo.Constraint(
        [(a, v) for a in block.use for v in ends[a] if v in block.open],
        rule=lambda _, a, v: block.use[a] <= block.open[v],
    )
    _add_coverage(block, data)
    block.cost = pyo.Expression(
        expr=pyo.quicksum(data.opening_cost[v] * block.open[v] for v in block.open)
        + pyo.quicksum(data.fixed_cost[a] * block.use[a] for a in block.use)
        + pyo.quicksum(float(cost[a, q]) * block.flow[a, q] for a, q in np.argwhere(cost).tolist())
    )
    return NetworkDesign(
        nodes=data.nodes,
        lanes=data.lanes,
        shares=tuple(
            (data.commodities[k], None if d < 0 else data.nodes[d])
            for k, d in zip(data.share_commodity, data.share_destination, strict=True)
        ),
        **{name: getattr(block, name) for name in _COMPONENTS},
    )


def _finite(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None


def _row(left: Any, sense: str, right: float, why: str) -> Any:
    """An equality whose left side may hold no variable."""
    if isinstance(left, (int, float)):
        if abs(left - right) > 1e-9 * max(1.0, abs(right)):
            raise ValueError(f"{why}: provided {left:g} cannot balance demand {right:g}")
        return pyo.Constraint.Skip
    return left == right


def _add_supply(block: pyo.Block, data: DesignData) -> None:
    """Total of what a node provides by choice, of each commodity."""
    shares_of: dict[tuple[int, int], list[int]] = {}
    if data.disaggregated:
        for v in np.flatnonzero((data.supply > 0).any(axis=1) & ~data.may_provide.any(axis=1)):
            raise ValueError(f"node {data.nodes[v]!r} has supply but no lane towards any demand")
    for v, q in block.provided:
        shares_of.setdefault((v, int(data.share_commodity[q])), []).append(q)

    def rule(_: Any, v: int, k: int) -> Any:
        total = pyo.quicksum(block.provided[v, q] for q in shares_of[v, k])
        exact = max(float(data.supply[v, k]), 0.0) if data.disaggregated else 0.0
        extra = float(data.supply_capacity[v, k])
        if extra == 0:
            return total == exact
        return pyo.inequality(exact, total, _finite(exact + extra))

    block.supply = pyo.Constraint(list(shares_of), rule=rule)


def _add_coverage(block: pyo.Block, data: DesignData) -> None:
    """Enough capacity open for all demand, and enough nodes: implied by balance and capacity.

    The relaxation gains nothing from the first row, but branch and bound derives cover cuts from
    it; the second is the first one rounded, with the largest capacities counted first.
    """
    offered = np.maximum(data.supply, 0.0) + data.supply_capacity
    limit = np.minimum(offered.sum(axis=1), data.node_capacity)
    chosen = [v for v in block.open if limit[v] > 0]
    asked = float(np.maximum(-data.supply, 0.0).sum())
    asked -= float(np.delete(limit, chosen).sum())
    largest = np.cumsum(np.sort(limit[chosen])[::-1])
    needed = int(np.searchsorted(largest, asked - 1e-9 * max(1.0, abs(asked)))) + 1
    rows = {"capacity", "count"} if chosen and 0 < asked < np.inf else set()
    if needed > len(chosen) and rows:
        raise ValueError(
            f"nodes that may open provide at most {largest[-1]:g} of the {asked:g} asked of them; "
            "raise their capacity or supply_capacity"
        )

    def rule(_: Any, kind: str) -> Any:
        if kind == "count":
            return pyo.quicksum(block.open[v] for v in chosen) >= needed
        most = np.minimum(limit, asked)
        return pyo.quicksum(float(most[v]) * block.open[v] for v in chosen) >= asked

    block.coverage = pyo.Constraint(sorted(rows), rule=rule)


def _strong_lanes(data: DesignData, most: int | None) -> BoolArray:
    """Which lanes are linked strongly: the `most` cheapest into each node, or all for None."""
    if most is None:
        return np.ones(len(data.lanes), dtype=np.bool_)
    order = np.lexsort((data.unit_cost.mean(axis=1), data.head))
    head = data.head[order]
    first = np.searchsorted(head, head)  # where the run of lanes into the same node begins
    strong = np.zeros(len(data.lanes), dtype=np.bool_)
    strong[order] = np.arange(len(order)) - first < most
    return strong


def _linked(block: pyo.Block, lane: int, ends: tuple[int, int]) -> list[int]:
    """Binaries a lane's flow is linked to: its own (-1), else those of its ends."""
    if lane in block.use:
        return [-1]
    return [v for v in ends if v in block.open]
