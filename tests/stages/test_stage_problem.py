"""A stage problem moved from period to period stays equal to one built afresh."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData, StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import InfeasibleError, Model
from optrl.stages.stage_problem import StageProblem, StageState
from optrl.testing import random_instance

TREES = {"chain": ScenarioTree.chain(4), "branching": ScenarioTree.branching([2, 1, 2])}


def stock_value(generator, network, tree):
    shape = (2, len(tree.outcomes), 2)
    stocking = np.broadcast_to(network.kind == 1, (2, len(network.nodes)))
    return StockValue(
        on_hand_nodes=stocking,
        transit_nodes=stocking,
        width=generator.uniform(0, 4, shape),
        marginal_value=-np.sort(-generator.uniform(0, 2, shape), axis=2),
    )


def random_frozen(generator, network, layout_of, start, periods):
    """Small orders out of suppliers where lanes are open; nothing else moves while frozen."""
    frozen = np.zeros((2, len(network.lanes), periods))
    is_open = network.open_periods(start, periods)
    for lane in network.replenishment_lanes:
        if network.kind[network.origin[lane]] == 0:
            amount = np.where(network.allowed[:, lane], generator.integers(0, 2, 2), 0)
            frozen[:, lane] = amount[:, None] * is_open[lane]
    # The first period must exist in the layout's calendar to be comparable.
    assert layout_of(start) is not None
    return frozen


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(list(TREES)),
    frozen_periods=st.integers(0, 2),
    integers=st.booleans(),
    values=st.integers(0, 2),
)
def test_moving_on_equals_building_afresh(unmet, seed, shape, frozen_periods, integers, values):
    """Calendar, frozen orders, capacities, state, demand and stock values all follow."""
    generator = np.random.default_rng(seed)
    tree = TREES[shape]
    instance = random_instance(
        generator, unmet=unmet, integers=integers, limited_supply=True, discount=0.95
    )
    network = instance.network
    offset = network.review_period * 0
    offset[network.review_period == 2] = generator.integers(0, 2)
    network = replace(network, review_offset=offset)
    n, v = 2, len(network.nodes)
    pairs = np.zeros((n, v), dtype=bool)
    pairs[:, instance.demand.nodes] = True

    def layout_at(period):
        return ReplenishmentLayout(network, tree, period, pairs)

    start = 1
    frozen = None
    if frozen_periods and not integers:
        frozen = random_frozen(generator, network, layout_at, start, frozen_periods)
    problem = StageProblem(network, tree, pairs, frozen=frozen, frozen_start=start)
    stocked = layout_at(start).stocked
    for period in range(start, start + 4):
        state = StageState(
            on_hand=generator.integers(0, 8, (n, v)) * stocked.astype(float),
            due=generator.integers(0, 3, (n, v, 2)) * stocked[:, :, None].astype(float),
            backlog=generator.integers(0, 3, (n, v)) * pairs * float(unmet == "backorder"),
        )
        demand = generator.poisson(3.0, (n, v, len(tree.parent))).astype(float)
        held = tuple(stock_value(generator, network, tree) for _ in range(values))
        moved = problem.solve(state, period, demand, held, relative_gap=1e-9)
        data = ReplenishmentData(
            state.on_hand,
            state.due,
            state.backlog,
            demand,
            frozen=None if frozen is None else frozen[:, :, period - start :],
            stock_values=held,
        )
        fresh = Model(build_replenishment(layout_at(period), data)).solve(relative_gap=1e-9)
        assert moved.solution.objective == pytest.approx(fresh.objective, rel=1e-7, abs=1e-6)
        calendar = network.open_periods(period, tree.periods)
        closed = ~calendar[:, tree.depth[tree.decisions]]
        if frozen is None:
            assert not (moved.order[:, :, tree.decisions] * closed[None]).any()
        closed = ~calendar[:, tree.depth[tree.outcomes] - 1]
        assert not (moved.serve[:, :, tree.outcomes] * closed[None]).any()
        if frozen is not None and period == start:
            roots = np.flatnonzero(tree.depth == 0)
            np.testing.assert_allclose(moved.order[:, :, roots[0]], frozen[:, :, 0], atol=1e-9)


def test_frozen_orders_hold_for_problems_with_integers():
    """A frozen order beyond what demand asks is kept, its fixed cost paid."""
    generator = np.random.default_rng(11)
    instance = random_instance(generator, resources=False)
    network = instance.network
    fixed = np.zeros_like(network.fixed_cost)
    fixed[:, 0] = 7.0
    network = replace(
        network,
        fixed_cost=fixed,
        maximum_quantity=np.full_like(fixed, np.inf),
        allowed=np.ones_like(network.allowed),
        closed=frozenset(),
        review_period=np.ones_like(network.review_period),
    )
    n, v = 2, len(network.nodes)
    pairs = np.zeros((n, v), dtype=bool)
    pairs[:, instance.demand.nodes] = True
    frozen = np.zeros((n, len(network.lanes), 1))
    frozen[:, 0, 0] = 40.0
    tree = ScenarioTree.chain(2)
    problem = StageProblem(network, tree, pairs, frozen=frozen, frozen_start=3)
    state = StageState(np.zeros((n, v)), np.zeros((n, v, 0)), np.zeros((n, v)))
    nothing = np.zeros((n, v, 3))
    solved = problem.solve(state, 3, nothing)
    np.testing.assert_allclose(solved.order[:, 0, 0], 40.0)
    used = solved.solution.values("used")
    assert used.sum() == 2
    later = problem.solve(state, 4, nothing)
    assert not later.order.any()
    assert later.solution.objective == pytest.approx(0)


def test_prices_are_savings_by_period_and_resource():
    """The price of a tight resource is what one more unit of its capacity saves."""
    generator = np.random.default_rng(2)
    instance = random_instance(generator)
    tight = tuple(replace(r, capacity=0.5 * r.capacity) for r in instance.network.resources)
    network = replace(instance.network, resources=tight)
    pairs = np.zeros((2, len(network.nodes)), dtype=bool)
    pairs[:, instance.demand.nodes] = True
    tree = ScenarioTree.chain(3)
    demand = np.full((2, len(network.nodes), 4), 6.3)
    step = 1e-4
    layout = ReplenishmentLayout(network, tree, 0, pairs)
    state = StageState(
        instance.on_hand * layout.stocked + 0.3 * layout.stocked,
        np.zeros((2, len(network.nodes), 1)),
        np.zeros_like(instance.backlog),
    )
    solved = StageProblem(network, tree, pairs).solve(state, 0, demand)
    prices = solved.prices()
    assert (prices > 0.01).sum() >= 3
    for r, resource in enumerate(network.resources):
        for t in range(3):
            capacity = np.array(resource.capacity_at(0, 3))
            capacity[t] += step
            wider = list(network.resources)
            wider[r] = replace(resource, capacity=capacity)
            moved = StageProblem(replace(network, resources=tuple(wider)), tree, pairs)
            saved = solved.solution.objective - moved.solve(state, 0, demand).solution.objective
            row = t + 1 if layout.is_seen_after_demand(resource) else t
            assert saved / step == pytest.approx(prices[r, row], abs=1e-4)


def test_infeasible_stage_names_what_contradicts():
    """A hard storage limit that arriving stock must break: resource, node, item, period."""
    generator = np.random.default_rng(0)
    instance = random_instance(generator)
    network = instance.network
    storage = replace(network.resources[0], overflow_cost=np.inf, capacity=np.array([1.0]))
    allowed = network.allowed & (network.origin != network.node_index["store0"])
    network = replace(network, resources=(storage,), allowed=allowed)
    pairs = np.zeros((2, len(network.nodes)), dtype=bool)
    pairs[:, instance.demand.nodes] = True
    on_hand = np.zeros_like(instance.on_hand)
    on_hand[0, network.node_index["store0"]] = 500.0
    state = StageState(on_hand, np.zeros((2, len(network.nodes), 1)), 0 * on_hand)
    problem = StageProblem(network, ScenarioTree.chain(2), pairs)
    with pytest.raises(InfeasibleError) as caught:
        problem.solve(state, 5, np.zeros((2, len(network.nodes), 3)))
    text = str(caught.value)
    for name in ("resource storage", "item item0", "node store0", "period 5"):
        assert name in text
