"""Coverage and family-wise error by Monte Carlo."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import optrl
from optrl.comparison.scenarios import Scenarios
from optrl.comparison.statistics import (
    dearer,
    looks,
    paired_differences,
    rank_bounds,
    settled,
    spent,
    t_half_width,
)
from optrl.demand.fit import fit
from optrl.instance import Instance
from optrl.simulation.rollout import simulate

REPETITIONS = 1000


def test_known_difference_is_covered(
    build_store: Callable[..., Instance],
    kinds: dict[str, type],
    expected_cost: Callable[[float], float],
) -> None:
    """The exact difference of two policies lies in 93-97 % of 95 % intervals of real rollouts.

    On the demand that a comparison draws, of which each repetition takes its own scenarios.
    """
    instance, scenarios = build_store(4), 40
    demand = Scenarios(instance, fit(instance), 3).paths(0, REPETITIONS * scenarios)
    costs = []
    for name in ("up_to_six", "up_to_eight"):
        policy = kinds[name].fit(instance, None)
        path = simulate(instance, policy, demand, seed=0, dtype=torch.float64)
        costs.append(path.total_cost.numpy().reshape(REPETITIONS, scenarios))
    known = 4 * (expected_cost(6) - expected_cost(8))
    assert abs(known) > 0.5
    inside = 0
    for repetition in range(REPETITIONS):
        cost = np.stack([x[repetition] for x in costs], axis=1)
        found = paired_differences(cost, 0.05, 0.05)
        inside += abs(found.mean[0] - known) <= found.half_width[0]
    assert 0.93 <= inside / REPETITIONS <= 0.97


def test_a_comparison_reports_these_intervals(
    build_store: Callable[..., Instance], kinds: dict[str, type]
) -> None:
    """Its table of pairs holds the intervals whose coverage is measured above, at its last look."""
    names = ("up_to_six", "up_to_eight", "random_about_six")
    result = optrl.compare(
        build_store(4),
        [kinds[name] for name in names],
        scenarios=100,
        confidence=0.9,
        tolerance=0,
        seed=1,
    )
    schedule = result.settings.schedule
    assert len(schedule) > 1
    look = schedule.index(result.scenarios)
    found = paired_differences(result.cost, 0.1, spent(schedule, look, 0.1))
    for first, second, mean, alone, together in zip(
        found.first,
        found.second,
        found.mean,
        found.half_width,
        found.half_width_all,
        strict=True,
    ):
        dear, cheap = (first, second) if mean > 0 else (second, first)
        (row,) = result.pairs.filter(policy=names[cheap], dearer=names[dear]).to_dicts()
        assert row["difference"] == pytest.approx(abs(mean))
        assert (row["low"], row["high"]) == pytest.approx((abs(mean) - alone, abs(mean) + alone))
        assert together > alone
        assert row["low_all"] == pytest.approx(abs(mean) - together)
        assert row["high_all"] == pytest.approx(abs(mean) + together)
        assert row["proven"] == (abs(mean) > together)


def test_identical_policies_are_told_apart_rarely() -> None:
    """Family-wise error over all pairs and looks is at most 5 % among six equal policies."""
    generator = np.random.default_rng(5)
    schedule = looks(512, 32)
    false_alarms = 0
    for _ in range(REPETITIONS):
        common = generator.normal(size=(512, 1)) * 3
        own = generator.gamma(4.0, size=(512, 6)) * np.array([1, 1, 1, 2, 2, 3])
        cost = common + own - 4.0 * np.array([1, 1, 1, 2, 2, 3])
        false_alarms += any(
            dearer(paired_differences(cost[:n], 0.05, spent(schedule, k, 0.05)), 6).any()
            for k, n in enumerate(schedule)
        )
    # Bonferroni over pairs and looks is conservative; three standard errors above 5 % allowed.
    assert false_alarms / REPETITIONS <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)


def test_uncorrected_intervals_would_fail() -> None:
    """The same experiment without correction gives many false alarms: the test has power."""
    generator = np.random.default_rng(6)
    schedule = looks(512, 32)
    alarms = 0
    for _ in range(200):
        cost = generator.normal(size=(512, 6))
        found = [paired_differences(cost[:n], 0.05, 0.05 * 15) for n in schedule]
        alarms += any(dearer(each, 6).any() for each in found)
    assert alarms / 200 > 0.3


@pytest.mark.parametrize(("scenarios", "first"), [(1000, 32), (512, 32), (33, 32), (5, 32), (1, 1)])
def test_error_spent_sums_to_alpha(scenarios: int, first: int) -> None:
    """Looks ascend to the last scenario and together spend exactly alpha."""
    schedule = looks(scenarios, first)
    assert schedule[-1] == scenarios
    assert list(schedule) == sorted(set(schedule))
    total = sum(spent(schedule, k, 0.05) for k in range(len(schedule)))
    assert total == pytest.approx(0.05)


def test_large_differences_are_ranked() -> None:
    """Policies far apart have one rank each; two equal ones share a range."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(64, 4))
    cost = noise + np.array([0.0, 10.0, 20.0, 20.0])
    found = paired_differences(cost, 0.05, 0.05)
    best, worst = rank_bounds(dearer(found, 4))
    assert best.tolist() == [1, 2, 3, 3]
    assert worst.tolist() == [1, 2, 4, 4]
    assert not settled(found, 0.0)
    assert settled(found, 5.0)


def test_one_scenario_proves_nothing() -> None:
    """A single path ranks nobody: intervals are infinite."""
    found = paired_differences(np.array([[1.0, 2.0]]), 0.05, 0.05)
    assert np.isinf(found.half_width).all()
    assert not dearer(found, 2).any()
    assert np.isinf(t_half_width(np.array([1.0]), 1, 0.05)).all()


def test_rounding_proves_nothing() -> None:
    """Costs that differ by the order of summation alone are the same."""
    cost = np.random.default_rng(1).uniform(1e6, 2e6, (40, 1)) * np.array([1.0, 1.0 + 4e-16])
    assert (cost[:, 1] > cost[:, 0]).mean() > 0.3
    found = paired_differences(cost, 0.05, 0.05)
    assert not dearer(found, 2).any()
    assert settled(found, 0.0)


def test_no_variance_is_no_proof():
    """Differences that are one number have no interval, and prove no order."""
    found = paired_differences(np.array([[4.0, 5.0], [7.0, 8.0]]), 0.05, 0.05)
    assert np.isinf(found.half_width_all).all()
    assert not dearer(found, 2).any()
    assert not settled(found, 0.5)
    assert not settled(found, 2.0)


def test_the_same_is_told_and_bounded():
    """Pairs that never differed end a run; the share in which they may differ covers the truth."""
    generator, missed, share = np.random.default_rng(2), 0, 0.1
    for _ in range(2000):
        base = generator.poisson(100, 32).astype(float)
        rare = base + 1000 * (generator.random(32) < share)
        found = paired_differences(np.stack([base, rare], axis=1), 0.05, 0.05)
        if found.same[0]:
            assert settled(found, 0.0)
            missed += bool(found.may_differ[0] < share)
    # 1 - 0.05 ** (1 / 32) is 8.9 %, below 10 %: they are seen as the same in 0.9 ** 32 of runs.
    assert 0 < missed <= 0.05 * 2000
