"""Guaranteed-service safety stock: where in a network of stages to hold it.

Every stage j promises its customers a service time S_j and is promised SI_j, the largest of its
suppliers' service times. What it must cover from stock is its net replenishment time
tau_j = SI_j + T_j - S_j, with T_j its own lead time:

    minimize    holding_rate * sum_j c_j B_j sqrt(tau_j)
    subject to  SI_j >= S_i                                   each supplier i of j
                tau_j = SI_j + T_j - S_j >= 0
                0 <= S_j <= maximum service time of j

c_j is the cost accumulated along the network up to j. B_j sqrt(tau) bounds demand above its mean
over tau periods: B_j = safety factor times standard deviation for external demand, and
(sum over what draws on j of (quantity * B)^p)^(1/p) inside the network, with p the stage's risk
pooling (1 none, 2 as for independent demands).

The cost is concave, so some optimal solution is a vertex of a system of differences and service
times are integer whenever lead times are. Selecting among integer times is therefore exact, at two
sizes, with M the longest cumulative lead time:

* ``service_times`` chooses the pair (SI_j, S_j), M^2 / 2 columns a stage, service times in
  unary: ``promised[j, t] = 1`` if S_j >= t. On trees and assembly networks the linear relaxation
  is already integer, because the pairs are the cliques of a tree; elsewhere it is still tight.
* ``net_replenishment_time`` chooses tau_j, M columns a stage, with the weak relaxation
  of a concave function; for networks too long for pairs.

Sources: Graves and Willems (2000), Optimizing strategic safety stock placement in supply chains,
    M&SOM 2, 68-83, problem P. Humair and Willems (2011), Optimizing strategic safety stock
    placement in general acyclic networks, Operations Research 59, 781-787 (general acyclic
    networks). Risk pooling exponent: Graves and Willems (2000), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import pyomo.environ as pyo

Selection = Literal["service_times", "net_replenishment_time"]


@dataclass(frozen=True)
class StageData:
    """What the formulation derives for one stage.

    Attributes:
        lead_time: Own lead time T, periods.
        cumulative_cost: Cost of a unit of all that goes into it, money.
        demand_bound: B, units per square root of a period.
        longest_inbound: Largest inbound service time SI that can be useful, periods.
        longest_outbound: Largest service time S that can be promised, periods.
    """

    lead_time: int
    cumulative_cost: float
    demand_bound: float
    longest_inbound: int
    longest_outbound: int

    def cost(self, net_replenishment_time: int) -> float:
        """Value of the safety stock that covers a net replenishment time."""
        return self.cumulative_cost * self.demand_bound * math.sqrt(net_replenishment_time)


@dataclass(frozen=True)
class SafetyStock:
    """Handles to what `add_safety_stock` has added.

    Attributes:
        stages: Stages in graph order; components are indexed by position.
        data: What was derived for each stage.
        service_time: S of each stage, periods.
        inbound_service_time: SI of each stage, periods.
        net_replenishment_time: tau of each stage, periods.
        stage_cost: Holding cost of each stage's safety stock.
        choice: The selecting columns.
        cost: Total holding cost.
    """

    stages: tuple[Any, ...]
    data: tuple[StageData, ...]
    service_time: pyo.Expression
    inbound_service_time: pyo.Expression
    net_replenishment_time: pyo.Expression
    stage_cost: pyo.Expression
    choice: pyo.Var
    cost: pyo.Expression


def add_safety_stock(
    block: pyo.Block,
    graph: nx.DiGraph[Any],
    *,
    holding_rate: float = 1.0,
    selection: Selection = "service_times",
) -> SafetyStock:
    """Add the guaranteed-service model over an acyclic network to a Pyomo block.

    Nodes carry ``lead_time`` (whole periods) and optionally ``added_cost`` (default 0),
    ``maximum_service_time`` (default none), ``risk_pooling`` (default 1) and, for external demand,
    ``demand_standard_deviation`` with ``safety_factor``. Arcs run from supplier to customer stage
    and carry ``quantity``, the units of the supplier in one unit of the customer (default 1).

    Args:
        block: Where to add the components.
        graph: The network of stages.
        holding_rate: Holding cost of a period per unit of money in stock.
        selection: See the module's docstring.

    Returns:
        Handles; `cost` is to be minimized.

    Raises:
        ValueError: If the network has a cycle or a number is not usable; names the stage.
    """
    if not (math.isfinite(holding_rate) and holding_rate >= 0):
        raise ValueError(f"holding_rate is {holding_rate}, must be finite and not negative")
    derived = derive_stages(graph)
    stages = tuple(graph.nodes)
    number = {stage: j for j, stage in enumerate(stages)}
    data = tuple(derived[stage] for stage in stages)
    arcs = [(number[i], number[j]) for i, j in graph.edges]
    if selection == "service_times":
        cost = _select_service_times(block, data, arcs)
    else:
        cost = _select_net_replenishment_time(block, data, arcs)
    every = range(len(stages))
    block.net_replenishment_time = pyo.Expression(
        every,
        rule=lambda _, j: block.inbound_service_time[j] + data[j].lead_time - block.service_time[j],
    )
    block.stage_cost = pyo.Expression(every, rule=lambda _, j: holding_rate * cost[j])
    block.cost = pyo.Expression(expr=pyo.quicksum(block.stage_cost[j] for j in every))
    return SafetyStock(
        stages=stages,
        data=data,
        service_time=block.service_time,
        inbound_service_time=block.inbound_service_time,
        net_replenishment_time=block.net_replenishment_time,
        stage_cost=block.stage_cost,
        choice=block.choice,
        cost=block.cost,
    )


def _select_service_times(
    block: pyo.Block, data: tuple[StageData, ...], arcs: list[tuple[int, int]]
) -> list[Any]:
    every = range(len(data))
    pairs = [
        (j, inbound, outbound)
        for j in every
        for inbound in range(data[j].longest_inbound + 1)
        for outbound in range(min(data[j].longest_outbound, inbound + data[j].lead_time) + 1)
    ]
    block.choice = pyo.Var(pairs, bounds=(0, 1))
    # Once the promises are whole, cost rises with the inbound time, so that its smallest allowed
    # value is chosen and pairs need not be declared binary.
    block.promised = pyo.Var(
        [(j, t) for j in every for t in range(1, data[j].longest_outbound + 1)],
        domain=pyo.Binary,
    )
    block.received = pyo.Var(
        [(j, t) for j in every for t in range(1, data[j].longest_inbound + 1)], bounds=(0, 1)
    )
    by_inbound: dict[tuple[int, int], list[Any]] = {}
    by_outbound: dict[tuple[int, int], list[Any]] = {}
    cost: list[list[Any]] = [[] for _ in every]
    for j, inbound, outbound in pairs:
        pair = block.choice[j, inbound, outbound]
        by_inbound.setdefault((j, inbound), []).append(pair)
        by_outbound.setdefault((j, outbound), []).append(pair)
        cost[j].append(data[j].cost(inbound + data[j].lead_time - outbound) * pair)

    def at(unary: pyo.Var, j: int, t: int, longest: int) -> Any:
        """Share of the choice that is exactly t."""
        least = 1.0 if t == 0 else unary[j, t]
        return least - (unary[j, t + 1] if t < longest else 0.0)

    block.outbound_choice = pyo.Constraint(
        list(by_outbound),
        rule=lambda _, j, t: (
            pyo.quicksum(by_outbound[j, t]) == at(block.promised, j, t, data[j].longest_outbound)
        ),
    )
    block.inbound_choice = pyo.Constraint(
        list(by_inbound),
        rule=lambda _, j, t: (
            pyo.quicksum(by_inbound[j, t]) == at(block.received, j, t, data[j].longest_inbound)
        ),
    )
    block.promise = pyo.Constraint(
        [(i, j, t) for i, j in arcs for t in range(1, data[i].longest_outbound + 1)],
        rule=lambda _, i, j, t: block.received[j, t] >= block.promised[i, t],
    )
    block.service_time = pyo.Expression(
        every,
        rule=lambda _, j: pyo.quicksum(
            block.promised[j, t] for t in range(1, data[j].longest_outbound + 1)
        ),
    )
    block.inbound_service_time = pyo.Expression(
        every,
        rule=lambda _, j: pyo.quicksum(
            block.received[j, t] for t in range(1, data[j].longest_inbound + 1)
        ),
    )
    return [pyo.quicksum(terms) for terms in cost]


def _select_net_replenishment_time(
    block: pyo.Block, data: tuple[StageData, ...], arcs: list[tuple[int, int]]
) -> list[Any]:
    every = range(len(data))
    times = {
        j: range(
            max(0, data[j].lead_time - data[j].longest_outbound),
            data[j].longest_inbound + data[j].lead_time + 1,
        )
        for j in every
    }
    block.outbound = pyo.Var(every, bounds=lambda _, j: (0, data[j].longest_outbound))
    block.inbound = pyo.Var(every, bounds=lambda _, j: (0, data[j].longest_inbound))
    block.choice = pyo.Var([(j, n) for j in every for n in times[j]], domain=pyo.Binary)
    block.one_choice = pyo.Constraint(
        every, rule=lambda _, j: pyo.quicksum(block.choice[j, n] for n in times[j]) == 1
    )
    block.replenishment = pyo.Constraint(
        every,
        rule=lambda _, j: (
            block.inbound[j] + data[j].lead_time - block.outbound[j]
            == pyo.quicksum(n * block.choice[j, n] for n in times[j])
        ),
    )
    block.promise = pyo.Constraint(arcs, rule=lambda _, i, j: block.inbound[j] >= block.outbound[i])
    block.service_time = pyo.Expression(every, rule=lambda _, j: block.outbound[j])
    block.inbound_service_time = pyo.Expression(every, rule=lambda _, j: block.inbound[j])
    return [pyo.quicksum(data[j].cost(n) * block.choice[j, n] for n in times[j]) for j in every]


def derive_stages(graph: nx.DiGraph[Any]) -> dict[Any, StageData]:
    """Cumulative costs, demand bounds and longest service times of all stages.

    Raises:
        ValueError: See `add_safety_stock`.
    """
    if not nx.is_directed_acyclic_graph(graph):
        cycle = " -> ".join(repr(arc[0]) for arc in nx.find_cycle(graph))
        raise ValueError(f"the network has a cycle through {cycle}; stages must be acyclic")
    order = list(nx.topological_sort(graph))
    cost: dict[Any, float] = {}
    inbound: dict[Any, int] = {}
    outbound: dict[Any, int] = {}
    for j in order:
        stage = graph.nodes[j]
        cost[j] = _number(j, stage, "added_cost", 0.0) + sum(
            _quantity(graph, i, j) * cost[i] for i in graph.predecessors(j)
        )
        inbound[j] = max((outbound[i] for i in graph.predecessors(j)), default=0)
        longest = inbound[j] + _whole(j, stage, "lead_time")
        limited = stage.get("maximum_service_time") is not None
        outbound[j] = min(longest, _whole(j, stage, "maximum_service_time")) if limited else longest
    bound: dict[Any, float] = {}
    for j in reversed(order):
        stage = graph.nodes[j]
        pooling = _number(j, stage, "risk_pooling", 1.0)
        if pooling < 1:
            raise ValueError(f"stage {j!r}: risk_pooling is {pooling}, must be at least 1")
        drawn = [_quantity(graph, j, k) * bound[k] for k in graph.successors(j)]
        if stage.get("demand_standard_deviation") is not None:
            drawn.append(
                _number(j, stage, "demand_standard_deviation") * _number(j, stage, "safety_factor")
            )
        if not drawn:
            raise ValueError(
                f"stage {j!r} has neither a customer stage nor external demand; give it "
                "demand_standard_deviation and safety_factor, or remove it"
            )
        largest = max(drawn)  # scaled, so that high powers neither overflow nor vanish
        scaled = sum((b / largest) ** pooling for b in drawn) if largest > 0 else 0.0
        bound[j] = largest * scaled ** (1 / pooling)
    return {
        j: StageData(
            lead_time=_whole(j, graph.nodes[j], "lead_time"),
            cumulative_cost=cost[j],
            demand_bound=bound[j],
            longest_inbound=inbound[j],
            longest_outbound=outbound[j],
        )
        for j in order
    }


def _quantity(graph: nx.DiGraph[Any], i: Any, j: Any) -> float:
    quantity = float(graph.edges[i, j].get("quantity", 1.0))
    if not (math.isfinite(quantity) and quantity >= 0):
        raise ValueError(f"arc {(i, j)!r}: quantity is {quantity}, must be finite and not negative")
    return quantity


def _number(
    stage: Any, attributes: Mapping[str, Any], name: str, default: float | None = None
) -> float:
    value = attributes.get(name, default)
    if value is None:
        raise ValueError(f"stage {stage!r} has no {name}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"stage {stage!r}: {name} is {value}, must be finite and not negative")
    return float(value)


def _whole(stage: Any, attributes: Mapping[str, Any], name: str) -> int:
    value = _number(stage, attributes, name)
    if value != int(value):
        raise ValueError(
            f"stage {stage!r}: {name} is {value}, must be a whole number of periods; "
            "choose a shorter period"
        )
    return int(value)
