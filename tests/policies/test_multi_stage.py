"""Multi-stage lookahead: its tree's demand, and what it earns over deciding on one future."""

from dataclasses import replace

import numpy as np
import torch
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.fit import fit
from optrl.policies.multi_stage import MultiStage
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance


def made(seed, **more):
    return random_instance(np.random.default_rng(seed), items=1, horizon=8, resources=False, **more)


def test_demand_on_the_tree_keeps_each_periods_mean_and_rises_over_strata():
    """Every period's expectation over the tree is the model's; branches go from low to high."""
    instance = made(0)
    model = fit(instance)
    policy = MultiStage(instance, model, branches=(4, 2))
    tree = ScenarioTree.branching([4, 2, 1, 1])
    demand = policy._sample(tree, instance.start)
    expected = policy.view.demand(model.mean(instance.start, 4))
    for depth in range(1, 5):
        nodes = np.flatnonzero(tree.depth == depth)
        mean = demand[:, :, nodes] @ tree.probability[nodes]
        np.testing.assert_allclose(mean, expected[:, :, depth - 1], rtol=1e-9)
    first = np.flatnonzero(tree.depth == 1)
    total = demand[:, :, first].sum(axis=(0, 1))
    assert (np.diff(total) > 0).all()
    seen = demand[:, :, np.flatnonzero(tree.depth == 2)].sum(axis=(0, 1)).reshape(4, 2)
    assert (seen[:, 1] > seen[:, 0]).all()


def test_it_costs_less_than_the_lookahead_on_one_sampled_future():
    """Hedging against several futures beats believing in one, on the same demand."""
    saved = []
    for seed in range(3):
        instance = made(seed, unmet="lost")
        model = fit(instance)
        demand = model.sample(12, instance.start, 8, np.random.default_rng(seed + 10))
        cost = [
            simulate(
                instance,
                MultiStage(instance, model, branches=branches, seed=1),
                demand,
                seed=0,
                dtype=torch.float64,
            ).total_cost.mean()
            for branches in ((6, 2), (1,))
        ]
        saved.append(float(cost[1] - cost[0]))
    assert np.mean(saved) > 0


def test_the_horizon_ends_with_the_instance():
    """Nothing is ordered in the last period that could neither serve nor be worth anything."""
    instance = made(1)
    network = instance.network
    worthless = replace(network, terminal_value=np.zeros_like(network.terminal_value))
    instance = replace(instance, network=worthless)
    policy = MultiStage(instance, fit(instance), branches=(2,))
    states = []

    class Watch:
        name = "watch"

        def decide(self, state, period):
            decision = policy.decide(state, period)
            states.append(decision.order.numpy())
            return decision

    demand = fit(instance).sample(1, instance.start, 8, np.random.default_rng(0))
    simulate(instance, Watch(), demand, seed=0, dtype=torch.float64)
    late = network.lead_time[network.replenishment_lanes] > 0
    assert late.any()
    assert float(np.abs(states[-1][:, :, late]).max()) < 1e-9
