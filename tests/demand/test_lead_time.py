"""Quantiles and expected shortages of demand over a lead time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from optrl.demand.empirical import Empirical
from optrl.demand.lead_time import (
    ProbabilityError,
    TotalDemand,
    total_demand,
    total_loss,
    total_quantile,
)
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson

positive = st.floats(0.05, 500.0)


def matched(mean: float, variance: float, unit: float, normal: bool = False) -> TotalDemand:
    return TotalDemand(np.array([[mean]]), np.array([[variance]]), np.array([[unit]]), normal)


def test_single_negative_binomial_is_exact():
    """One node, one period, no shocks: quantile and tail are the negative binomial's own."""
    model = NegativeBinomial(
        np.array([1]), steady(np.array([[12.0]])), np.array([[1.7]]), np.array([1.5])
    )
    group = np.ones((1, 1, 1))
    law = stats.nbinom(1.7, 1.7 / (1.7 + 8.0))
    for probability in (0.05, 0.5, 0.95, 0.999):
        found = total_quantile(model, group, 0, 1, probability)[0, 0]
        assert found == 1.5 * law.ppf(probability)
    for count in (0, 1, 8, 8.5, 30):
        loss, tail = total_loss(model, group, 0, 1, np.array([[1.5 * count]]))
        n = np.arange(4000)
        assert tail[0, 0] == pytest.approx(law.sf(count), abs=1e-10)
        expected = 1.5 * law.pmf(n) @ np.maximum(n - count, 0)
        assert loss[0, 0] == pytest.approx(expected, rel=1e-8)


def test_gamma_totals_equal_integration():
    """Continuous totals: quantile, tail and shortage are those of the matched gamma."""
    law = stats.gamma(40.0**2 / 900.0, scale=900.0 / 40.0)
    total = matched(40.0, 900.0, 0.0)
    assert total.quantile(0.95)[0, 0] == pytest.approx(law.ppf(0.95))
    loss, tail = total.shortage(np.array([[70.0]]))
    assert loss[0, 0] == pytest.approx(integrate.quad(law.sf, 70, 800)[0], rel=1e-7)
    assert tail[0, 0] == pytest.approx(law.sf(70.0))


@settings(max_examples=80, deadline=None)
@given(
    mean=positive,
    ratio=st.floats(0.01, 20.0),
    unit=st.sampled_from([0.0, 1.0, 2.5]),
    probability=st.floats(0.0, 0.999),
    normal=st.booleans(),
)
def test_quantile_and_tail_agree(mean, ratio, unit, probability, normal):
    """At the quantile the tail is at most 1 - p; shortage is at least mean - x and at most mean."""
    total = matched(mean, ratio * mean, unit, normal)
    quantile = total.quantile(probability)
    # Just above: quantiles of gamma totals of tiny shape lie below the smallest float, at 0.
    loss, tail = total.shortage(quantile + 1e-9 * mean)
    assert tail[0, 0] <= 1 - probability + 1e-6
    assert max(mean - quantile[0, 0], 0) - 1e-4 * mean <= loss[0, 0] <= mean * (1 + 1e-4)
    if unit > 0:
        assert quantile[0, 0] / unit == pytest.approx(round(quantile[0, 0] / unit))


@settings(max_examples=60, deadline=None)
@given(
    mean=positive,
    ratio=st.floats(0.05, 20.0),
    unit=st.sampled_from([0.0, 1.0, 3.0]),
    normal=st.booleans(),
)
def test_shortage_is_convex_with_the_stated_slope(mean, ratio, unit, normal):
    """Shortage falls by the integral of the tail: its slope is minus the tail probability."""
    total = matched(mean, ratio * mean, unit, normal)
    x = np.linspace(0, 4 * mean, 4001)[:, None, None]
    loss, tail = total.shortage(x)
    fallen = -np.diff(loss[:, 0, 0]) / np.diff(x[:, 0, 0])
    assert (np.diff(tail[:, 0, 0]) <= 1e-12).all()
    assert (fallen <= tail[:-1, 0, 0] + 1e-6).all()
    assert (fallen >= tail[1:, 0, 0] - 1e-6).all()


def test_matched_quantiles_are_near_sampled_ones():
    """With shocks and unequal nodes the match is not exact; it stays within 5 percent."""
    generator = np.random.default_rng(0)
    mean = generator.gamma(1.0, 4.0, size=(2, 12))
    model = NegativeBinomial(
        np.arange(12),
        steady(mean),
        np.full((2, 12), 0.8),
        np.array([1.0, 2.5]),
        np.full(2, 0.05),
        np.full(2, 0.03),
    )
    totals = model.sample(20_000, 0, 4, generator).sum(axis=(2, 3))
    for probability in (0.1, 0.5, 0.9, 0.98):
        found = total_quantile(model, np.ones((2, 12, 1)), 0, 4, probability)[:, 0]
        np.testing.assert_allclose(found, np.quantile(totals, probability, axis=0), rtol=0.05)


def test_groups_may_differ_between_items_and_weigh_in_part():
    """Half of a Poisson node is no longer integer: such groups are gamma, others stay exact."""
    model = Poisson(np.array([1, 2]), steady(np.array([[4.0, 6.0], [1.0, 3.0]])))
    groups = np.zeros((2, 2, 2))
    groups[0, :, 0], groups[1, 1, 0], groups[:, 0, 1] = 1.0, 1.0, 0.5
    total = total_demand(model, groups, 0, 2)
    np.testing.assert_allclose(total.mean, [[20.0, 4.0], [6.0, 1.0]])
    np.testing.assert_allclose(total.variance, [[20.0, 2.0], [6.0, 0.5]])
    np.testing.assert_array_equal(total.unit, [[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(total.quantile(0.9)[:, 0], stats.poisson.ppf(0.9, [20.0, 6.0]))


def test_probabilities_of_each_group_and_no_periods():
    """Probabilities may differ by entry; no periods means no demand."""
    model = Empirical(np.array([1]), np.array([[[1.0, 5.0, 9.0]]] * 2))
    group = np.ones((2, 1, 1))
    found = total_quantile(model, group, 0, 3, np.array([[0.5], [0.9]]))
    assert found[1, 0] > found[0, 0] > 0
    np.testing.assert_array_equal(total_quantile(model, group, 0, 0, 0.9), 0.0)


@pytest.mark.parametrize("probability", [1.0, -0.1, float("nan")])
def test_impossible_probabilities_are_refused(probability):
    """No finite stock serves all demand: 1 is refused, as are values that are no probability."""
    with pytest.raises(ProbabilityError, match="not in"):
        matched(1.0, 1.0, 1.0).quantile(probability)
