"""The Gymnasium environments: the checkers' contract, and the simulator's costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.demand.fit import fit
from optrl.env.encoding import Encoding, EncodingError, EncodingSettings
from optrl.env.episodes import Episodes
from optrl.instance import ArrivalProfile
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision
from optrl.testing import random_instance


def made(unmet="lost", seed=3, **more):
    instance = random_instance(
        np.random.default_rng(seed), unmet=unmet, horizon=8, discount=0.95, **more
    )
    lane = int(instance.network.replenishment_lanes[0])
    fraction = np.array([[0.0, 1.0, 0.0], [0.0, 0.4, 0.6]])
    profile = ArrivalProfile(lane, np.array([0.5, 0.5]), fraction)
    return replace(instance, arrivals=(profile,))


class Played:
    """The decisions that an environment took, for the simulator."""

    name = "played"

    def __init__(self, orders, start):
        self.orders, self.start = orders, start

    def decide(self, state, period):
        return Decision(order=self.orders[period - self.start])


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("actions", ["order", "order_up_to"])
def test_rewards_are_the_simulated_cost(unmet, actions):
    """Rewards of an episode sum to minus the rollout's discounted cost less terminal value."""
    instance = made(unmet, integers=True)
    paths = fit(instance).sample(1, instance.start, 8, np.random.default_rng(0))
    episodes = Episodes(
        instance,
        fit(instance),
        EncodingSettings(actions=actions, largest=1.5),
        paths=paths,
        dtype=torch.float64,
    )
    episodes.reset(np.random.default_rng(9), 3)
    generator = np.random.default_rng(1)
    draws, orders, rewards, over = episodes._draws, [], [], False
    while not over:
        action = torch.from_numpy(generator.uniform(-1, 1, (3, episodes.encoding.actions)))
        orders.append(
            episodes.encoding.orders(action, episodes.state, instance.start + len(orders))
        )
        _, done = episodes.step(action)
        rewards.append(done.reward)
        over = done.over
    assert len(rewards) == 8
    assert max(float(order.max()) for order in orders) > 0
    rolled = simulate(
        instance,
        Played(orders, instance.start),
        np.repeat(paths, 3, axis=0),
        seed=draws.seed,
        dtype=torch.float64,
    )
    total = np.sum(rewards, axis=0) * episodes.cost_scale
    np.testing.assert_allclose(total, -rolled.total_cost.numpy(), rtol=1e-9)


def test_observations_are_the_state_in_periods_of_demand():
    """Stock comes first, then the pipeline, each over the item's expected demand."""
    instance = random_instance(np.random.default_rng(5), items=1, unmet="backorder", horizon=8)
    model = fit(instance)
    episodes = Episodes(instance, model, dtype=torch.float64)
    observed = episodes.reset(np.random.default_rng(0), 2)
    encoding, network = episodes.encoding, instance.network
    mean = float(model.mean(instance.start, 8).sum() / 8)
    stocking = np.flatnonzero(network.kind == 1)
    np.testing.assert_allclose(
        observed[0, : len(stocking)], instance.on_hand[0, stocking] / mean, rtol=1e-5
    )
    slots = instance.due[0, stocking].ravel() / mean
    np.testing.assert_allclose(
        observed[1, len(stocking) : len(stocking) + len(slots)], slots, rtol=1e-5
    )
    assert observed.shape == (2, encoding.size)
    assert float(observed[0, -1]) == 0.0


def test_actions_span_no_order_to_the_largest():
    """-1 orders nothing, 1 the largest; levels count stock, pipeline and backlog; whole rounds."""
    instance = random_instance(np.random.default_rng(5), items=1, unmet="backorder", horizon=8)
    model = fit(instance)
    state = Episodes(instance, model, dtype=torch.float64)
    state.reset(np.random.default_rng(0), 1)
    lanes = instance.network.replenishment_lanes
    for settings in (
        EncodingSettings(largest=2.0),
        EncodingSettings(actions="order_up_to", largest=2.0),
        EncodingSettings(largest=2.3, whole=True),
    ):
        encoding = Encoding(instance, model, settings)
        low = encoding.orders(-torch.ones(1, encoding.actions), state.state, instance.start)
        high = encoding.orders(torch.ones(1, encoding.actions), state.state, instance.start)
        assert float(low.abs().max()) == 0.0
        for k, lane in enumerate(lanes):
            if not instance.network.allowed[0, lane]:
                assert float(high[0, 0, k]) == 0.0
            elif settings.actions == "order":
                cap = instance.network.maximum_quantity[0, lane]
                wanted = min(cap, settings.largest * encoding.scale[0])
                wanted = np.round(wanted) if settings.whole else wanted
                assert float(high[0, 0, k]) == pytest.approx(wanted)
            else:
                node = instance.network.destination[lane]
                seen = state.state
                position = seen.on_hand + seen.in_transit - seen.backlog
                slots = max(instance.network.longest_lead_time, instance.due.shape[2])
                level = (2.0 + slots) * encoding.scale[0]
                wanted = max(0.0, level - float(position[0, 0, node]))
                assert float(high[0, 0, k]) == pytest.approx(wanted)


