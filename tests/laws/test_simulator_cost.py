"""The simulator and the program charge the same cost for the same decisions."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.fit import fit
from optrl.evaluation.perfect_information import perfect_information, realized_delivery
from optrl.instance import ArrivalProfile, Instance
from optrl.policies import find
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testing import random_instance

CHAIN = ScenarioTree.chain(4)


def with_dead_stock_removed(instance):
    """Stock only where some lane or demand of the item touches it."""
    network = instance.network
    touched = np.zeros(instance.on_hand.shape, dtype=bool)
    for lane, (origin, destination) in enumerate(
        zip(network.origin, network.destination, strict=True)
    ):
        touched[:, [origin, destination]] |= network.allowed[:, [lane]]
    touched[:, instance.demand.nodes] = True
    return replace(
        instance, on_hand=instance.on_hand * touched, due=instance.due * touched[:, :, None]
    )


def with_frozen_orders(instance, generator):
    """One period of small frozen orders out of the suppliers, on open lanes."""
    network = instance.network
    frozen = np.zeros((len(network.items), len(network.lanes), 2))
    is_open = network.open_periods(instance.start, 2)
    for lane in network.replenishment_lanes:
        if network.kind[network.origin[lane]] == 0:
            amount = np.where(network.allowed[:, lane], np.round(generator.uniform(0, 2, 2), 2), 0)
            frozen[:, lane, 0] = amount * is_open[lane, 0]
    return replace(instance, frozen=frozen)


def check_equal(laws, instance, solved, path, seed=0):
    played = laws.play(instance, solved, path, seed)
    for reason, cut in played.cut.items():
        assert float(cut.abs().max()) < 1e-6, reason
    objective = solved.solution.objective
    assert float(played.total_cost[0]) == pytest.approx(objective, rel=1e-6, abs=1e-6)
    detail = played.detail
    stocking = instance.network.kind == 1
    np.testing.assert_allclose(
        detail.on_hand[0][:, stocking],
        solved.dense("on_hand")[:, stocking, 1:],
        atol=1e-6,
    )
    places = instance.demand.nodes
    np.testing.assert_allclose(detail.short[0], solved.dense("unmet")[:, places, 1:], atol=1e-6)
    serving = instance.network.serving_lanes
    np.testing.assert_allclose(detail.served[0], solved.dense("serve")[:, serving, 1:], atol=1e-6)
    return played


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("integers", [False, True])
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    limited=st.booleans(),
    frozen=st.booleans(),
    discount=st.sampled_from([1.0, 0.9]),
)
def test_decisions_of_the_program_cost_the_same_in_the_simulator(
    laws, unmet, integers, seed, limited, frozen, discount
):
    """Nothing of the plan is cut; cost, stock, unmet demand and serving agree."""
    generator = np.random.default_rng(seed)
    instance = random_instance(
        generator, unmet=unmet, integers=integers, limited_supply=limited, discount=discount
    )
    instance = with_dead_stock_removed(laws.own_demand_first(instance))
    if frozen and not integers:
        instance = with_frozen_orders(instance, generator)
    path = generator.poisson(3.0, (2, len(instance.demand.nodes), 4)).astype(float)
    demand = laws.tree_demand(instance, CHAIN, np.concatenate([0 * path[..., :1], path], 2))
    solved = laws.solve(*laws.problem(instance, CHAIN, demand))
    check_equal(laws, instance, solved, path)


def with_random_arrivals(instance, generator):
    """Profiles on the lanes out of suppliers into stock: late, in parts, in part, at once."""
    network = instance.network
    fractions = np.array([[0.3, 0.0, 0.7, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.2, 0.0, 0.5]])
    lanes = [a for a in network.replenishment_lanes if network.kind[network.origin[a]] == 0]
    profiles = tuple(
        ArrivalProfile(int(lane), generator.dirichlet(np.ones(3)), fractions[:, : 3 + position])
        for position, lane in enumerate(lanes[:2])
    )
    assert len(profiles) == 2
    return replace(instance, arrivals=profiles)


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), draws=st.integers(0, 1000))
def test_cost_agrees_when_orders_arrive_as_the_simulator_draws_them(laws, unmet, seed, draws):
    """With the simulator's own arrivals in the program, its decisions cost the same there."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, discount=0.95)
    instance = with_dead_stock_removed(laws.own_demand_first(instance))
    instance = with_random_arrivals(instance, generator)
    path = generator.poisson(3.0, (2, len(instance.demand.nodes), 4)).astype(float)
    demand = laws.tree_demand(instance, CHAIN, np.concatenate([0 * path[..., :1], path], 2))
    delivery = realized_delivery(instance, draws, 0, 4)
    solved = laws.solve(*laws.problem(instance, CHAIN, demand, delivery))
    check_equal(laws, instance, solved, path, seed=draws)


@dataclass(frozen=True)
class RandomDecisions:
    """Orders and serving limits drawn beforehand, shapes (S, N, lanes, T)."""

    instance: Instance
    order: torch.Tensor
    serve: torch.Tensor

    def decide(self, state, period):
        t = period - self.instance.start
        return Decision(self.order[..., t], self.serve[..., t])


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), integers=st.booleans(), random_arrivals=st.booleans())
def test_no_policy_costs_less_than_perfect_information(
    laws, unmet, seed, integers, random_arrivals
):
    """The bound of each scenario stands below every policy on the same demand and arrivals."""
    generator = np.random.default_rng(seed)
    instance = random_instance(
        generator,
        unmet=unmet,
        integers=integers,
        limited_supply=True,
        service=True,
        discount=0.95,
        horizon=8,
    )
    instance = with_dead_stock_removed(instance)
    if random_arrivals:
        instance = with_random_arrivals(instance, generator)
    network, scenarios, periods = instance.network, 3, 8
    pairs = (2, len(instance.demand.nodes))
    paths = generator.poisson(3.0, (scenarios, *pairs, periods)).astype(float)
    bound = perfect_information(instance, paths, seed=9).bound
    model = fit(instance)
    shape = (scenarios, 2)
    policies = [find(name).fit(instance, model) for name in ("base_stock", "echelon_base_stock")]
    policies += [
        RandomDecisions(
            instance,
            torch.from_numpy(generator.uniform(0, size, (*shape, len(lanes), periods))),
            torch.from_numpy(generator.uniform(0, 6, (*shape, len(serving), periods))),
        )
        for size in (1.0, 6.0)
        for lanes, serving in [(network.replenishment_lanes, network.serving_lanes)]
    ]
    for policy in policies:
        played = simulate(instance, policy, paths, seed=9, dtype=torch.float64)
        assert (bound <= played.total_cost.numpy() + 1e-6).all(), type(policy).__name__
