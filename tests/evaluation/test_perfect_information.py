"""The perfect-information bound stays below every policy, and no policy sees the future."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.demand.fit import demand_families, fit
from optrl.evaluation.judge import judge, kept_demand
from optrl.evaluation.perfect_information import perfect_information
from optrl.instance import ArrivalProfile, DemandTable
from optrl.policies import find
from optrl.policies.two_stage import TwoStage
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance

FAST = ("base_stock", "echelon_base_stock", "newsvendor")


@pytest.mark.parametrize("seed", range(6))
def test_bound_is_below_policies_with_random_arrivals_and_frozen_orders(seed):
    """Also where stock cannot carry a frozen order and orders come late, in parts, or in part."""
    generator = np.random.default_rng(seed)
    instance = random_instance(
        generator,
        horizon=9,
        unmet="backorder" if seed % 2 else "lost",
        integers=seed % 3 == 0,
        discount=0.98,
    )
    network = instance.network
    lane = int(network.replenishment_lanes[1])
    fraction = np.array([[0, 1, 0, 0], [0, 0.5, 0, 0.5], [0, 0, 0.7, 0.0]])
    profile = ArrivalProfile(lane, np.array([0.5, 0.3, 0.2]), fraction)
    frozen = np.zeros((len(network.items), len(network.lanes), 2))
    lanes = network.replenishment_lanes
    inner = lanes[network.kind[network.origin[lanes]] == 1]
    frozen[:, inner, :] = 4.0 * network.allowed[:, inner, None]
    open_at = network.open_periods(instance.start, 2)
    frozen *= open_at[None]
    instance = replace(instance, arrivals=(profile,), frozen=frozen)
    believed = fit(instance)
    demand = believed.sample(2, instance.start, 9, generator)
    bound = perfect_information(instance, demand, seed=3).bound
    for name in FAST:
        policy = find(name).fit(instance, believed)
        played = simulate(instance, policy, demand, seed=3, dtype=torch.float64)
        cost = played.total_cost.numpy()
        assert (bound <= cost + 1e-6 * np.abs(cost)).all(), name


def test_programs_decide_where_stock_cannot_carry_a_frozen_order():
    """Rolling programs take a frozen order in part, as the simulator does, and go on."""
    instance = random_instance(np.random.default_rng(2), horizon=8)
    network = instance.network
    lanes = network.replenishment_lanes
    inner = lanes[network.kind[network.origin[lanes]] == 1]
    frozen = np.zeros((len(network.items), len(network.lanes), 1))
    frozen[:, inner, 0] = 500.0 * network.allowed[:, inner]
    frozen *= network.open_periods(instance.start, 1)[None]
    frozen = np.minimum(frozen, network.maximum_quantity[:, :, None])
    instance = replace(instance, frozen=frozen, network=replace(network, resources=()))
    believed = fit(instance)
    demand = believed.mean(instance.start, 3)[None]
    for name in ("lookahead", "two_stage", "multi_stage"):
        policy = find(name).fit(instance, believed)
        played = simulate(instance, policy, demand, seed=0, dtype=torch.float64)
        assert torch.isfinite(played.total_cost).all()


@pytest.mark.parametrize("family", ["poisson", "negative_binomial", "normal"])
def test_sampled_futures_are_not_the_true_one(family):
    """Demand drawn by a caller with the policy's seed is no path of the policy's sample."""
    assert family in demand_families()
    instance = random_instance(np.random.default_rng(1), horizon=9, unmet="backorder")
    believed = fit(instance, family)
    policy = TwoStage.fit(instance, believed, seed=11)
    truth = believed.sample(1, instance.start, policy.horizon, np.random.default_rng(11))
    sampled = policy.sample(instance.start)[:, :, 1:]
    dense = policy.view.demand(truth[0])
    n, v, _ = dense.shape
    paths = sampled.reshape(n, v, policy.horizon, -1)
    distance = np.abs(paths - dense[..., None]).sum(axis=(0, 1, 2))
    assert (distance > 0).all()


def test_judge_ranks_with_the_bound_first():
    """Kept demand, one row a policy, cheapest first after the bound, nothing below it."""
    instance = random_instance(np.random.default_rng(4), horizon=8)
    table = judge(instance, FAST, kept_demand(instance), fit(instance), seed=0)
    assert table["policy"].to_list()[0] == "perfect_information"
    assert sorted(table["policy"].to_list()[1:]) == sorted(FAST)
    assert table["cost"].is_sorted()
    assert (table["above_bound_percent"].drop_nulls() >= 0).all()


def test_nothing_kept_is_an_error():
    """Replay needs periods after the start."""
    instance = random_instance(np.random.default_rng(4), horizon=8)
    history = instance.demand.quantity[:, :, : instance.start]
    table = DemandTable(instance.demand.nodes, 0, history)
    with pytest.raises(Exception, match="move `start` back"):
        kept_demand(replace(instance, demand=table))
