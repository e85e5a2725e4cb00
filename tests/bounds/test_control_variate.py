"""The control variate of gaps: expectation zero, and less variance where gaps follow demand."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.bounds.certificate import Upper, certify
from optrl.bounds.control_variate import controlled, demand_value
from optrl.bounds.errors import BoundError
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.paths import PathSource
from optrl.building import build
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady

PATHS = 400


@pytest.fixture(scope="module")
def source():
    """One store whose demand moves by an error of the level and by shocks."""
    instance = build(
        "store",
        {"supplier": "supplier", "store": "stocking"},
        {("supplier", "store"): 1},
        ["store"],
        unmet="lost",
        horizon=6,
        holding_cost={"store": 1.0},
        shortage_cost={"store": 9.0},
    )
    network = replace(instance.network, unit_cost=np.array([3.0]))
    model = NegativeBinomial(
        np.array([1]),
        steady(np.array([[20.0]])),
        np.full((1, 1), 2.0),
        shock_variance=np.array([0.1]),
        level_variance=np.array([0.05]),
    )
    return PathSource(replace(instance, network=network), model, 11)


def bound_of(source, sample):
    return LowerBound("some", "nothing", (), sample=sample, paths=source.name)


def test_it_has_expectation_zero_and_counts_money(source):
    """Its mean over many paths is nothing; a path's is its demand less 120 units, at 3 each."""
    found = demand_value(source, PATHS)
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(PATHS)
    assert found.std() > 30
    assert found[2] == pytest.approx(3 * (source.path(2).demand.sum() - 120))


def test_a_gap_that_follows_demand_is_certified_closer(source):
    """With the right slope only the rest of the gap's variance is left; any slope is unbiased."""
    noise = np.random.default_rng(0).normal(0, 1.0, PATHS)
    worth = demand_value(source, PATHS)
    value = 1000 + worth
    cost = value + 50 + 0.2 * worth + noise
    upper, bound = Upper("policy", cost, source.name), bound_of(source, value)
    plain = certify(upper, [bound])
    better = certify(upper, [controlled(bound, source, 0.2)])
    assert better.gap - better.estimated_gap < 0.5 * (plain.gap - plain.estimated_gap)
    assert 50 <= better.gap < 51
    worse = certify(upper, [controlled(bound, source, -0.5)])
    assert worse.gap > 50
    assert "control variate" in better.bound.assumption


def test_other_paths_are_refused(source):
    """A control variate of other paths, or of a proved number, would change the expectation."""
    other = replace(source, seed=12)
    with pytest.raises(BoundError, match="not computed on the paths"):
        controlled(bound_of(source, np.ones(3)), other, 1.0)
    proved = LowerBound("proved", "nothing", (), value=1.0)
    with pytest.raises(BoundError, match="not computed on the paths"):
        controlled(proved, source, 1.0)