def test_frozen_orders_replace_the_action():
    """In frozen periods what is released does not depend on the action."""
    instance = random_instance(np.random.default_rng(2), horizon=8, resources=False)
    shape = (2, len(instance.network.lanes), 1)
    frozen = replace(instance, frozen=np.zeros(shape))
    costs = []
    for sign in (-1.0, 1.0):
        episodes = Episodes(frozen, fit(instance))
        episodes.reset(np.random.default_rng(0), 1)
        _, done = episodes.step(torch.full((1, episodes.encoding.actions), sign))
        costs.append(done.reward)
    np.testing.assert_array_equal(*costs)


def test_bad_settings_are_named():
    """Unknown kinds of action and impossible ranges are refused with what to choose."""
    with pytest.raises(EncodingError, match="order_up_to"):
        EncodingSettings(actions="target")
    with pytest.raises(EncodingError, match="largest is 0"):
        EncodingSettings(largest=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_actions_that_are_no_numbers_are_refused(wrong):
    """An action that is not finite does not turn the state into one that is not."""
    instance = made()
    episodes = Episodes(instance, fit(instance))
    episodes.reset(np.random.default_rng(0), 2)
    action = torch.zeros(2, episodes.encoding.actions)
    action[1, 0] = wrong
    with pytest.raises(EncodingError, match=f"period {instance.start} is not finite"):
        episodes.step(action)
    observed, done = episodes.step(torch.zeros_like(action))
    assert bool(observed.isfinite().all())
    assert np.isfinite(done.reward).all()


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("truncates", [False, True])
def test_gymnasium_accepts_the_environment(unmet, truncates):
    """Gymnasium's own checker passes, determinism under a seed included."""
    pytest.importorskip("gymnasium", reason="the extra optrl[rl] is not installed")
    from gymnasium.utils.env_checker import check_env

    from optrl.env.single import InventoryEnv

    instance = made(unmet)
    env = InventoryEnv(instance, fit(instance), truncates=truncates)
    check_env(env, skip_render_check=True)
    env.reset(seed=1)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(8)]
    assert not any(any(end) for end in ends[:-1])
    assert ends[-1] == (not truncates, truncates)


def test_the_vector_environment_is_many_single_ones():
    """Spaces, autoreset and costs of the batch; episodes of a batch meet different demand."""
    gymnasium = pytest.importorskip("gymnasium", reason="the extra optrl[rl] is not installed")
    from optrl.env.single import InventoryEnv
    from optrl.env.vector import InventoryVectorEnv

    instance = made()
    model = fit(instance)
    env = InventoryVectorEnv(4, instance, model)
    single = InventoryEnv(instance, model)
    assert env.single_observation_space == single.observation_space
    assert env.single_action_space == single.action_space
    assert env.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.NEXT_STEP
    first, _ = env.reset(seed=7)
    assert env.observation_space.contains(first)
    env.action_space.seed(0)
    runs = []
    for _ in range(2):
        again, _ = env.reset(seed=7)
        np.testing.assert_array_equal(first, again)
        env.action_space.seed(0)
        runs.append([env.step(env.action_space.sample()) for _ in range(10)])
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    rewards = np.array([step[1] for step in runs[0]])
    over = np.array([step[2] for step in runs[0]])
    assert over[7].all()
    assert not over[[0, 1, 2, 3, 4, 5, 6, 8, 9]].any()
    assert (rewards[8] == 0).all()
    np.testing.assert_array_equal(runs[0][8][0], first)
    assert np.ptp(rewards[4]) > 0
