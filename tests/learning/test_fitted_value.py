"""Fitted values: targets are derivatives, training is reproducible, the program decides well."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.learning.base import Subject, TrainingError
from optrl.learning.fitted_value import FittedValue, FittedValueSettings
from optrl.learning.rollout_targets import Afterwards, RolloutTargets
from optrl.learning.state_sampling import StateSampler
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.simulation.rollout import simulate
from optrl.values.state_columns import StateColumns

SMALL = FittedValueSettings(
    updates=40,
    gathering=10,
    states=128,
    replicates=8,
    periods=10,
    batch=256,
    validate_every=40,
    group_hidden=(6, 4),
    joint_hidden=(8, 6),
    validation_paths=4,
    validation_periods=60,
)


def instance(unmet="lost"):
    """One place, lead time 2."""
    return build(
        "one",
        {"supplier": "supplier", "place": "stocking"},
        {("supplier", "place"): 2},
        ("place",),
        unmet=unmet,
        horizon=60,
        holding_cost={"place": 1.0},
        shortage_cost={"place": 9.0},
        on_hand={"place": 12.0},
    )


DEMAND = Poisson(np.array([1]), steady(np.array([[5.0]])))


def subject():
    """A run without end."""
    return Subject(instance(), DEMAND, endless=True, warm_up=20)


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
def test_gradients_of_targets_are_finite_differences(unmet):
    """Moving stock, pipeline or backlog moves the value as the gradient says."""
    one = instance(unmet)
    columns = StateColumns.of(one)
    policy = BaseStock.at_level(one, 14.3)
    targets = RolloutTargets(one, DEMAND, policy, columns, periods=8, replicates=16)
    generator = np.random.default_rng(3)
    stock = torch.tensor(generator.uniform(1, 9, (2, 4, 1))).float()
    due = torch.tensor(generator.uniform(1, 6, (2, 2, 4, 1))).float()
    backlog = torch.tensor(generator.uniform(0, 3, (2, 4, 1))).float()
    if unmet == "lost":
        backlog = backlog * 0
    stock[0], due[:, 0], backlog[0] = 0, 0, 0
    at = Afterwards(stock, due, backlog)
    value, gradient = targets(at, 0, np.random.default_rng(9))
    assert value.shape == (4,)
    step = 2e-3
    for k in range(columns.size):
        moved = Afterwards(stock.clone(), due.clone(), backlog.clone())
        node, slot = columns.node[k], columns.slot[k]
        place = {0: moved.stock[node], 1: moved.due[slot, node], 3: moved.backlog[node]}
        place[int(columns.kind[k])].add_(step)
        other, _ = targets(moved, 0, np.random.default_rng(9))
        difference = (other - value) / step
        # Kinks within the step are rare, and float32 rounds sums of some hundreds.
        assert torch.allclose(difference, gradient[:, k], atol=0.15)


def test_states_that_are_sampled_can_be_reached():
    """Stock after a decision is never negative, and what is ordered is on its way."""
    one = instance()
    sampler = StateSampler(
        one,
        DEMAND,
        BaseStock.at_level(one, 14.0),
        paths=16,
        spacing=2,
        noise=0.5,
        scale=torch.full((1, 1), 5.0),
    )
    generator = np.random.default_rng(0)
    sampler.skip(10, generator)
    states, period = sampler.take(generator)
    assert period == 11
    assert len(states) == 16
    assert float(states.stock[1].min()) >= 0
    assert float(states.due[1, 1].std()) > 0
    assert states.columns(StateColumns.of(one)).shape == (16, 3)


def test_a_fitted_value_decides_about_as_well_as_its_teacher():
    """After some seconds the program costs at most 6 % more than base stock, its teacher."""
    learner = FittedValue.begin(subject(), SMALL, 0)
    for _ in range(learner.total):
        metrics = learner.update()
    assert metrics["loss"] < 0.8
    drawn = DEMAND.sample(8, 0, 100, np.random.default_rng(5))
    one = instance()
    costs = [
        float(simulate(one, policy, drawn, seed=0, warm_up=20).period_cost[:, 20:].mean())
        for policy in (learner.policy(one, DEMAND), BaseStock.fit(one, DEMAND))
    ]
    assert costs[0] < 1.06 * costs[1]


@pytest.mark.parametrize("cut", [4, 15])
def test_a_restored_learner_goes_on_as_if_nothing_had_happened(cut, tmp_path):
    """State in, state out: the same numbers follow, and the policy's file decides the same."""
    settings = replace(SMALL, updates=18, gathering=8, rounds=1, validate_every=18, states=32)
    whole = FittedValue.begin(subject(), settings, 3)
    for _ in range(cut):
        whole.update()
    kept = whole.state()
    copy = FittedValue.begin(subject(), settings, 3)
    copy.restore(replace(kept, tensors={name: x.clone() for name, x in kept.tensors.items()}))
    assert copy.state().tensors.keys() == whole.state().tensors.keys()
    for _ in range(settings.updates - cut):
        assert whole.update() == copy.update()
    whole.save_policy(tmp_path)
    loaded = FittedValue.load_policy(tmp_path, instance(), DEMAND)
    assert isinstance(loaded, CostToGo)
    drawn = DEMAND.sample(2, 0, 10, np.random.default_rng(5))
    runs = [
        simulate(instance(), p, drawn, seed=0).period_cost
        for p in (loaded, copy.policy(instance(), DEMAND))
    ]
    assert torch.equal(runs[0], runs[1])


