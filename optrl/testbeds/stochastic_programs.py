"""Published stochastic programs with known optima, stated in Pyomo as a user would state them.

Sources: Dowson (2020), Networks 76(1), and the documentation of SDDP.jl (air conditioning, stock,
hydro, inventory); the FAST toolbox (production); Birge & Louveaux (2011), Introduction to
Stochastic Programming, section 1.1 (farmer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix

from optrl.decomposition.sddp import Outcome, PolicyGraph, Stage, pyomo_stage


@dataclass(frozen=True)
class PublishedProgram:
    """A multistage program and what is known of it.

    Attributes:
        graph: Makes its graph.
        optimum: Expected cost of the best policy.
        digits: Relative precision to which `optimum` is published.
    """

    graph: Callable[[], PolicyGraph]
    optimum: float
    digits: float = 1e-5


def _fixed(model: Any, name: str) -> Any:
    """A variable whose value outcomes or earlier stages set."""
    model.add_component(name, pyo.Var(initialize=0.0))
    variable = model.component(name)
    variable.fix(0.0)
    return variable


def _seen(name: str, values: FloatArray) -> list[Outcome]:
    """Equally likely values of one number."""
    return [Outcome(1 / len(values), {name: np.array([v])}, label=f"{v:g}") for v in values]


def air_conditioning() -> PolicyGraph:
    """Production of air conditioners, three stages (SDDP.jl's documentation)."""

    def stage(demand: list[float]) -> Stage:
        m = pyo.ConcreteModel()
        stored_in, wanted = _fixed(m, "stored_in"), _fixed(m, "demand")
        m.stored, m.made = pyo.Var(bounds=(0, 100)), pyo.Var(bounds=(0, 200))
        m.overtime = pyo.Var(bounds=(0, None))
        m.balance = pyo.Constraint(expr=m.stored == stored_in + m.made + m.overtime - wanted)
        m.cost = pyo.Objective(expr=100 * m.made + 300 * m.overtime + 50 * m.stored)
        return pyomo_stage(
            m,
            incoming=[stored_in],
            outgoing=[m.stored],
            noise=[wanted],
            outcomes=_seen("demand", np.array(demand)),
        )

    stages = [stage([100.0]), stage([100.0, 300.0]), stage([100.0, 300.0])]
    return PolicyGraph.linear([*stages[:2], replace(stages[2], exits=())], np.zeros(1))


def production() -> PolicyGraph:
    """Production management of the FAST toolbox, three stages."""

    def stage(t: int) -> Stage:
        m = pyo.ConcreteModel()
        m.x_in = pyo.Var([0, 1], initialize=0.0)
        m.x_in.fix(0.0)
        demand = _fixed(m, "demand")
        m.x, m.sold = pyo.Var([0, 1], bounds=(0, None)), pyo.Var([0, 1], bounds=(0, None))
        m.stock = pyo.Constraint([0, 1], rule=lambda b, i: b.sold[i] <= b.x_in[i])
        m.market = pyo.Constraint(expr=m.sold[0] + m.sold[1] <= demand)
        m.cost = pyo.Objective(
            expr=0.2 * m.x[0] + 0.7 * m.x[1] - 2.33 * m.sold[0] - 2.54 * m.sold[1]
        )
        values = np.array([0.0]) if t == 0 else np.array([2.0, 10.0])
        return pyomo_stage(
            m,
            incoming=[m.x_in],
            outgoing=[m.x] if t < 2 else [],
            noise=[demand],
            outcomes=_seen("demand", values),
        )

    return PolicyGraph.linear([stage(t) for t in range(3)], np.zeros(2))


def stock() -> PolicyGraph:
    """The stock example of SDDP.jl, five stages, ten outcomes each."""

    def stage(t: int) -> Stage:
        m = pyo.ConcreteModel()
        state_in, inflow = _fixed(m, "state_in"), _fixed(m, "inflow")
        m.state, m.control = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 0.5))
        m.balance = pyo.Constraint(expr=m.state == state_in - m.control + inflow)
        m.cost = pyo.Objective(expr=(np.sin(3 * t) - 1) * m.control)
        return pyomo_stage(
            m,
            incoming=[state_in],
            outgoing=[m.state] if t < 5 else [],
            noise=[inflow],
            outcomes=_seen("inflow", np.arange(10) / 30),
        )

    return PolicyGraph.linear([stage(t) for t in range(1, 6)], np.array([0.5]))


