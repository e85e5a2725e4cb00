"""Bounds are derived, never above the truth, and refused where they cannot be proved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csr_matrix

from optrl.decomposition.sddp import (
    InitialBoundError,
    PolicyGraph,
    Sddp,
    SddpSettings,
    Stopping,
    group_by_means,
    pyomo_stage,
    replenishment_graph,
    train,
    two_stage_graph,
)
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.solver import Model
from optrl.testbeds.lost_sales import LostSalesFamily


def lost_sales(periods: int, groups: int, mean: float = 2.0, lead_time: int = 2):
    """A small lost-sales graph from mean demand on hand and on its way, and its problem."""
    bed = LostSalesFamily.case("uniform", 9, lead_time, mean=mean)
    on_hand = np.zeros_like(bed.instance.on_hand)
    on_hand[0, 1] = mean
    due = np.zeros((*on_hand.shape, lead_time - 1))
    due[0, 1] = mean
    instance = replace(bed.instance, on_hand=on_hand, due=due)
    grouped = group_by_means(bed.problem.demand.probability, groups)
    return replenishment_graph(instance, [grouped] * periods), bed.problem


@pytest.mark.parametrize("cuts", ["single", "multi"])
def test_the_bound_is_the_dynamic_programs_optimum(cuts) -> None:
    """Truth: backward induction over integer orders; the relaxation has the same value."""
    graph, problem = lost_sales(periods=4, groups=99)
    truth = solve_horizon(problem, 4).cost(np.array([2, 2]))
    sddp = Sddp(graph, SddpSettings(cuts=cuts))
    for _ in range(50):
        assert sddp.iterate() <= truth + 1e-6
    assert sddp.bound == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize("selection", ["level_one", "last_used", "none"])
def test_cuts_underestimate_at_every_state(selection) -> None:
    """Truth: the dynamic program's value at all its states, with fewer periods left."""
    graph, problem = lost_sales(periods=5, groups=99)
    sddp = Sddp(graph, SddpSettings(selection=selection, refresh_every=7))
    train(sddp, Stopping(iterations=25))
    for continuation in graph.distinct:
        left = 5 - int(continuation[0][0]) + 1
        exact = solve_horizon(problem, left)
        states = np.argwhere(~np.isnan(exact.value))[:, ::-1].astype(float)
        states[:, 1] = exact.tails[np.argwhere(~np.isnan(exact.value))[:, 0], 0]
        heights = sddp.to_go.height(continuation, states)
        truth = exact.value[~np.isnan(exact.value)]
        assert (heights <= truth + 1e-6).all()
        assert (heights >= 0.95 * truth).any()


def test_grouped_demand_bounds_from_below() -> None:
    """Truth: the optimum under all outcomes; conditional means can only lower it."""
    truth = solve_horizon(lost_sales(4, 99)[1], 4).cost(np.array([2, 2]))
    bounds = [
        train(Sddp(lost_sales(4, groups)[0]), Stopping(iterations=25)).bound
        for groups in (1, 2, 3, 5)
    ]
    assert all(bound <= truth + 1e-6 for bound in bounds)
    assert bounds[0] < bounds[-1] - 0.1
    assert bounds[-1] == pytest.approx(truth, rel=1e-3)


def test_a_bound_that_is_too_high_is_refused(graphs) -> None:
    """Salvage makes the cost-to-go negative without limit: 0 is no bound of it."""
    with pytest.raises(InitialBoundError, match="not proved"):
        Sddp(graphs["inventory"](), lower_bound=0.0)
    with pytest.raises(InitialBoundError, match="not proved"):
        Sddp(graphs["production"](), lower_bound=-5.0)
    assert Sddp(graphs["air conditioning"](), lower_bound=0.0).lower_bound() <= 62_500


