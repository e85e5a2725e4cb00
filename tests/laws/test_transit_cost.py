"""Costs of stock on the way, in the simulator, the program and the instance folder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.scenario_tree import ScenarioTree

import optrl
from optrl.errors import OptrlError
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testing import random_instance

CHAIN = ScenarioTree.chain(4)


def with_transit_cost(instance, generator, periods=3):
    network = instance.network
    cost = generator.uniform(0, 1, (len(network.items), len(network.lanes), periods))
    cost[:, network.serving_lanes] = 0
    return replace(instance, network=replace(network, transit_cost=cost))


class _OrdersOnce:
    name = "once"

    def __init__(self, order):
        self.order = order

    def decide(self, state, period):
        first = period == self.start
        return Decision(order=self.order * first)

    start = 0


def test_each_unit_is_charged_period_by_period():
    """A single release is charged its cost by age, and nothing after the last age."""
    instance = with_transit_cost(
        random_instance(np.random.default_rng(3), resources=False, horizon=6),
        np.random.default_rng(4),
    )
    lanes = instance.network.replenishment_lanes
    order = torch.zeros(1, 2, len(lanes), dtype=torch.float64)
    network = instance.network
    lane = next(
        k
        for k, a in enumerate(lanes)
        if network.allowed[1, a] and network.is_open(a, instance.start) and network.origin[a] < 2
    )
    order[0, 1, lane] = 2.0
    policy = _OrdersOnce(order)
    policy.start = instance.start
    demand = np.zeros((1, 2, len(instance.demand.nodes), 6))
    played = simulate(instance, policy, demand, seed=0, dtype=torch.float64, record="full")
    released = float(played.detail.released[0, 1, lane, 0])
    assert released > 0
    expected = np.zeros(6)
    expected[:3] = released * instance.network.transit_cost[1, lanes[lane]]
    np.testing.assert_allclose(played.cost["transit"][0], expected, rtol=1e-12)


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), discount=st.sampled_from([1.0, 0.9]))
def test_program_and_simulator_agree_on_transit_cost(laws, unmet, seed, discount):
    """The plan's objective is the simulated cost, releases cut off by the horizon included."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, discount=discount, resources=False)
    instance = with_transit_cost(laws.own_demand_first(instance), generator)
    network = instance.network
    everything = replace(network, allowed=np.ones_like(network.allowed))
    instance = replace(instance, network=everything)
    path = generator.poisson(3.0, (2, len(instance.demand.nodes), 4)).astype(float)
    demand = laws.tree_demand(instance, CHAIN, np.concatenate([0 * path[..., :1], path], 2))
    solved = laws.solve(*laws.problem(instance, CHAIN, demand))
    played = laws.play(instance, solved, path, 0)
    assert "transit" in played.cost
    assert float(played.total_cost[0]) == pytest.approx(solved.solution.objective, rel=1e-6)


def test_a_folder_refuses_what_it_cannot_hold(tmp_path):
    """Saving would lose the costs on the way, so it is refused and nothing is written."""
    instance = with_transit_cost(
        random_instance(np.random.default_rng(0)), np.random.default_rng(1)
    )
    with pytest.raises(OptrlError, match="transit_cost"):
        optrl.save(instance, tmp_path / "out")
    assert not (tmp_path / "out").exists()
