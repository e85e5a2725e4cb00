"""PPO: it learns, resumes to the same network, and is a policy like any other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")

import optrl
from optrl.demand.fit import fit
from optrl.env.encoding import EncodingSettings
from optrl.learning.base import Subject
from optrl.learning.ppo import PPOLearner, PPOSettings
from optrl.simulation.rollout import simulate
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testing import random_instance

# Rollouts that end within episodes, so that a checkpoint carries episodes under way.
SMALL = PPOSettings(
    updates=6,
    checkpoint_every=2,
    validate_every=3,
    environments=4,
    rollout=5,
    batch=10,
    epochs=2,
    hidden=(8,),
    validation_scenarios=4,
)


@pytest.fixture(scope="module")
def instance():
    return random_instance(np.random.default_rng(1), items=1, stocking=1, customers=1, horizon=8)


def policy_bytes(folder):
    return (folder / "policy" / "policy.safetensors").read_bytes()


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("encoding", [EncodingSettings(), EncodingSettings(actions="levels")])
def test_a_killed_training_resumes_to_the_same_network(instance, tmp_path, encoding):
    """Killed within an episode and resumed, training ends bit by bit as if never killed."""
    settings = replace(SMALL, encoding=encoding)
    whole = optrl.train(instance, "ppo", tmp_path / "a", seed=3, settings=settings)

    def kill(progress):
        if progress.update == 5:
            raise KilledError

    with pytest.raises(KilledError):
        optrl.train(instance, "ppo", tmp_path / "b", seed=3, settings=settings, told=kill)
    updates = []
    resumed = optrl.train(
        instance,
        "ppo",
        tmp_path / "b",
        seed=3,
        resume=True,
        settings=settings,
        told=lambda progress: updates.append(progress.update),
    )
    assert updates == [4, 5, 6]
    assert policy_bytes(tmp_path / "a") == policy_bytes(tmp_path / "b")
    assert whole.validation_cost == resumed.validation_cost
    optrl.train(instance, "ppo", tmp_path / "c", seed=4, settings=settings)
    assert policy_bytes(tmp_path / "a") != policy_bytes(tmp_path / "c")


def test_generators_of_the_process_are_put_back(instance):
    """stable-baselines3 draws from generators of the whole process; others find them untouched."""
    learner = PPOLearner.begin(Subject(instance, fit(instance)), SMALL, 0)
    of_torch, of_numpy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    learner.update()
    assert torch.equal(of_torch, torch.get_rng_state())
    np.testing.assert_equal(of_numpy, np.random.get_state())  # noqa: NPY002


def test_a_policy_of_another_instance_is_refused(instance, tmp_path):
    """The message says that its shape is another's."""
    optrl.train(instance, "ppo", tmp_path, settings=replace(SMALL, updates=1))
    wider = random_instance(np.random.default_rng(1), items=2, stocking=1, customers=1, horizon=8)
    with pytest.raises(optrl.OptrlError, match="train on this instance"):
        optrl.load_policy(tmp_path, wider, fit(wider))


def test_the_policy_is_simulated_like_any_other(instance, tmp_path):
    """Loaded from its folder it decides in batches, each scenario as if it were alone."""
    model = fit(instance)
    trained = optrl.train(instance, "ppo", tmp_path, settings=SMALL)
    policy = optrl.load_policy(tmp_path, instance, model)
    assert policy.name == "ppo"
    demand = model.sample(5, instance.start, 8, np.random.default_rng(0))
    together = simulate(instance, policy, demand, seed=0).total_cost
    apart = [float(simulate(instance, policy, d[None], seed=0).total_cost[0]) for d in demand]
    np.testing.assert_allclose(together, apart, rtol=1e-4)
    same = simulate(instance, trained.policy, demand, seed=0).total_cost
    np.testing.assert_array_equal(same, together)


def test_what_plays_is_the_mean_action(instance):
    """The network that is saved gives what stable-baselines3 itself takes as its mean action."""
    learner = PPOLearner.begin(Subject(instance, fit(instance)), SMALL, 0)
    learner.update()
    observed = torch.randn(7, learner.episodes.encoding.size)
    with torch.no_grad():
        expected = learner.model.policy.get_distribution(observed).mode()
        torch.testing.assert_close(learner.policy.network(observed), expected, rtol=0, atol=0)


def test_it_learns_to_order(tmp_path):
    """On Zipkin's easiest instance a short training comes within 25 % of the optimum."""
    bed = next(LostSalesFamily.cases())
    settings = PPOSettings(
        updates=20,
        environments=64,
        rollout=16,
        batch=256,
        epochs=4,
        learning_rate=5e-3,
        discount=0.9,
        episode=50,
        encoding=EncodingSettings(actions="order_up_to", largest=2.0),
    )
    policy = optrl.train(bed, "ppo", tmp_path, settings=settings).policy
    assert policy.encoding.settings.whole
    assert not policy.encoding.settings.clock
    demand = bed.demand.sample(100, 0, 300, np.random.default_rng(1))

    def cost():
        run = simulate(bed.instance, policy, demand, seed=0, warm_up=50)
        return float(run.period_cost[:, 50:].mean())

    assert cost() < 1.25 * bed.optimum
    for parameter in policy.network[-1].parameters():
        torch.nn.init.zeros_(parameter)
    assert cost() > 1.5 * bed.optimum
