"""Lookahead: plans cost what they say, decisions are feasible, safety stock pays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import Resource
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.fit import fit
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.evaluation.perfect_information import perfect_information
from optrl.policies.base_stock import BaseStock
from optrl.policies.lookahead import Lookahead
from optrl.policies.planned import PlannedDecisions
from optrl.simulation.rollout import simulate
from optrl.solver import InfeasibleError
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import StageProblem
from optrl.testing import random_instance

SEEDS = st.integers(0, 2**32 - 1)


def usable(generator, **options):
    """A random instance in which every item may use every lane; own demand is dearest."""
    instance = random_instance(generator, horizon=8, **options)
    network = instance.network
    shortage = np.where((network.kind == 1)[None, :], 500.0, network.shortage_cost)
    network = replace(
        network, allowed=np.ones_like(network.allowed), shortage_cost=shortage, closed=frozenset()
    )
    return replace(instance, network=network)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_plan_costs_in_the_simulator_what_it_says(seed):
    """Played on its own expected demand nothing is cut and the objective is paid."""
    generator = np.random.default_rng(seed)
    instance = usable(generator, unmet="backorder", discount=0.95)
    model = fit(instance)
    flows, report = Lookahead(instance, model, safety=False).plan()
    path = model.mean(instance.start, instance.horizon)
    played = simulate(instance, PlannedDecisions(flows), path[None], seed=0, dtype=torch.float64)
    assert max(float(c.abs().max()) for c in played.cut.values()) < 1e-6
    assert float(played.total_cost[0]) == pytest.approx(report.objective, rel=1e-6, abs=1e-6)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, unmet=st.sampled_from(["lost", "backorder"]))
def test_plan_without_safety_is_the_program_on_expected_demand(seed, unmet):
    """With two customers of few lanes the plan loses nothing to merging or left-out lanes."""
    generator = np.random.default_rng(seed)
    instance = usable(generator, unmet=unmet, stocking=2)
    model = fit(instance)
    _, report = Lookahead(instance, model, safety=False).plan()
    path = model.mean(instance.start, instance.horizon)
    view = CoarseView.of(instance, path.mean(axis=2), merge=False)
    tree = ScenarioTree.chain(instance.horizon)
    problem = StageProblem(view.aggregation.network, tree, view.demand_pairs)
    exact = problem.solve(view.start(), instance.start, with_root(view.demand(path)))
    if unmet == "backorder":
        assert report.objective == pytest.approx(exact.solution.objective, rel=1e-7, abs=1e-6)
    else:
        assert report.objective >= exact.solution.objective - 1e-6
        assert report.objective <= 1.05 * abs(exact.solution.objective) + 1.0


@settings(max_examples=4, deadline=None)
@given(seed=SEEDS, unmet=st.sampled_from(["lost", "backorder"]), safety=st.booleans())
def test_decisions_are_feasible_and_above_the_bound(seed, unmet, safety):
    """Nothing that lookahead releases is cut; its cost stands above perfect information."""
    generator = np.random.default_rng(seed)
    instance = usable(generator, unmet=unmet, limited_supply=True, discount=0.95)
    model = fit(instance)
    paths = model.sample(2, instance.start, 6, generator)
    policy = Lookahead(instance, model, safety=safety)
    played = simulate(instance, policy, paths, seed=3, dtype=torch.float64)
    # A budget or throughput shared with serving is planned on expected demand, so that only
    # stock, supply, calendar and lanes are certain.
    for reason in ("stock", "closed", "not_allowed", "maximum_quantity", "supply_capacity"):
        if reason in played.cut:
            assert float(played.cut[reason].abs().max()) < 1e-5, reason
    bound = perfect_information(instance, paths, seed=3).bound
    assert (bound <= played.total_cost.numpy() + 1e-6).all()


@pytest.mark.parametrize(("unmet", "near"), [("lost", 1.2), ("backorder", 1.1)])
def test_safety_stock_pays(build_instance, unmet, near):
    """One shop, lead time 2, Poisson 5: near the best base stock with it, far without."""
    instance = build_instance(
        {"s": "supplier", "shop": "stocking"},
        {("s", "shop"): 2},
        ["shop"],
        unmet=unmet,
        holding={"shop": 1.0},
        shortage=9.0,
        on_hand={"shop": 15.0},
    )
    demand = Poisson(instance.demand.nodes, steady(np.full((1, 1), 5.0)))
    paths = demand.sample(12, 0, 40, np.random.default_rng(1))

    def cost(policy):
        played = simulate(instance, policy, paths, seed=0, warm_up=10, dtype=torch.float64)
        return float(played.total_cost.mean())

    base = min(cost(BaseStock.at_level(instance, level)) for level in range(14, 24))
    held = cost(Lookahead(instance, demand))
    bare = cost(Lookahead(instance, demand, safety=False))
    assert held < near * base
    assert bare > 1.25 * base


def test_hard_storage_is_kept_by_plans_and_priced_in_decisions(build_instance):
    """Arrivals that cannot be stored: the plan is refused by name, a decision is still taken."""
    shelf = Resource("shelf", "storage", np.ones(1), np.array([6.0]), node=1)
    instance = build_instance(
        {"s": "supplier", "shop": "stocking"},
        {("s", "shop"): 1},
        ["shop"],
        holding={"shop": 1.0},
        on_hand={"shop": 40.0},
        resources=(shelf,),
    )
    demand = Poisson(instance.demand.nodes, steady(np.full((1, 1), 5.0)))
    policy = Lookahead(instance, demand)
    with pytest.raises(InfeasibleError, match="shelf"):
        policy.plan()
    paths = demand.sample(1, 0, 4, np.random.default_rng(1))
    played = simulate(instance, policy, paths, seed=0, dtype=torch.float64, record="full")
    assert not played.detail.released[0, 0, :, 0].any()
