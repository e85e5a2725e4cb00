"""Capacitated multi-item lot sizing with set-up times in Trigeiro's text format.

    number of items, number of periods
    unit production cost
    capacity of each period (one number)
    per item: capacity used by a unit, holding cost, set-up time, set-up cost
    per period: demand of each item
    remarks

It is a replenishment network: one lane with lead time 0 from a plant into one stocking node, whose
capacity set-ups and production share. There is no initial stock and all demand is met, so that the
production cost is a constant; published values leave it out, and so does the objective here.

Rows that replenishment planning in general does not have are added, one for every item and short
interval of periods: what is demanded up to t and not produced from k on lies in stock before k,

    on_hand_{k-1} >= sum_{t=k..l} demand_t (1 - sum_{u=k..t} used_u)

Sources: Trigeiro, Thomas and McClain (1989), Capacitated lot sizing with setup times, Management
    Science 35, 353-366. Pochet and Wolsey (1994), Polyhedra for lot-sizing with Wagner-Whitin
    costs, Mathematical Programming 67, 297-323 (the added rows).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray, Network, Resource

from optrl.formats.problem import FormatError, OpenParameters, Problem, Tokens, read_text

# Stock is rarely held longer; intervals over the whole horizon cost more time than they save.
_LONGEST_INTERVAL = 8


@dataclass(frozen=True)
class LotSizing:
    """Lot sizing of N items over T periods.

    Attributes:
        capacity: Of every period.
        production_cost: Of a unit of any item.
        use: Capacity used by a unit, shape (N,).
        holding_cost: Of a unit at the end of a period, shape (N,).
        setup_time: Capacity used by a set-up, shape (N,).
        setup_cost: Shape (N,).
        demand: Shape (N, T).
    """

    capacity: float
    production_cost: float
    use: FloatArray
    holding_cost: FloatArray
    setup_time: FloatArray
    setup_cost: FloatArray
    demand: FloatArray

    def network(self) -> Network:
        """The replenishment network, without production cost."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_node("plant", kind="supplier")
        graph.add_node("stock", kind="stocking")
        graph.add_edge("plant", "stock", lead_time=0)
        items = len(self.use)
        by_item, by_lane, by_node = np.zeros(items), np.zeros((items, 1)), np.zeros((items, 2))
        whole_demand = by_node.copy()
        whole_demand[:, 1] = 1.0
        holding_cost = by_node.copy()
        holding_cost[:, 1] = self.holding_cost
        return Network(
            graph=graph,
            items=tuple(f"item {k + 1}" for k in range(items)),
            unmet="lost",
            unit_cost=by_item,
            volume=by_item,
            weight=by_item,
            time=self.use,
            allowed=np.ones((items, 1), dtype=np.bool_),
            lane_cost=by_lane,
            fixed_cost=self.setup_cost[:, None],
            joint_fixed_cost=np.zeros(1),
            lot_size=by_lane,
            minimum_quantity=by_lane,
            maximum_quantity=np.full((items, 1), np.inf),
            setup_time=self.setup_time[:, None],
            review_period=np.ones(1, dtype=np.int64),
            review_offset=np.zeros(1, dtype=np.int64),
            holding_cost=holding_cost,
            shortage_cost=by_node,
            terminal_value=by_node,
            service_level=whole_demand,
            supply_capacity=np.full((items, 2), np.inf),
            resources=(
                Resource(
                    name="production",
                    kind="inbound",
                    use=self.use,
                    capacity=np.array([self.capacity]),
                    node=1,
                    takes_setup_time=True,
                ),
            ),
        )

    def program(self) -> LinearProgram:
        """The mixed-integer program."""
        import pyomo.environ as pyo
        from optrl_formulations.replenishment import add_replenishment
        from optrl_formulations.replenishment_data import ReplenishmentData
        from optrl_formulations.replenishment_layout import ReplenishmentLayout
        from optrl_formulations.scenario_tree import ScenarioTree

        from optrl.solver import compile_model

        items, periods = self.demand.shape
        tree = ScenarioTree.chain(periods)
        demand_pairs = np.zeros((items, 2), dtype=np.bool_)
        demand_pairs[:, 1] = True
        layout = ReplenishmentLayout(self.network(), tree, 0, demand_pairs)
        demand = np.zeros((items, 2, periods + 1))
        demand[:, 1, 1:] = self.demand  # node d + 1 of a chain is the outcome of period d
        none = np.zeros((items, 2))
        data = ReplenishmentData(
            on_hand=none, due=np.zeros((items, 2, 0)), backlog=none, demand=demand
        )
        model = pyo.ConcreteModel()
        model.plan = pyo.Block()
        handles = add_replenishment(model.plan, layout, data)
        model.interval = pyo.ConstraintList()
        for i, item in enumerate(layout.network.items):
            used = [model.plan.used[item, "plant", "stock", t] for t in range(periods)]
            for k in range(periods):
                # Stock before period k: the outcome of period k - 1 is tree node k.
                before = handles.on_hand[item, "stock", k] if k else 0.0
                missing, made = 0.0, 0.0
                for t in range(k, min(k + _LONGEST_INTERVAL, periods)):
                    made = made + used[t]
                    if self.demand[i, t] > 0:
                        missing = missing + float(self.demand[i, t]) * (1 - made)
                        model.interval.add(before >= missing)
        model.total_cost = pyo.Objective(expr=handles.cost)
        return compile_model(model, handles.data)


def recognizes(path: Path, head: str) -> bool:
    """Two counts, two lines of one number, and a line of four."""
    lines = [line.split() for line in head.splitlines()[:4]]
    return [len(words) for words in lines] == [2, 1, 1, 4] and all(
        word.isdigit() for word in lines[0]
    )


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format.
    """
    problem = parse(path)
    items, periods = problem.demand.shape
    notes = (f"production cost {problem.production_cost:g} a unit is constant and left out",)
    size = {"items": items, "periods": periods}
    return (Problem(path.name, size, problem.program, notes=notes),)


def parse(path: Path) -> LotSizing:
    """Read the numbers.

    Raises:
        FormatError: If the file does not follow the format, or an item's set-up leaves no
            capacity for it.
    """
    tokens = Tokens(path, read_text(path))
    items = tokens.integer("the number of items", low=1)
    periods = tokens.integer("the number of periods", low=1)
    production_cost = tokens.number("the production cost", low=0)
    capacity = tokens.number("the capacity", low=0)
    rows = np.zeros((items, 4))
    names = ("use of capacity", "holding cost", "set-up time", "set-up cost")
    for i in range(items):
        for k, name in enumerate(names):
            rows[i, k] = tokens.number(f"the {name} of item {i + 1}", low=0)
        if rows[i, 2] >= capacity:
            raise FormatError(
                path,
                tokens.line,
                f"the set-up time of item {i + 1} leaves nothing of capacity {capacity:g}",
                "Correct either.",
                f"{rows[i, 2]:g}",
            )
    demand = np.zeros((items, periods))
    for t in range(periods):
        for i in range(items):
            demand[i, t] = tokens.number(f"the demand of item {i + 1} in period {t + 1}", low=0)
    return LotSizing(
        capacity=capacity,
        production_cost=production_cost,
        use=rows[:, 0],
        holding_cost=rows[:, 1],
        setup_time=rows[:, 2],
        setup_cost=rows[:, 3],
        demand=demand,
    )