def test_later_rounds_meet_the_programs_own_states():
    """A second round gathers under the program and fits on."""
    settings = replace(
        SMALL, updates=24, rounds=2, gathering=4, states=32, validate_every=24, steps=30
    )
    learner = FittedValue.begin(subject(), settings, 1)
    losses = [learner.update()["loss"] for _ in range(24)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 1.0


def test_later_rounds_value_the_programs_states_by_programs():
    """Batches that the program meets hold programs' values and duals; training goes on as well."""
    settings = replace(
        SMALL,
        updates=48,
        rounds=2,
        gathering=6,
        states=64,
        validate_every=48,
        steps=15,
        targets="program",
        program_states=16,
        program_replicates=4,
    )
    learner = FittedValue.begin(subject(), settings, 1)
    for _ in range(24 + 1):
        learner.update()
    value, before = learner.value(), learner.state().tensors["data.gradients"].clone()
    kept = learner.state()
    learner.update()
    tensors = learner.state().tensors
    changed = (tensors["data.gradients"] != before).any(dim=1).nonzero().ravel()
    assert changed.tolist() == list(range(64, 64 + 16))
    arguments, values = tensors["data.arguments"][changed], tensors["data.values"][changed]
    # Shifted to the value function on average; every one is a cost and a best value after it.
    apart = values - torch.from_numpy(value(arguments.double().numpy())).float()
    assert abs(float(apart.mean())) < 1e-3
    assert 0.1 < float(apart.std()) < 20
    copy = FittedValue.begin(subject(), settings, 1)
    copy.restore(replace(kept, tensors={name: x.clone() for name, x in kept.tensors.items()}))
    copy.update()
    assert torch.equal(
        copy.state().tensors["data.gradients"], learner.state().tensors["data.gradients"]
    )
    for _ in range(22):
        learner.update()
    one, drawn = instance(), DEMAND.sample(8, 0, 100, np.random.default_rng(5))
    costs = [
        float(simulate(one, policy, drawn, seed=0, warm_up=20).period_cost[:, 20:].mean())
        for policy in (learner.policy(one, DEMAND), BaseStock.fit(one, DEMAND))
    ]
    assert costs[0] < 1.03 * costs[1]


def test_what_cannot_be_learned_is_refused():
    """Horizons that end, and settings that contradict each other."""
    with pytest.raises(TrainingError, match="without end"):
        FittedValue.begin(Subject(instance(), DEMAND), SMALL, 0)
    with pytest.raises(TrainingError, match="rounds"):
        FittedValueSettings(updates=50, rounds=2, gathering=40)
    with pytest.raises(TrainingError, match="targets"):
        FittedValueSettings(targets="guess")
    with pytest.raises(TrainingError, match="validate_every"):
        FittedValueSettings(validate_every=77)