def hydro(discount: float = 0.9) -> PolicyGraph:
    """Hydro and thermal power without end, discounted (SDDP.jl's documentation)."""
    m = pyo.ConcreteModel()
    level_in, inflow, demand = _fixed(m, "level_in"), _fixed(m, "inflow"), _fixed(m, "demand")
    m.level, m.thermal = pyo.Var(bounds=(5, 15)), pyo.Var(bounds=(0, None))
    m.hydro, m.spill = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    m.water = pyo.Constraint(expr=m.level == level_in - m.hydro - m.spill + inflow)
    m.power = pyo.Constraint(expr=m.hydro + m.thermal == demand)
    m.cost = pyo.Objective(expr=10 * m.spill + m.thermal)
    outcomes = [
        Outcome(1 / 3, {"inflow": np.array([rain]), "demand": np.array([need])})
        for rain, need in ((0.0, 7.5), (5.0, 5.0), (10.0, 2.5))
    ]
    stage = pyomo_stage(
        m, incoming=[level_in], outgoing=[m.level], noise=[inflow, demand], outcomes=outcomes
    )
    return PolicyGraph(
        {"week": stage}, {"week": ({"week": discount},)}, {"week": 1.0}, np.array([10.0])
    )


def inventory(periods: int = 10) -> PolicyGraph:
    """The inventory of SDDP.jl's tutorial: stock is sold back at cost in the end."""

    def stage(t: int) -> Stage:
        m = pyo.ConcreteModel()
        names = ("stock_in", "backlog_in", "ordered_in", "demand")
        stock_in, backlog_in, ordered_in, demand = (_fixed(m, name) for name in names)
        for name in ("stock", "backlog", "ordered", "sold"):
            m.add_component(name, pyo.Var(bounds=(0, None)))
        m.on_hand = pyo.Constraint(expr=m.stock == stock_in + ordered_in - m.sold)
        m.waiting = pyo.Constraint(expr=m.backlog == backlog_in + demand - m.sold)
        values = np.linspace(0, 800, 20)
        if t == 0:
            m.sold.setub(0)
            m.cost, values = pyo.Objective(expr=35 * m.ordered), np.zeros(1)
        elif t == periods:
            m.ordered.setub(0)
            m.cost = pyo.Objective(expr=-35 * m.stock + 35 * m.backlog)
        else:
            m.cost = pyo.Objective(expr=35 * m.ordered + m.stock + 15 * m.backlog)
        return pyomo_stage(
            m,
            incoming=[stock_in, backlog_in, ordered_in],
            outgoing=[m.stock, m.backlog, m.ordered] if t < periods else [],
            noise=[demand],
            outcomes=_seen("demand", values),
        )

    stages = [stage(t) for t in range(periods + 1)]
    return PolicyGraph.linear(stages, np.array([10.0, 0.0, 0.0]))


def farmer() -> TwoStageProgram:
    """Birge & Louveaux's farmer: yields, coefficients of the first stage, are random."""
    names = ["wheat", "corn", "beets", "buy wheat", "sell wheat", "buy corn", "sell corn"]
    names += ["sell beets", "sell beets beyond"]
    cost = np.array([150, 230, 260, 238, -170, 210, -150, -36, -10], dtype=float)
    matrix = np.zeros((4, 9))
    matrix[0, :3] = 1
    matrix[1, [0, 3, 4]] = [2.5, 1, -1]
    matrix[2, [1, 5, 6]] = [3, 1, -1]
    matrix[3, [2, 7, 8]] = [-20, 1, 1]
    upper = np.full(9, np.inf)
    upper[7] = 6000
    core = LinearProgram(
        cost=cost,
        offset=0.0,
        matrix=csr_matrix(matrix),
        row_lower=np.array([-np.inf, 200, 240, -np.inf]),
        row_upper=np.array([500, np.inf, np.inf, 0.0]),
        column_lower=np.zeros(9),
        column_upper=upper,
        integrality=np.zeros(9, dtype=np.bool_),
        columns={"x": Block("x", 0, 9, lambda k: names[k])},
        rows={"r": Block("r", 0, 4, str)},
    )
    yields = np.array([[2.5, 3.0, -20.0]]) * np.array([[1.2], [1.0], [0.8]])
    scenarios = Scenarios(
        np.full(3, 1 / 3),
        entry_row=np.array([1, 2, 3]),
        entry_column=np.array([0, 1, 2]),
        entry=yields,
    )
    return TwoStageProgram(core, np.arange(9) < 3, np.arange(4) < 1, scenarios)


PROGRAMS: Mapping[str, PublishedProgram] = {
    "air conditioning": PublishedProgram(air_conditioning, 62_500.0),
    "production": PublishedProgram(production, -23.96),
    "stock": PublishedProgram(stock, -1.4711, 2e-4),
    "hydro": PublishedProgram(hydro, 119.1667),
    "inventory": PublishedProgram(inventory, 143_174.21),
}
