"""The learned cost-to-go of dual-guided decisions: cheaper, kept in files, refused where wrong."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.errors import OptrlError
from optrl.learning.base import Subject
from optrl.learning.position_worth import PositionWorth, PositionWorthSettings
from optrl.learning.price_path import PricePath, PricePathSettings
from optrl.policies.dual_guided import DualGuided
from optrl.policies.learned_worth import FILE, LearnedWorth
from optrl.simulation.rollout import simulate
from optrl.testbeds.shared_capacity import SharedCapacity

SMALL = PositionWorthSettings(updates=20, paths=3, validation_paths=1)


def cost(bed, worth, scenarios=4):
    """On paths that nothing was learned on."""
    policy = DualGuided(bed.instance, bed.demand, how="priced", worth=worth)
    paths = bed.demand.sample(scenarios, 0, bed.instance.horizon, np.random.default_rng(71))
    return float(simulate(bed.instance, policy, paths, seed=0).period_cost.mean())


def test_what_is_learned_costs_less_where_capacity_is_ample():
    """On other paths too; the loss that is told never rises."""
    bed = SharedCapacity.case(15, 2, 0.8, periods=16, seed=6)
    learner = PositionWorth.begin(Subject(bed.instance, bed.demand), SMALL, 0)
    losses = [learner.update()["loss"] for _ in range(SMALL.updates)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert cost(bed, learner.worth) < 0.995 * cost(bed, None)


def test_a_toll_that_costs_more_than_it_brings_is_given_up():
    """Where scarcity does not last, on these 6 periods, the share falls; else it would stay."""
    bed = SharedCapacity.case(15, 2, 1.1, periods=6, seed=6)
    free = cost(bed, LearnedWorth(toll_share=0.0))
    assert free < cost(bed, LearnedWorth())
    learner = PositionWorth.begin(Subject(bed.instance, bed.demand), replace(SMALL, updates=10), 0)
    for _ in range(10):
        learner.update()
    assert learner.worth.toll_share < LearnedWorth().toll_share
    assert cost(bed, learner.worth) <= free


def test_forecast_prices_go_with_the_worth_that_they_were_learned_with(tmp_path):
    """The folder of a forecast holds both, and gives the same decisions."""
    bed = SharedCapacity.case(6, 2, 1.2, periods=4, seed=2)
    worth = LearnedWorth(ending_shortage=0.5, toll_share=0.4)
    (tmp_path / "worth").mkdir()
    worth.save(tmp_path / "worth")
    settings = PricePathSettings(updates=2, steps=5, paths=1, worth=str(tmp_path / "worth"))
    learner = PricePath.begin(Subject(bed.instance, bed.demand), settings, 0)
    learner.update()
    learner.save_policy(tmp_path)
    assert LearnedWorth.load(tmp_path) == worth
    loaded = PricePath.load_policy(tmp_path, bed.instance, bed.demand)
    paths = bed.demand.sample(2, 0, 4, np.random.default_rng(3))
    costs = [
        simulate(bed.instance, policy, paths, seed=0).period_cost.numpy()
        for policy in (learner.policy(bed.instance, bed.demand), loaded)
    ]
    assert costs[0] == pytest.approx(costs[1])


def test_numbers_are_checked_where_they_are_made_and_read(tmp_path):
    """Out of range, and a file of something else."""
    with pytest.raises(OptrlError, match=r"toll_share is -0\.1"):
        LearnedWorth(toll_share=-0.1)
    with pytest.raises(OptrlError, match="ending_overage is nan"):
        LearnedWorth(ending_overage=float("nan"))
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(OptrlError):
        LearnedWorth.load(tmp_path)


def test_factors_fall_on_the_nodes_that_they_are_named_for():
    """And exponents turn about the reference ratio."""
    worth = LearnedWorth(
        feeding_shortage=np.log(2.0), ending_overage=np.log(3.0), ending_exponent=1.0
    )
    shortage, overage = np.array([[20.0, 40.0]]), np.array([[1.0, 1.0]])
    short, over = worth.applied(shortage, overage, np.array([[True, False]]))
    assert short == pytest.approx(np.array([[40.0, 80.0]]))
    assert over == pytest.approx(np.array([[1.0, 3.0]]))
