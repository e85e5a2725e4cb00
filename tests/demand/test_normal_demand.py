"""Clipped and rounded normal demand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from optrl.demand.lead_time import total_loss, total_quantile
from optrl.demand.normal import Normal, clipped_moments, rounded_moments, unclipped
from optrl.demand.paths import steady
from optrl.instance import Forecast


@pytest.mark.parametrize(("location", "scale"), [(5.0, 2.0), (0.0, 1.0), (-3.0, 2.0), (9.0, 30.0)])
def test_clipped_moments_equal_integrals(location, scale):
    """Mean and variance of max(0, X) are those of numerical integration."""
    density = stats.norm(location, scale).pdf
    top = location + 12 * scale
    first = integrate.quad(lambda x: x * density(x), 0, top, epsabs=1e-12)[0]
    second = integrate.quad(lambda x: x**2 * density(x), 0, top, epsabs=1e-12)[0]
    mean, variance = clipped_moments(np.array([location]), np.array([scale]))
    assert mean[0] == pytest.approx(first, rel=1e-8)
    assert variance[0] == pytest.approx(second - first**2, rel=1e-8)


@pytest.mark.parametrize("scale", [0.0, 0.05, 0.6, 3.9, 4.1, 25.0])
@pytest.mark.parametrize("location", [-4.2, 0.3, 2.5, 17.8, 1000.2])
def test_rounded_moments_equal_sums(location, scale):
    """Moments after rounding half up equal the sum over all integers."""
    mean, variance = rounded_moments(np.array([location]), np.array([scale]))
    n = np.arange(0, 1600)
    if scale == 0:
        at_least = (max(location, 0.0) >= n - 0.5).astype(float)
    else:
        at_least = stats.norm.sf(n - 0.5, location, scale)
    at_least[0] = 1.0
    probability = at_least - np.append(at_least[1:], 0.0)
    first = probability @ n
    assert mean[0] == pytest.approx(first, abs=2e-6)
    assert variance[0] == pytest.approx(
        probability @ (n - first) ** 2, abs=1e-5 * (1 + location**2 / 1e4)
    )


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 1e4), st.floats(0.01, 30.0))
def test_unclipped_inverts_the_clipped_moments(mean, ratio):
    """Location and scale found for any mean and deviation give these back."""
    location, scale = unclipped(np.array([mean]), np.array([mean * ratio]))
    found, variance = clipped_moments(location, scale)
    assert found[0] == pytest.approx(mean, rel=1e-5)
    assert np.sqrt(variance[0]) == pytest.approx(mean * ratio, rel=1e-4)


def test_rounding_draws_multiples_with_the_stated_moments():
    """Rounded demand lies on its unit and keeps mean and variance within 5 errors."""
    model = Normal(
        np.array([1, 2]),
        steady(np.array([[3.0, 0.4]])),
        steady(np.array([[2.0, 1.0]])),
        np.array([0.5]),
    )
    draw = model.sample(40_000, 0, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(draw * 2, np.round(draw * 2))
    mean, variance = model.mean(0, 1), model.variance(0, 1)
    assert (np.abs(draw.mean(axis=0) - mean) < 5 * np.sqrt(variance / 40_000)).all()
    np.testing.assert_allclose(draw.var(axis=0), variance, rtol=0.05)


def test_single_total_is_the_clipped_normal_itself():
    """Quantile and expected shortage of one node and period are exact, clipping included."""
    model = Normal(np.array([1]), steady(np.array([[20.0]])), steady(np.array([[25.0]])))
    group = np.ones((1, 1, 1))
    quantile = total_quantile(model, group, 0, 1, 0.9)[0, 0]
    assert quantile == pytest.approx(stats.norm.ppf(0.9, 20, 25), rel=1e-5)
    assert total_quantile(model, group, 0, 1, 0.1)[0, 0] == 0.0
    loss, tail = total_loss(model, group, 0, 1, np.array([[30.0]]))
    expected = integrate.quad(lambda x: stats.norm.sf(x, 20, 25), 30, 400)[0]
    assert loss[0, 0] == pytest.approx(expected, rel=1e-5)
    assert tail[0, 0] == pytest.approx(stats.norm.sf(30, 20, 25), rel=1e-5)


def test_fit_keeps_mean_and_deviation_of_the_forecast(make_instance):
    """The clipped distribution, not the one before clipping, has the forecast's moments."""
    mean, deviation = np.array([[[4.0, 9.0]]]), np.array([[[6.0, 1.0]]])
    instance = make_instance(np.zeros((1, 1, 0)), 0, forecast=Forecast(mean, deviation))
    model = Normal.fit(instance)
    np.testing.assert_allclose(model.mean(0, 2), mean, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(model.variance(0, 2)), deviation, rtol=1e-4)
