"""Dual decomposition's bound is never above the truth, its value never below, and both meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csr_matrix

from optrl.decomposition.benders import NotTwoStageError
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.dual_decomposition import (
    DualDecomposition,
    DualDecompositionError,
    DualIterated,
    DualSettings,
)
from optrl.decomposition.dual_decomposition.block import ScenarioBlock
from optrl.decomposition.dual_decomposition.bundle import Bundle
from optrl.decomposition.dual_decomposition.first_multipliers import first_multipliers
from optrl.decomposition.sddp import two_stage_graph
from optrl.formats.recognition import read
from optrl.solver import InfeasibleError, Model
from optrl.testbeds.stochastic_programs import PROGRAMS


def lots(seed: int, *, first: str, whole_recourse: bool, penalty: bool) -> TwoStageProgram:
    """Install two capacities, then run batches on them for demand of two kinds.

    Columns: capacities x0, x1 and their switches u0, u1; batches y on each; slacks where unmet
    demand has a price. Rows: x <= 4 u; batches within capacity; demand.
    """
    rng = np.random.default_rng(seed)
    slack = 2 if penalty else 0
    width, scenarios = 8 + slack, 4
    matrix = np.zeros((6, width))
    matrix[[0, 1], [0, 1]], matrix[[0, 1], [2, 3]] = 1.0, -4.0
    matrix[[2, 3], [0, 1]] = 1.0
    matrix[2, [4, 5]] = matrix[3, [6, 7]] = -rng.uniform(0.8, 1.6, size=2)
    matrix[4, [4, 6]] = matrix[5, [5, 7]] = 1.0
    matrix[[4, 5], 8:] = np.eye(2)[:, :slack]
    whole = np.zeros(width, dtype=bool)
    whole[2:4], whole[:2], whole[4:8] = True, first == "general", whole_recourse
    upper = np.full(width, np.inf)
    upper[2:4], upper[4:8] = 1.0, 3.0
    core = LinearProgram(
        cost=np.concatenate([rng.uniform(1, 3, 2), rng.uniform(2, 6, 2), np.zeros(4 + slack)]),
        offset=0.7,
        matrix=csr_matrix(matrix),
        row_lower=np.array([-np.inf, -np.inf, 0.0, 0.0, 0.0, 0.0]),
        row_upper=np.array([0.0, 0.0, *[np.inf] * 4]),
        column_lower=np.zeros(width),
        column_upper=upper,
        integrality=whole,
        columns={"column": Block("column", 0, width, str)},
        rows={"row": Block("row", 0, 6, str)},
    )
    paid = np.arange(4, width)
    cost = np.hstack([rng.uniform(0.5, 2, (scenarios, 4)), np.full((scenarios, slack), 9.0)])
    demand = rng.uniform(0.3, 3.5, size=(scenarios, 2))
    seen = Scenarios(
        rng.dirichlet(np.ones(scenarios)),
        cost_column=paid,
        cost=cost,
        row=np.array([4, 5]),
        row_lower=demand,
        row_upper=np.full((scenarios, 2), np.inf),
    )
    return TwoStageProgram(core, np.arange(width) < 4, np.arange(6) < 2, seen)


def optimum(program: TwoStageProgram) -> float:
    """Of the extensive form."""
    return Model(program.extensive_form()).solve(relative_gap=1e-9).objective


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    first=st.sampled_from(["continuous", "general"]),
    whole_recourse=st.booleans(),
    penalty=st.booleans(),
    together=st.integers(1, 4),
)
def test_the_truth_lies_between_and_both_meet(
    seed, first, whole_recourse, penalty, together
) -> None:
    """Truth: the extensive form, also where the first stage is no binary one."""
    program = lots(seed, first=first, whole_recourse=whole_recourse, penalty=penalty)
    graph = two_stage_graph(program)
    try:
        truth = optimum(program)
    except InfeasibleError:
        with pytest.raises((InfeasibleError, NotTwoStageError)):
            DualDecomposition(graph).run()
        return
    told: list[DualIterated] = []
    limits = DualSettings(gap=1e-5, together=together)
    result = DualDecomposition(graph, limits, told=told.append).run()
    for event in told:
        assert event.bound <= truth + 1e-6 * (1 + abs(truth))
        assert event.value >= truth - 1e-6 * (1 + abs(truth))
    assert [e.bound for e in told] == sorted(e.bound for e in told)
    assert result.ended == "optimal"
    assert result.value == pytest.approx(truth, rel=3e-5)
    assert result.bound == pytest.approx(truth, rel=3e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), whole_recourse=st.booleans())
def test_first_multipliers_give_the_relaxation_or_better(seed: int, whole_recourse: bool) -> None:
    """Truth: the relaxed extensive form; multipliers that sum to zero are below the optimum."""
    program = lots(seed, first="continuous", whole_recourse=whole_recourse, penalty=True)
    problem = TwoStage.of(two_stage_graph(program))
    form = program.extensive_form()
    relaxed = Model(replace(form, integrality=np.zeros_like(form.integrality))).solve().objective
    truth = optimum(program)
    multipliers, _ = first_multipliers(problem)
    np.testing.assert_allclose(multipliers.sum(axis=0), 0.0, atol=1e-9)
    blocks = [ScenarioBlock(problem, [s]) for s in range(4)]

    def bound(at: np.ndarray) -> float:
        return sum(b.solve(at[k], 1e-9, None).bound for k, b in enumerate(blocks))

    assert relaxed - 1e-6 <= bound(multipliers) <= truth + 1e-6
    noise = np.random.default_rng(seed).normal(size=multipliers.shape)
    assert bound(multipliers + noise - noise.mean(axis=0)) <= truth + 1e-6


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_merging_never_lowers_the_bound(seed: int) -> None:
    """Truth: a point of the merged block is a point of both of its parts."""
    program = lots(seed, first="general", whole_recourse=True, penalty=True)
    problem = TwoStage.of(two_stage_graph(program))
    multipliers, _ = first_multipliers(problem)

    def bound(groups: list[list[int]]) -> float:
        return sum(
            ScenarioBlock(problem, g).solve(multipliers[g].sum(axis=0), 1e-9, None).bound
            for g in groups
        )

    apart, pairs, whole = (
        bound([[0], [1], [2], [3]]),
        bound([[0, 3], [1, 2]]),
        bound([[0, 1, 2, 3]]),
    )
    assert apart - 1e-6 <= pairs <= whole + 1e-6
    assert whole == pytest.approx(optimum(program), rel=1e-6)


def test_limits_end_the_run_with_what_it_has() -> None:
    """Truth: the extensive form lies between bound and value at any time."""
    program = lots(5, first="continuous", whole_recourse=True, penalty=True)
    graph, truth = two_stage_graph(program), optimum(program)
    one = DualDecomposition(graph, DualSettings(gap=0.0, iterations=1)).run()
    assert (one.ended, one.iterations) == ("iterations", 1)
    assert one.bound <= truth + 1e-6 <= one.value + 2e-6
    none = DualDecomposition(graph, DualSettings(seconds=0.0)).run()
    assert none.ended == "seconds"
    assert none.bound == -np.inf
    assert none.value == np.inf
    assert none.x is None
    assert none.explanation


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1.0, 1e4]))
def test_proposals_sum_to_zero_beyond_the_tolerance_of_the_solver(seed: int, scale: float) -> None:
    """Truth: what is left of the sum times the first stage would be added to the bound."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(5))
    bundle = Bundle(share, np.arange(3), scale * rng.uniform(1, 9, size=3))
    for _ in range(4):
        points = [(g, float(rng.normal()), rng.uniform(0, 50, size=3)) for g in range(5)]
        bundle.add(points)
    # A first stage that all blocks share keeps the model finite.
    bundle.add([(g, 3.0 * share[g], np.full(3, 20.0)) for g in range(5)])
    found = bundle.propose(np.zeros((5, 3)), 0.0, 1.0)
    size = np.abs(found.multipliers).sum()
    np.testing.assert_allclose(found.multipliers.sum(axis=0), 0.0, atol=1e-14 * (1 + size))
    assert found.average.shape == (3,)


