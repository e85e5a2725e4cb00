"""Policies that meet fewer scenarios: pairs on common ones, estimates by differences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from polars.testing import assert_frame_equal

import optrl
from optrl.cli.limits import read_limits
from optrl.comparison.statistics import difference_estimate, paired_differences, t_half_width
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.report.page import report_page
from optrl.testing import random_instance


def test_estimate_by_differences_is_covered() -> None:
    """The true mean lies in 93-97 % of the intervals, whose width is honest and smaller."""
    generator = np.random.default_rng(5)
    every, some = 200, 20
    inside, widths, plain = 0, [], []
    for _ in range(1000):
        base = generator.normal(100, 16, every)
        own = 1.05 * base[:some] - 7 + generator.normal(0, 1, some)
        mean, error = difference_estimate(base, own - base[:some])
        half = float(t_half_width(np.array([error]), some, 0.05)[0])
        inside += abs(mean - 98.0) <= half
        widths.append(error)
        plain.append(own.std(ddof=1) / some**0.5)
    assert 930 <= inside <= 970
    assert np.mean(widths) < 0.5 * np.mean(plain)
    assert np.isnan(difference_estimate(base, np.ones(1))[1])


def test_pairs_are_held_against_the_anchor() -> None:
    """Differences add up; complete pairs, and those with the anchor, are the paired ones."""
    cost = np.random.default_rng(0).normal([0, 3, 1, 2], size=(30, 4))
    cost[12:, 1] = np.nan
    cost[20:, 2] = np.nan
    found = paired_differences(cost, 0.05, 0.02)
    mean = dict(zip(zip(found.first, found.second, strict=True), found.mean, strict=True))
    assert found.scenarios.tolist() == [12, 20, 30, 12, 12, 20]
    assert mean[0, 1] + mean[1, 2] == pytest.approx(mean[0, 2])
    assert mean[1, 2] + mean[2, 3] == pytest.approx(mean[1, 3])
    for k, other, met in ((0, 1, 12), (1, 2, 20), (2, 3, 30)):
        alone = paired_differences(cost[:met][:, [0, other]], 0.05, 0.02 / 6)
        assert found.mean[k] == pytest.approx(alone.mean[0])
        assert found.half_width[k] == pytest.approx(alone.half_width[0], rel=0.35)
    complete = paired_differences(cost[:, [0, 3]], 0.05, 0.02 / 6)
    assert found.half_width_all[2] == complete.half_width_all[0]


def test_differences_of_limited_policies_are_covered() -> None:
    """A known difference of two limited policies lies in 93-97 % of its intervals."""
    generator = np.random.default_rng(8)
    inside = 0
    for _ in range(1000):
        world = generator.normal(100, 16, 150)
        own = generator.normal(0, 2, (150, 3))
        cost = world[:, None] * np.array([1.0, 1.04, 0.98]) + own + np.array([0.0, 1.0, 3.0])
        cost[40:, 1], cost[15:, 2] = np.nan, np.nan
        found = paired_differences(cost, 0.05, 0.05)
        inside += abs(found.mean[2] - (6.0 - 2.0)) + 0.0 <= found.half_width[2]
    assert 930 <= inside <= 970


def test_limited_policy_is_estimated_beside_the_others(
    build_store: Callable[..., Instance], kinds: dict[str, type]
) -> None:
    """Cost and indicators are the anchor's over all plus the difference on common scenarios."""
    policies = [kinds["up_to_six"], kinds["up_to_eight"]]
    whole = optrl.compare(build_store(), policies, scenarios=100, until_settled=False)
    limited = optrl.compare(
        build_store(),
        policies,
        scenarios=100,
        until_settled=False,
        limits={"up_to_eight": 12},
    )
    assert limited.anchor == "up_to_six"
    assert limited.counts.tolist() == [100, 12]
    np.testing.assert_array_equal(limited.cost[:12], whole.cost[:12])
    assert np.isnan(limited.cost[12:, 1]).all()
    rows = {row["policy"]: row for row in limited.ranking.to_dicts()}
    difference = (whole.cost[:12, 1] - whole.cost[:12, 0]).mean()
    assert rows["up_to_eight"]["cost"] == pytest.approx(whole.cost[:, 0].mean() + difference)
    assert rows["up_to_eight"]["scenarios"] == 12
    assert rows["up_to_six"]["cost"] == whole.cost[:, 0].mean()
    short = optrl.compare(build_store(), policies, scenarios=12, until_settled=False)
    few = {row["policy"]: row for row in short.ranking.to_dicts()}
    for which in ("fill_rate", "mean_stock"):
        moved = few["up_to_eight"][which] - few["up_to_six"][which]
        assert rows["up_to_eight"][which] == pytest.approx(rows["up_to_six"][which] + moved)
    assert limited.pairs["scenarios"].to_list() == [12]
    assert len(limited.by_scenario) == 112
    assert limited.summary()["settings"]["limits"] == {"up_to_eight": 12}


