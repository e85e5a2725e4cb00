"""PPO: it learns, resumes to the same network, and is a policy like any other."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")

from optrl.demand.fit import fit
from optrl.env.encoding import EncodingSettings
from optrl.learning.ppo import PPOPolicy, PPOSettings, TrainingError, train_ppo
from optrl.simulation.rollout import simulate
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testing import random_instance

SMALL = PPOSettings(environments=4, rollout=16, batch=32, epochs=2, chunk=64, hidden=(8,))


@pytest.fixture(scope="module")
def instance():
    return random_instance(np.random.default_rng(1), items=1, stocking=1, customers=1, horizon=8)


def weights(policy):
    return torch.cat([p.flatten() for p in policy.model.policy.parameters()])


def test_a_killed_training_resumes_to_the_same_network(instance, tmp_path):
    """Stopped after the first chunk and resumed, training ends bit by bit as if never stopped."""
    whole = train_ppo(instance, fit(instance), tmp_path / "a", steps=192, seed=3, settings=SMALL)

    class KilledError(Exception):
        pass

    def kill(line):
        raise KilledError

    with pytest.raises(KilledError):
        train_ppo(
            instance, fit(instance), tmp_path / "b", steps=192, seed=3, settings=SMALL, told=kill
        )
    # A run that is killed while it writes leaves a temporary beside the last checkpoint.
    shutil.copy(tmp_path / "b" / "model-64.zip", tmp_path / "b" / "model-128.zip")
    lines = []
    resumed = train_ppo(
        instance,
        fit(instance),
        tmp_path / "b",
        steps=192,
        seed=3,
        resume=True,
        settings=SMALL,
        told=lines.append,
    )
    assert [line["steps"] for line in lines] == [128, 192]
    assert torch.equal(weights(whole), weights(resumed))
    other = train_ppo(instance, fit(instance), tmp_path / "c", steps=192, seed=4, settings=SMALL)
    assert not torch.equal(weights(whole), weights(other))


def test_a_folder_is_not_overwritten_nor_resumed_with_other_settings(instance, tmp_path):
    """A folder with a training is refused unless resumed with what it was started with."""
    model = fit(instance)
    train_ppo(instance, model, tmp_path, steps=64, settings=SMALL)
    with pytest.raises(TrainingError, match="already"):
        train_ppo(instance, model, tmp_path, steps=64, settings=SMALL)
    with pytest.raises(TrainingError, match="other steps"):
        train_ppo(instance, model, tmp_path, steps=128, resume=True, settings=SMALL)
    with pytest.raises(TrainingError, match="is not the log"):
        PPOPolicy.load(tmp_path / "nothing", instance, model)
    wider = random_instance(np.random.default_rng(1), items=2, stocking=1, customers=1, horizon=8)
    with pytest.raises(TrainingError, match="train on this instance"):
        PPOPolicy.load(tmp_path, wider, fit(wider))


def test_the_policy_is_simulated_like_any_other(instance, tmp_path):
    """Loaded from its folder it decides in batches, each scenario as if it were alone."""
    model = fit(instance)
    train_ppo(instance, model, tmp_path, steps=64, settings=SMALL)
    policy = PPOPolicy.load(tmp_path, instance, model)
    assert policy.name == "ppo"
    demand = model.sample(5, instance.start, 8, np.random.default_rng(0))
    together = simulate(instance, policy, demand, seed=0).total_cost
    apart = [float(simulate(instance, policy, d[None], seed=0).total_cost[0]) for d in demand]
    np.testing.assert_allclose(together, apart, rtol=1e-4)


def test_it_learns_to_order(tmp_path):
    """On Zipkin's easiest instance a short training comes within 25 % of the optimum."""
    bed = next(LostSalesFamily.cases())
    training = replace(bed.instance, horizon=50)
    settings = PPOSettings(
        environments=64,
        rollout=16,
        batch=256,
        epochs=4,
        chunk=20_000,
        learning_rate=5e-3,
        discount=0.9,
        truncates=True,
    )
    encoding = EncodingSettings(actions="order_up_to", largest=2.0, whole=True, clock=False)
    train_ppo(training, bed.demand, tmp_path, steps=20_000, settings=settings, encoding=encoding)
    policy = PPOPolicy.load(tmp_path, training, bed.demand)
    demand = bed.demand.sample(100, 0, 300, np.random.default_rng(1))

    def cost():
        run = simulate(bed.instance, policy, demand, seed=0, warm_up=50)
        return float(run.period_cost[:, 50:].mean())

    assert cost() < 1.25 * bed.optimum
    for parameter in policy.model.policy.action_net.parameters():
        torch.nn.init.zeros_(parameter)
    assert cost() > 1.5 * bed.optimum