def test_a_gap_of_zero_ends_at_the_tolerance_of_the_solver() -> None:
    """Truth: the extensive form."""
    program = lots(8, first="general", whole_recourse=True, penalty=True)
    result = DualDecomposition(two_stage_graph(program), DualSettings(gap=0.0)).run()
    assert result.ended in ("optimal", "tolerance")
    assert result.gap <= 1e-6
    assert result.value == pytest.approx(optimum(program), rel=1e-6)


def test_prices_beyond_a_first_stage_without_bounds_give_no_bound() -> None:
    """Truth by hand: 1.5 x - 3 x falls without end, 1.5 x + 1.5 x is least at 0."""
    core = LinearProgram(
        cost=np.array([1.0, 1.0]),
        offset=0.0,
        matrix=csr_matrix(np.array([[-0.5, 1.0]])),
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
    block = ScenarioBlock(TwoStage.of(two_stage_graph(program)), [0])
    endless = block.solve(np.array([-3.0]), 1e-6, None)
    assert (endless.bound, endless.x, endless.stopped) == (-np.inf, None, False)
    least = block.solve(np.array([1.5]), 1e-6, None)
    assert least.bound == pytest.approx(0.0)


def test_the_published_sizes_are_closed(shared_data: Path) -> None:
    """Truth: the optimum of this file, with continuous first-stage quantities and binaries."""
    stages = read(shared_data / "stochastic-smps/sizes3.cor")[0].stages
    assert stages is not None
    result = DualDecomposition(two_stage_graph(stages), DualSettings(gap=3e-3)).run()
    assert result.ended == "optimal"
    assert result.bound <= 226_191.404 + 0.1 <= result.value + 0.2


def test_what_does_not_fit_is_refused() -> None:
    """More than two stages, settings out of range, a block without a lower bound."""
    with pytest.raises(NotTwoStageError, match="that is the last"):
        DualDecomposition(PROGRAMS["air conditioning"].graph())
    for wrong in ({"together": 0}, {"gap": -1.0}, {"patience": 0}):
        with pytest.raises(DualDecompositionError, match="at least 1"):
            DualSettings(**wrong)