def test_a_run_stops_when_those_that_can_go_on_are_settled(
    build_store: Callable[..., Instance], kinds: dict[str, type]
) -> None:
    """More scenarios are run for pairs that gain from them, not for a policy that has stopped."""
    names = ["up_to_six", "up_to_eight", "random_about_six"]
    settings = {"scenarios": 4000, "tolerance": 0.0, "seed": 2}
    found = optrl.compare(
        build_store(), [kinds[x] for x in names], limits={"random_about_six": 2}, **settings
    )
    assert found.scenarios < 4000
    assert found.settled_among(names[:2])
    assert not found.settled


def test_limited_runs_continue_and_grow(tmp_path: Path) -> None:
    """Kept parts give the same table, and a higher limit runs only what is new."""
    instance = random_instance(np.random.default_rng(4), horizon=8)
    arguments = {"scenarios": 12, "seed": 3, "until_settled": False, "folder": tmp_path}
    policies = ["base_stock", "lookahead"]
    first = optrl.compare(instance, policies, limits={"lookahead": 4}, **arguments)
    steps = []
    again = optrl.compare(
        instance, policies, limits={"lookahead": 4}, progress=steps.append, **arguments
    )
    assert all(step.kept for step in steps)
    assert_frame_equal(first.ranking, again.ranking, check_exact=True)
    steps.clear()
    optrl.compare(instance, policies, limits={"lookahead": 8}, progress=steps.append, **arguments)
    run = [s.scenarios for s in steps if s.policy == "lookahead" and not s.kept]
    assert run == [4]


def test_report_says_how_many_scenarios_were_met() -> None:
    """Page, contrasts and charts hold with a limited policy, which is marked as such."""
    instance = random_instance(np.random.default_rng(11), horizon=8)
    found = optrl.compare(
        instance,
        ["capped_base_stock", "newsvendor", "s_s"],
        scenarios=20,
        until_settled=False,
        limits={"newsvendor": 3, "capped_base_stock": 5},
        bound_scenarios=4,
    )
    assert found.anchor == "s_s"
    rows = {row["policy"]: row for row in found.ranking.to_dicts()}
    gap = rows["newsvendor"]["gap_percent"] - rows["s_s"]["gap_percent"]
    difference = (found.cost[:3, 1] - found.cost[:3, 2]).mean()
    assert gap == pytest.approx(100 * difference / found.bound.mean())
    page = report_page(found)
    assert "on 3 of 20 scenarios" in page
    assert "on 5 of 20 scenarios" in page
    assert "nan" not in page.replace("finance", "")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"s_s": 3}, "which is not compared"),
        ({"base_stock": 0}, "at least 1 is needed"),
        ({"base_stock": 3, "newsvendor": 3}, "of every policy are limited"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, int], message: str) -> None:
    """Each is refused with what is wrong."""
    instance = random_instance(np.random.default_rng(4), horizon=8)
    with pytest.raises(OptrlError, match=message):
        optrl.compare(instance, ["base_stock", "newsvendor"], scenarios=2, limits=limits)


def test_limits_of_the_command_line() -> None:
    """POLICY=N, each policy once."""
    assert read_limits(["lookahead=16", "two_stage=2"]) == {"lookahead": 16, "two_stage": 2}
    for given in (["lookahead"], ["lookahead=-1"], ["a=1", "a=2"]):
        with pytest.raises(OptrlError, match="--limit"):
            read_limits(given)
