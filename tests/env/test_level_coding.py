"""Items as agents: action 0 is the rule, rewards are what items save, shares what they cause."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from optrl_formulations.network import Resource

from optrl.demand.fit import fit
from optrl.env.encoding import Encoding, EncodingError, EncodingSettings
from optrl.env.episodes import Episodes
from optrl.env.item_costs import ItemCosts
from optrl.policies.base_stock import BaseStock
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testing import random_instance

LEVELS = EncodingSettings(actions="levels")


def made(unmet="lost", seed=3, **more):
    return random_instance(
        np.random.default_rng(seed), items=3, stocking=3, unmet=unmet, horizon=8, **more
    )


class Moved:
    """The rule with its levels moved by the same factor throughout, decided by the encoding."""

    name = "moved"

    def __init__(self, encoding, action):
        self.encoding, self.action = encoding, action

    def decide(self, state, period):
        rows = state.on_hand.shape[0] * self.encoding.agents
        action = torch.full((rows, self.encoding.actions), self.action, dtype=torch.float64)
        return Decision(order=self.encoding.orders(action, state, period))


@pytest.mark.parametrize("rule", [BaseStock, EchelonBaseStock])
def test_action_zero_is_the_rule(rule):
    """Costs of action 0 are the rule's, and every reward is then 0."""
    instance = made(resources=True)
    model = fit(instance)
    settings = replace(LEVELS, rule=rule.name)
    demand = model.sample(4, instance.start, 8, np.random.default_rng(0))
    played = Moved(Encoding(instance, model, settings), 0.0)
    own = simulate(instance, played, demand, seed=0, dtype=torch.float64)
    beside = simulate(instance, rule.fit(instance, model), demand, seed=0, dtype=torch.float64)
    np.testing.assert_allclose(own.total_cost, beside.total_cost, rtol=1e-12)
    episodes = Episodes(instance, model, settings, dtype=torch.float64)
    observed = episodes.reset(np.random.default_rng(0), 4)
    assert observed.shape == (12, episodes.encoding.size)
    for _ in range(8):
        _, done = episodes.step(torch.zeros(12, episodes.encoding.actions))
        np.testing.assert_array_equal(done.reward, 0.0)


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
def test_rewards_sum_to_what_is_saved(unmet):
    """Where nothing is shared, rewards in money sum to the rule's total cost less the learner's."""
    instance = made(unmet, resources=False, integers=True, discount=0.9)
    network = instance.network
    shared = replace(network, joint_fixed_cost=np.zeros_like(network.joint_fixed_cost))
    instance = replace(instance, network=shared)
    model = fit(instance)
    paths = model.sample(1, instance.start, 8, np.random.default_rng(0))
    episodes = Episodes(instance, model, LEVELS, paths=paths, cost_scale=2.0, dtype=torch.float64)
    episodes.reset(np.random.default_rng(9), 2)
    total = np.zeros(6)
    for _ in range(8):
        _, done = episodes.step(torch.full((6, episodes.encoding.actions), 0.75))
        total += done.reward
    assert done.over
    own = simulate(
        instance, Moved(episodes.encoding, 0.75), paths, seed=0, dtype=torch.float64
    ).total_cost
    rule = BaseStock.fit(instance, model)
    beside = simulate(instance, rule, paths, seed=0, dtype=torch.float64).total_cost
    assert abs(float(own - beside)) > 1
    np.testing.assert_allclose(
        total.reshape(2, 3).sum(axis=1) * 2.0, (beside - own).expand(2), rtol=1e-9
    )


def test_an_item_pays_for_the_overflow_it_causes():
    """Beyond its own costs an item is charged what storage would overflow less without it."""
    instance = made(resources=False, seed=4)
    network = instance.network
    node = int(np.flatnonzero(network.kind == 1)[0])
    use = np.array([1.0, 2.0, 0.5])
    store = Resource("store", "storage", use, np.array([4.0]), node=node, overflow_cost=3.0)
    full = np.zeros_like(instance.on_hand)
    full[:, node] = [5.0, 1.0, 2.0]
    empty = np.zeros_like(instance.due)
    costs = []
    for resources in ((store,), ()):
        changed = replace(network, resources=resources)
        now = replace(instance, network=changed, on_hand=full, due=empty)
        dynamics = Dynamics(now, dtype=torch.float64)
        before = dynamics.initial_state(1)
        lanes = len(network.replenishment_lanes)
        demand = torch.zeros(len(instance.demand.nodes), 1, 3, dtype=torch.float64)
        after, outcome = dynamics.step(
            before,
            Decision(order=torch.zeros(1, 3, lanes, dtype=torch.float64)),
            demand,
            dynamics.draws(0, 0, 1),
        )
        costs.append(ItemCosts(dynamics).cost(before, outcome, after)[0].numpy())
    # 5 + 2 + 1 of 4 used: the absence of each item saves min(what it fills, 4) times 3.
    np.testing.assert_allclose(costs[0] - costs[1], 3.0 * np.array([4.0, 2.0, 1.0]))


def test_scaled_levels_are_levels_times_a_factor():
    """Scaling the policy by item and node orders as the policy of those levels does."""
    instance = made(resources=False)
    model = fit(instance)
    rule = EchelonBaseStock.fit(instance, model)
    level = rule.levels.at(instance.start)
    factor = np.random.default_rng(0).uniform(0.5, 2, level.shape)
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    wanted = EchelonBaseStock.at_level(instance, level * factor).decide(state, instance.start)
    scaled = rule.scaled(torch.from_numpy(factor.T.copy())[:, None])
    order = scaled.decide(state, instance.start).order
    assert float(order.sum()) > 0
    torch.testing.assert_close(order, wanted.order)
    twice = scaled.scaled(1 / torch.from_numpy(factor.T.copy())[:, None])
    plain = rule.decide(state, instance.start).order
    torch.testing.assert_close(twice.decide(state, instance.start).order, plain)


def test_what_does_not_fit_is_refused():
    """Rules without levels and Gymnasium's one-agent environments say what to choose."""
    instance = made()
    model = fit(instance)
    with pytest.raises(EncodingError, match="orders up to no levels"):
        Encoding(instance, model, replace(LEVELS, rule="lookahead"))
    with pytest.raises(EncodingError, match="reach 0"):
        replace(LEVELS, reach=0)
    pytest.importorskip("gymnasium", reason="the extra optrl[rl] is not installed")
    from optrl.env.single import InventoryEnv
    from optrl.env.vector import InventoryVectorEnv

    with pytest.raises(EncodingError, match="one: choose"):
        InventoryEnv(instance, model, LEVELS)
    with pytest.raises(EncodingError, match="one: choose"):
        InventoryVectorEnv(2, instance, model, LEVELS)
