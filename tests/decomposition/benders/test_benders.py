"""Benders' bound is never above the truth, its value is feasible, and both meet if they can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csr_matrix

from optrl.decomposition.benders import (
    Benders,
    BendersError,
    BendersIterated,
    BendersSettings,
    NotTwoStageError,
)
from optrl.decomposition.benders.cuts import integer_l_shaped
from optrl.decomposition.benders.integer_recourse import IntegerRecourse
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.benders.recourse import RelaxedRecourse
from optrl.decomposition.sddp import Outcome, PolicyGraph, pyomo_stage, two_stage_graph
from optrl.formats.recognition import read
from optrl.solver import InfeasibleError, Model
from optrl.testbeds.stochastic_programs import PROGRAMS


def covering(
    seed: int,
    *,
    first: str = "binary",
    integer_recourse: bool = False,
    penalty: float | None = 40.0,
    scenarios: int = 4,
) -> TwoStageProgram:
    """Buy capacity before, and more of it at a higher price after, demand of two kinds is known.

    Columns: three of the first stage, four of the second and two slacks, which are missing where
    `penalty` is None, so that not every first stage leaves the second one feasible.
    """
    rng = np.random.default_rng(seed)
    slack = 0 if penalty is None else 2
    width = 7 + slack
    matrix = np.zeros((3, width))
    matrix[0, :3] = 1.0
    matrix[1:, :3] = rng.integers(1, 6, size=(2, 3))
    matrix[1:, 3:7] = rng.integers(1, 4, size=(2, 4))
    matrix[1:, 7:] = np.eye(2)[:, :slack]
    whole = np.zeros(width, dtype=bool)
    whole[:3], whole[3:7] = first != "continuous", integer_recourse
    upper = np.full(width, np.inf)
    upper[:3], upper[3:7] = (1.0 if first == "binary" else 3.0), 1.0
    cost = np.concatenate(
        [rng.uniform(5, 12, 3), rng.uniform(4, 9, 4), np.full(slack, penalty or 0.0)]
    )
    core = LinearProgram(
        cost=cost,
        offset=1.5,
        matrix=csr_matrix(matrix),
        row_lower=np.array([-np.inf, 4.0, 4.0]),
        row_upper=np.array([7.0, np.inf, np.inf]),
        column_lower=np.zeros(width),
        column_upper=upper,
        integrality=whole,
        columns={"column": Block("column", 0, width, str)},
        rows={"row": Block("row", 0, 3, str)},
    )
    demand = rng.uniform(1, 9, size=(scenarios, 2))
    seen = Scenarios(
        rng.dirichlet(np.ones(scenarios)),
        cost_column=np.arange(3, 7),
        cost=rng.uniform(4, 9, size=(scenarios, 4)),
        row=np.array([1, 2]),
        row_lower=demand,
        row_upper=np.full((scenarios, 2), np.inf),
    )
    return TwoStageProgram(core, np.arange(width) < 3, np.arange(3) < 1, seen)


def optimum(program: TwoStageProgram) -> float:
    """Of the extensive form."""
    return Model(program.extensive_form()).solve(relative_gap=1e-9).objective


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    first=st.sampled_from(["binary", "general", "continuous"]),
    integer_recourse=st.booleans(),
)
def test_the_truth_lies_between_bound_and_value(seed, first, integer_recourse) -> None:
    """Truth: the extensive form. Where finitely many cuts must suffice the gap is closed."""
    program = covering(seed, first=first, integer_recourse=integer_recourse)
    truth = optimum(program)
    told: list[BendersIterated] = []
    limits = BendersSettings(gap=1e-6, iterations=150)
    result = Benders(two_stage_graph(program), limits, told=told.append).run()
    for event in told:
        assert event.bound <= truth + 1e-6 * (1 + abs(truth))
        assert event.value >= truth - 1e-6 * (1 + abs(truth))
    assert [e.bound for e in told] == sorted(e.bound for e in told)
    if first == "binary" or not integer_recourse:
        assert result.ended == "optimal"
        assert result.value == pytest.approx(truth, rel=1e-5)
    assert result.explanation


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    retained=st.integers(1, 5),
    first=st.sampled_from(["binary", "continuous"]),
    integer_recourse=st.booleans(),
    penalty=st.sampled_from([None, 40.0]),
)
def test_scenarios_may_stay_in_the_master(seed, retained, first, integer_recourse, penalty) -> None:
    """Truth: the extensive form, which the master is where all scenarios stay."""
    program = covering(seed, first=first, integer_recourse=integer_recourse, penalty=penalty)
    try:
        truth = optimum(program)
    except InfeasibleError:
        assume(False)
    limits = BendersSettings(gap=1e-6, iterations=150, retained=retained)
    result = Benders(two_stage_graph(program), limits).run()
    assert result.bound <= truth + 1e-6 * (1 + abs(truth))
    assert result.value >= truth - 1e-6 * (1 + abs(truth))
    if first == "binary" or not integer_recourse or retained >= 4:
        assert result.ended == "optimal"


def test_multipliers_out_of_the_dual_are_met_by_nearer_ones() -> None:
    """Truth by hand: Q(x) = x for x >= 0, which a price above 1 leaves without a bound."""
    core = LinearProgram(
        cost=np.array([1.0, 1.0]),
        offset=0.0,
        matrix=csr_matrix(np.array([[-1.0, 1.0]])),
        row_lower=np.zeros(1),
        row_upper=np.array([np.inf]),
        column_lower=np.zeros(2),
        column_upper=np.full(2, np.inf),
        integrality=np.array([False, True]),
        columns={"column": Block("column", 0, 2, str)},
        rows={"row": Block("row", 0, 1, str)},
    )
    seen = Scenarios(np.ones(1), cost_column=np.array([1]), cost=np.ones((1, 1)))
    program = TwoStageProgram(core, np.array([True, False]), np.array([False]), seen)
    problem = TwoStage.of(two_stage_graph(program))
    at = np.array([0.5])
    assert IntegerRecourse(problem, 20.0).lagrangian(0, np.array([7.0]), at, 1.0, 5) is None
    cut = IntegerRecourse(problem, 20.0).lagrangian(0, np.array([0.0]), at, 1.0, 5)
    assert cut is not None
    assert 0.0 <= cut.height(at) <= 0.5 + 1e-6


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), integer_recourse=st.booleans())
def test_states_without_recourse_are_cut_off(seed: int, integer_recourse: bool) -> None:
    """Truth: the extensive form, which is infeasible exactly where the method says so."""
    program = covering(seed, penalty=None, integer_recourse=integer_recourse)
    graph = two_stage_graph(program)
    try:
        truth = optimum(program)
    except InfeasibleError:
        with pytest.raises((InfeasibleError, BendersError)):
            Benders(graph, BendersSettings(gap=1e-6)).run()
        return
    result = Benders(graph, BendersSettings(gap=1e-6)).run()
    assert result.value == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_states_without_integer_recourse_are_cut_off(gain: float) -> None:
    """Truth by hand: 2 y = x0 has no whole y for x0 = 1, though the relaxation has y = 1/2."""
    width = 3
    core = LinearProgram(
        cost=np.array([-gain, -0.05, 1.0]),
        offset=0.0,
        matrix=csr_matrix(np.array([[1.0, 1.0, 0.0], [-1.0, 0.0, 2.0]])),
        row_lower=np.array([-np.inf, 0.0]),
        row_upper=np.array([2.0, 0.0]),
        column_lower=np.zeros(width),
        column_upper=np.array([1.0, 1.0, 5.0]),
        integrality=np.ones(width, dtype=bool),
        columns={"column": Block("column", 0, width, str)},
        rows={"row": Block("row", 0, 2, str)},
    )
    seen = Scenarios(
        np.ones(1),
        cost_column=np.array([2]),
        cost=np.ones((1, 1)),
        row=np.array([1]),
        row_lower=np.zeros((1, 1)),
        row_upper=np.zeros((1, 1)),
    )
    program = TwoStageProgram(core, np.arange(width) < 2, np.arange(2) < 1, seen)
    result = Benders(two_stage_graph(program), BendersSettings(gap=1e-6, iterations=50)).run()
    assert result.ended == "optimal"
    assert result.value == pytest.approx(-0.05)
    np.testing.assert_allclose(result.x, [0.0, 1.0], atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([0, 6]))
def test_lagrangian_cuts_lie_below_and_above_benders(seed: int, steps: int) -> None:
    """Truth: the scenario's integer program at all eight binary states."""
    problem = TwoStage.of(two_stage_graph(covering(seed, integer_recourse=True)))
    exact = IntegerRecourse(problem, 20.0)
    corners = [np.array([a, b, c], dtype=float) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    at = corners[seed % 8]
    relaxed = RelaxedRecourse(problem).evaluate(at)
    for s, benders in enumerate(relaxed.cuts):
        target = exact.value(s, at)[0]
        cut = exact.lagrangian(s, benders.slope, at, target, steps)
        assert cut is not None
        assert cut.height(at) >= benders.height(at) - 1e-6
        l_shaped = integer_l_shaped(s, target, float(problem.lower[s]), at)
        assert l_shaped.height(at) == pytest.approx(target)
        # The first stage's own row leaves all corners; the copy's hull holds them.
        for corner in corners:
            truth = exact.value(s, corner)[1]
            assert cut.height(corner) <= truth + 1e-6
            assert l_shaped.height(corner) <= truth + 1e-6


@pytest.mark.parametrize(
    ("file", "optimum_known"),
    [
        ("stochastic-smps/LandS.cor", 397.7513333),
        ("stochastic-smps/sslp_5_25_50.cor", -121.6),
        ("stochastic-network-design/network-10-10-L-01.dat", 88_557.3),
        ("stochastic-network-design/network-10-10-H-01.dat", 27_523.7),
    ],
)
def test_published_programs(shared_data: Path, file: str, optimum_known: float) -> None:
    """Truth: the known values beside the files."""
    stages = read(shared_data / file)[0].stages
    assert stages is not None
    result = Benders(two_stage_graph(stages), BendersSettings(gap=1e-6)).run()
    assert result.ended == "optimal"
    assert result.value == pytest.approx(optimum_known, rel=1e-6)
    assert result.bound == pytest.approx(optimum_known, rel=1e-5)


def test_pyomo_stages_and_limits() -> None:
    """A user's own stages: bound and value hold when iterations end the run; then it closes."""
    first = pyo.ConcreteModel()
    first.open = pyo.Var([0, 1, 2], domain=pyo.Binary)
    first.cost = pyo.Objective(expr=5 * first.open[0] + 4 * first.open[1] + 3 * first.open[2])
    second = pyo.ConcreteModel()
    second.open = pyo.Var([0, 1, 2], initialize=0.0)
    second.open.fix(0.0)
    second.need = pyo.Var(initialize=0.0)
    second.need.fix(0.0)
    second.batches = pyo.Var([0, 1, 2], domain=pyo.Integers, bounds=(0, 3))
    second.bought = pyo.Var(bounds=(0, None))
    second.link = pyo.Constraint([0, 1, 2], rule=lambda b, i: b.batches[i] <= 3 * b.open[i])
    second.served = pyo.Constraint(
        expr=2 * second.batches[0] + 1.5 * second.batches[1] + second.batches[2] + second.bought
        >= second.need
    )
    second.cost = pyo.Objective(
        expr=1.1 * second.batches[0] + second.batches[1] + second.batches[2] + 6 * second.bought
    )
    outcomes = [Outcome(0.25, {"need": np.array([n])}, label=f"{n:g}") for n in (1.0, 3, 5.5, 8)]
    stages = [
        pyomo_stage(first, outgoing=[first.open]),
        pyomo_stage(second, incoming=[second.open], noise=[second.need], outcomes=outcomes),
    ]
    graph = PolicyGraph.linear(stages, np.zeros(0))
    costs = []
    for state in np.ndindex(2, 2, 2):
        problem = TwoStage.of(graph)
        recourse = [
            IntegerRecourse(problem, 20.0).value(s, np.array(state, float))[1] for s in range(4)
        ]
        costs.append(np.dot([5, 4, 3], state) + np.mean(recourse))
    short = Benders(graph, BendersSettings(gap=0.0, iterations=3)).run()
    assert short.ended == "iterations"
    assert short.bound <= min(costs) + 1e-9 <= short.value + 2e-9
    assert Benders(graph, BendersSettings(seconds=0.0)).run().ended == "seconds"
    result = Benders(graph, BendersSettings(gap=1e-7)).run()
    assert result.value == pytest.approx(min(costs))
    assert result.gap <= 1e-6


def test_what_is_no_two_stage_program_is_refused() -> None:
    """More stages, several outcomes before the decision, costs without end, negative limits."""
    program = covering(3)
    graph = two_stage_graph(program)
    first, second = graph.stages["1"], graph.stages["2"]
    with pytest.raises(NotTwoStageError, match="that is the last"):
        Benders(PROGRAMS["air conditioning"].graph())
    with pytest.raises(NotTwoStageError, match="0 exits"):
        Benders(PolicyGraph.linear([replace(first, exits=())], np.zeros(0)))
    twice = replace(first, outcomes=(Outcome(0.5), Outcome(0.5)))
    with pytest.raises(NotTwoStageError, match="2 outcomes"):
        Benders(PolicyGraph.linear([twice, second], np.zeros(0)))
    core = replace(program.core, column_upper=np.full(9, np.inf))
    endless = replace(
        program, core=core, scenarios=replace(program.scenarios, cost=-np.ones((4, 4)))
    )
    with pytest.raises(NotTwoStageError, match="no lower bound"):
        Benders(two_stage_graph(endless))
    for wrong in ({"centre": 1.0}, {"retained": -1}):
        with pytest.raises(BendersError, match="centre"):
            BendersSettings(**wrong)
