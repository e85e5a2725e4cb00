"""Average value at risk, nested from stage to stage, against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from optrl.decomposition.sddp import (
    DemandOutcomes,
    RiskMeasure,
    Sddp,
    SddpError,
    SddpSettings,
    Stopping,
    replenishment_graph,
    train,
)
from optrl.solver import Model, compile_model
from optrl.testbeds.lost_sales import LostSalesFamily

DEMAND = (0.0, 2.0, 5.0)
CHANCE = (0.3, 0.5, 0.2)


@given(
    values=st.lists(st.floats(-50, 50), min_size=2, max_size=6),
    weight=st.floats(0, 1),
    tail=st.floats(0.05, 1),
    seed=st.integers(0, 999),
)
def test_weights_are_the_worst_of_the_set(values, weight, tail, seed) -> None:
    """Truth: the largest expectation over p' with p' <= p / tail, by a linear program."""
    p = np.random.default_rng(seed).dirichlet(np.ones(len(values)))
    z = np.array(values)
    bounds = [(0, q / tail) for q in p]
    worst = -linprog(-z, A_eq=np.ones((1, len(z))), b_eq=[1.0], bounds=bounds).fun
    risk = RiskMeasure(weight, tail)
    assert risk(z, p) == pytest.approx(weight * (p @ z) + (1 - weight) * worst, abs=1e-7)
    assert risk.weights(z, p).sum() == pytest.approx(1.0)
    assert risk(z, p) >= p @ z - 1e-9


def small_instance():
    """Lost sales, lead time 1, two in stock."""
    bed = LostSalesFamily.case("uniform", 9, 1, mean=2.0)
    on_hand = np.zeros_like(bed.instance.on_hand)
    on_hand[0, 1] = 2
    return replace(bed.instance, on_hand=on_hand)


def nested_by_brute_force(periods: int, weight: float, tail: float) -> float:
    """One program over the whole tree: at each node the risk of what its outcomes cost and lead to.

    Order, then demand: nested as  risk_d[ h left + p lost + next node ].
    """
    m = pyo.ConcreteModel()
    m.rows, m.x = pyo.ConstraintList(), pyo.VarList()

    def variable(low: float | None = 0.0):
        v = m.x.add()
        v.setlb(low)
        return v

    def node(left: int, stock) -> object:
        """The risk of the remaining cost."""
        order, eta = variable(), variable(None)
        mean, excess = 0.0, 0.0
        for demand, chance in zip(DEMAND, CHANCE, strict=True):
            kept, lost = variable(), variable()
            m.rows.add(kept - lost == stock - demand)
            cost = kept + 9 * lost
            if left > 1:
                cost = cost + node(left - 1, kept + order)
            z, over = variable(None), variable()
            m.rows.add(z >= cost)
            m.rows.add(over >= z - eta)
            mean, excess = mean + chance * z, excess + chance * over
        return weight * mean + (1 - weight) * (eta + excess / tail)

    m.cost = pyo.Objective(expr=node(periods, 2.0))
    return Model(compile_model(m)).solve().objective


@pytest.mark.parametrize("cuts", ["single", "multi"])
@pytest.mark.parametrize(("weight", "tail"), [(1.0, 1.0), (0.0, 0.2), (0.4, 0.5), (0.0, 0.35)])
def test_risk_over_exits_equals_the_tree(cuts, weight: float, tail: float) -> None:
    """Truth: the nested program over the whole tree, for orders placed before demand."""
    truth = nested_by_brute_force(3, weight, tail)
    outcomes = DemandOutcomes(np.array(CHANCE), np.array(DEMAND)[:, None])
    graph = replenishment_graph(small_instance(), [outcomes] * 3)
    sddp = Sddp(graph, SddpSettings(cuts=cuts, risk=RiskMeasure(weight, tail)))
    result = train(sddp, Stopping(iterations=40))
    assert result.bound <= truth + 1e-6
    assert result.bound == pytest.approx(truth, rel=1e-6)


def air_conditioning_by_brute_force(weight: float, tail: float) -> float:
    """Demand seen before production is decided: risk over the values of the next nodes."""
    m = pyo.ConcreteModel()
    m.rows, m.x = pyo.ConstraintList(), pyo.VarList()

    def variable(high: float | None = None, low: float | None = 0.0):
        v = m.x.add()
        v.setlb(low)
        v.setub(high)
        return v

    def node(stage: int, stored, demand: float) -> object:
        made, overtime, after = variable(200), variable(), variable(100)
        m.rows.add(after == stored + made + overtime - demand)
        cost = 100 * made + 300 * overtime + 50 * after
        if stage == 3:
            return cost
        eta, mean, excess = variable(low=None), 0.0, 0.0
        for following in (100.0, 300.0):
            z, over = variable(low=None), variable()
            m.rows.add(z >= node(stage + 1, after, following))
            m.rows.add(over >= z - eta)
            mean, excess = mean + 0.5 * z, excess + 0.5 * over
        return cost + weight * mean + (1 - weight) * (eta + excess / tail)

    m.cost = pyo.Objective(expr=node(1, 0.0, 100.0))
    return Model(compile_model(m)).solve().objective


@pytest.mark.parametrize("cuts", ["single", "multi"])
@pytest.mark.parametrize(("weight", "tail"), [(0.0, 0.5), (0.3, 0.7)])
def test_risk_over_outcomes_equals_the_tree(graphs, cuts, weight: float, tail: float) -> None:
    """Truth: the nested program over the tree, for demand seen before the decision."""
    truth = air_conditioning_by_brute_force(weight, tail)
    settings = SddpSettings(cuts=cuts, risk=RiskMeasure(weight, tail))
    result = train(Sddp(graphs["air conditioning"](), settings), Stopping(iterations=25))
    assert result.bound == pytest.approx(truth, rel=1e-6)
    assert truth >= 62_500 - 1e-6


def test_nested_risk_has_no_simulated_bound(graphs) -> None:
    """A sample mean of costs does not bound a nested risk measure, and is refused."""
    sddp = Sddp(graphs["stock"](), SddpSettings(risk=RiskMeasure.average_value_at_risk(0.3)))
    with pytest.raises(SddpError, match="nested"):
        sddp.simulate(10, seed=0)
