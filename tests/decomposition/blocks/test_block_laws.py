"""Laws of the decomposition on random small instances whose optimum the whole program gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import Unmet
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.decomposition.blocks.events import Iterated, Stopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.master import Master
from optrl.decomposition.blocks.masters.cutting_planes import CuttingPlanes
from optrl.decomposition.blocks.masters.dantzig_wolfe import DantzigWolfe
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle
from optrl.decomposition.blocks.masters.subgradient import Subgradient
from optrl.decomposition.blocks.oracle import Plan
from optrl.decomposition.blocks.oracles.flow import FlowRecipe
from optrl.decomposition.blocks.oracles.scenario_lp import ScenarioLpRecipe
from optrl.decomposition.blocks.replenishment import decompose
from optrl.solver import Model
from optrl.testing import random_instance

MASTERS = {
    "dantzig_wolfe": DantzigWolfe,
    "level_bundle": LevelBundle,
    "cutting_planes": CuttingPlanes,
    "subgradient": Subgradient,
}


def chain(seed: int, items: int = 4) -> ReplenishmentItems:
    """A problem whose demand is known."""
    generator = np.random.default_rng(seed)
    unmet: Unmet = "lost" if seed % 2 else "backorder"
    instance = random_instance(
        generator, items=items, horizon=4, unmet=unmet, discount=1.0 if seed % 3 else 0.95
    )
    demand = instance.demand.between(instance.start, instance.start + instance.horizon)
    return ReplenishmentItems.of(instance, demand)


def flows(seed: int, items: int) -> ReplenishmentItems:
    """A chain without limits on single items' quantities."""
    problem = chain(seed, items)
    free = np.full_like(problem.network.maximum_quantity, np.inf)
    return replace(problem, network=replace(problem.network, maximum_quantity=free))


def tree(seed: int) -> ReplenishmentItems:
    """A problem over a tree of scenarios."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, items=3, horizon=3, limited_supply=bool(seed % 2))
    branching = ScenarioTree.branching([2, 2, 1])
    shape = (*instance.demand.quantity.shape[:2], len(branching.parent))
    demand = generator.poisson(4.0, shape).astype(float)
    return ReplenishmentItems.of(instance, demand, branching)


def optimum(problem: ReplenishmentItems) -> float:
    """Of the whole program at once."""
    return Model(build_replenishment(problem.layout, problem.data)).solve().objective


def check_plan(problem: ReplenishmentItems, plan: Plan, cost: float) -> None:
    """The plan satisfies every row of the whole program and costs what is said."""
    program = build_replenishment(problem.layout, problem.data)
    layout = problem.layout
    x = np.zeros(len(program.cost))
    for name in ("order", "serve", "sales", "unmet", "on_hand"):
        index = layout.demand if name == "unmet" else getattr(layout, name)
        x[program.columns[name].slice] = index.gather(plan[name])
    capacity = program.rows["capacity"].slice
    shift = program.row_shift()
    excess = program.matrix[capacity] @ x + shift[capacity] - program.row_upper[capacity]
    over = layout.resource_rows.scatter(np.maximum(excess, 0.0), problem.coupling.shape)
    x[program.columns["overflow"].slice] = layout.overflow.gather(over)
    activity = program.matrix @ x + shift
    scale = 1e-6 * max(1.0, float(np.abs(activity).max()))
    assert (activity >= program.row_lower - scale).all()
    assert (activity <= program.row_upper + scale).all()
    assert (x >= program.column_lower - scale).all()
    assert (x <= program.column_upper + scale).all()
    constant = sum(float(b.cost @ b.value) for b in program.data.values())
    assert program.cost @ x + constant == pytest.approx(cost, rel=1e-6, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(MASTERS)))
def test_bounds_hold_on_chains(seed: int, name: str) -> None:
    """At every round lower <= optimum <= upper, and the plan holds every row at its cost."""
    check_bounds(chain(seed), MASTERS[name](), 12)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(MASTERS)))
def test_bounds_hold_on_trees(seed: int, name: str) -> None:
    """The same where demand is random: the oracle is a program over scenarios."""
    check_bounds(tree(seed), MASTERS[name](), 8)


def check_bounds(problem: ReplenishmentItems, master: Master, rounds: int) -> None:
    """Decompose and compare with the whole."""
    best = optimum(problem)
    margin = 1e-6 * max(1.0, abs(best))
    rows = []
    result = decompose(
        problem,
        master=master,
        size=2,
        sample=2,
        stopping=Stopping(gap=1e-7, iterations=rounds),
        told=lambda event: rows.append(event.row) if isinstance(event, Iterated) else None,
    )
    assert result.failure is None
    assert rows
    for row in rows:
        assert row.value <= best + margin
        assert row.lower <= row.upper + margin
        assert row.upper >= best - margin
    assert result.lower <= best + margin
    assert result.upper >= best - margin
    assert result.plan is not None
    if np.isfinite(result.upper):
        check_plan(problem, result.plan, result.upper)


@pytest.mark.parametrize("name", ["dantzig_wolfe", "level_bundle", "cutting_planes"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bundle_masters_reach_the_optimum(name: str, seed: int) -> None:
    """Both bounds of the masters with a model meet at the optimum of the whole program."""
    problem = flows(seed, items=6) if seed == 2 else chain(seed, items=6)
    result = decompose(
        problem,
        master=MASTERS[name](),
        size=1,
        sample=3,
        stopping=Stopping(gap=1e-6, iterations=200),
    )
    best = optimum(problem)
    assert result.lower == pytest.approx(best, rel=3e-6)
    assert result.upper == pytest.approx(best, rel=3e-6)


def test_subgradient_comes_near() -> None:
    """Averaged subgradients end within one percent on both sides."""
    problem = chain(4, items=6)
    result = decompose(
        problem, master=Subgradient(), size=1, sample=2, stopping=Stopping(gap=0.01, iterations=400)
    )
    assert result.stopped == "gap"
    assert result.lower <= optimum(problem) * (1 + 1e-7) <= result.upper * (1 + 2e-7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_flow_is_exact(seed: int) -> None:
    """The oracle of flows finds, item by item, the same least cost at any prices as the program."""
    problem = flows(seed, items=5)
    generator = np.random.default_rng(seed + 1)
    shape = problem.coupling.shape
    prices = generator.uniform(0, 3, shape) * (generator.random(shape) < 0.5)
    prices = problem.coupling.clipped(prices)
    flow = FlowRecipe(problem).build().answer(prices, plan=True)
    program = ScenarioLpRecipe(problem).build().answer(prices)
    assert flow.bound is not None
    assert program.bound is not None
    np.testing.assert_allclose(flow.bound, program.bound, rtol=1e-7, atol=1e-6)
    value = flow.cost.sum() + (prices * flow.usage).sum()
    assert value == pytest.approx(flow.bound.sum(), rel=1e-9, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_answers_depend_on_prices_alone(seed: int) -> None:
    """An oracle of programs gives the same bits whatever was asked before."""
    problem = tree(seed)
    generator = np.random.default_rng(seed)
    first, second = (
        problem.coupling.clipped(generator.uniform(0, 3, problem.coupling.shape)) for _ in range(2)
    )
    oracle = ScenarioLpRecipe(problem).build()
    before = oracle.answer(first, plan=True)
    oracle.answer(second)
    after = oracle.answer(first, plan=True)
    fresh = ScenarioLpRecipe(problem).build().answer(first, plan=True)
    assert before.plan is not None
    for other in (after, fresh):
        assert np.array_equal(before.usage, other.usage)
        assert other.plan is not None
        assert all(np.array_equal(before.plan[k], other.plan[k]) for k in before.plan)