def test_a_cycle_without_discount_is_refused(graphs) -> None:
    """The cost of an endless horizon without discount has no end."""
    hydro = graphs["hydro"]()
    with pytest.raises(InitialBoundError, match="not discounted"):
        Sddp(replace(hydro, arcs={"week": ({"week": 1.0},)}))


def test_an_unbounded_cycle_is_refused_with_what_to_bound() -> None:
    """Stock sold at a price without limit: no bound can be derived, and the state is named."""
    m = pyo.ConcreteModel()
    m.stock_in = pyo.Var(initialize=0.0)
    m.stock_in.fix(0.0)
    m.stock, m.sold = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    m.balance = pyo.Constraint(expr=m.stock == m.stock_in - m.sold)
    m.cost = pyo.Objective(expr=-m.sold)
    stage = pyomo_stage(m, incoming=[m.stock_in], outgoing=[m.stock])
    graph = PolicyGraph({"a": stage}, {"a": ({"a": 0.9},)}, {"a": 1.0}, np.array([5.0]))
    with pytest.raises(InitialBoundError, match="stock_in"):
        Sddp(graph)
    m.stock.setub(10)
    stage = pyomo_stage(m, incoming=[m.stock_in], outgoing=[m.stock])
    bounded = replace(graph, stages={"a": stage})
    assert train(Sddp(bounded), Stopping(iterations=20)).bound == pytest.approx(-5.0, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000), multi=st.booleans())
def test_two_stages_equal_the_extensive_form(seed: int, multi: bool) -> None:
    """Truth: the deterministic equivalent; costs, bounds, right-hand sides, entries all random."""
    generator = np.random.default_rng(seed)
    program = random_two_stage(generator)
    truth = Model(program.extensive_form()).solve().objective
    graph = two_stage_graph(program)
    sddp = Sddp(graph, SddpSettings(cuts="multi" if multi else "single"), seed=seed)
    for _ in range(60):
        bound = sddp.iterate()
        assert bound <= truth + 1e-6 * (1 + abs(truth))
        if bound >= truth - 1e-7 * (1 + abs(truth)):
            break
    assert bound == pytest.approx(truth, rel=1e-5, abs=1e-5)


def random_two_stage(generator: np.random.Generator):
    """Two columns decide, two rows of demand are met by them or bought at a cost a scenario."""
    count = 3
    matrix = np.zeros((3, 6))
    matrix[0, :2] = 1.0
    matrix[1:, :2] = generator.uniform(0.2, 1.0, (2, 2))
    matrix[1:, 2:4] = np.eye(2)
    matrix[1:, 4:] = -np.eye(2)
    core = LinearProgram(
        cost=generator.uniform(0.5, 3.0, 6) * np.array([1, 1, 4, 4, 0.2, 0.2]),
        offset=1.5,
        matrix=csr_matrix(matrix),
        row_lower=np.array([-np.inf, 1.0, 1.0]),
        row_upper=np.array([8.0, np.inf, np.inf]),
        column_lower=np.zeros(6),
        column_upper=np.array([np.inf, 5.0, np.inf, np.inf, np.inf, np.inf]),
        integrality=np.zeros(6, dtype=bool),
        columns={"x": Block("x", 0, 6, str)},
        rows={"r": Block("r", 0, 3, str)},
    )
    scenarios = Scenarios(
        generator.dirichlet(np.ones(count)),
        cost_column=np.array([2]),
        cost=generator.uniform(1, 9, (count, 1)),
        entry_row=np.array([1]),
        entry_column=np.array([0]),
        entry=generator.uniform(0.2, 1.0, (count, 1)),
        row=np.array([1, 2]),
        row_lower=generator.uniform(0.5, 6.0, (count, 2)),
        row_upper=np.full((count, 2), np.inf),
        column=np.array([4]),
        column_lower=np.zeros((count, 1)),
        column_upper=generator.uniform(1.0, 3.0, (count, 1)) + 20,
    )
    return TwoStageProgram(core, np.arange(6) < 2, np.arange(3) < 1, scenarios)
