"""Negative binomial demand: its distribution, its common shocks, its fit."""

import numpy as np
import pytest
from scipy import stats

from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import SeasonalPath, steady
from optrl.instance import Forecast


def test_counts_have_the_negative_binomial_distribution():
    """Without shocks, frequencies of demand in units follow scipy's probabilities."""
    size, mean, unit = 0.8, 3.0, 2.5
    model = NegativeBinomial(
        np.array([1]), steady(np.array([[mean * unit]])), np.array([[size]]), np.array([unit])
    )
    count = model.sample(40_000, 0, 1, np.random.default_rng(0)).ravel() / unit
    frequency = np.bincount(np.round(count).astype(int), minlength=12)[:12] / len(count)
    expected = stats.nbinom.pmf(np.arange(12), size, size / (size + mean))
    np.testing.assert_allclose(frequency, expected, atol=5 * np.sqrt(0.25 / len(count)))


def test_geometric_is_the_case_of_size_one():
    """P(D = n) of geometric demand falls by the same factor with each n."""
    model = NegativeBinomial.geometric(np.array([1]), steady(np.array([[4.0]])))
    assert model.variance(0, 1)[0, 0, 0] == pytest.approx(4.0 + 16.0)
    draw = model.sample(40_000, 0, 1, np.random.default_rng(1)).ravel()
    frequency = np.bincount(draw.astype(int))[:6] / len(draw)
    np.testing.assert_allclose(frequency, 0.2 * 0.8 ** np.arange(6), atol=0.01)


def test_shocks_correlate_nodes_and_periods_as_stated():
    """Covariances between nodes are c m m', between periods u m m', none between items."""
    mean = np.array([[6.0, 10.0], [6.0, 10.0]])
    s, u = 0.2, 0.1
    model = NegativeBinomial(
        np.array([1, 2]),
        steady(mean),
        np.full((2, 2), 5.0),
        shock_variance=np.full(2, s),
        level_variance=np.full(2, u),
    )
    draw = model.sample(60_000, 0, 2, np.random.default_rng(2)) - mean[None, :, :, None]
    c = (1 + s) * (1 + u) - 1
    own = 10 + 100 * (1 + c) / 5
    assert model.variance(0, 1)[0, 1, 0] == pytest.approx(own + c * 100)
    for (a, b), expected in {
        ((0, 1, 0), (0, 1, 0)): own + c * 100,
        ((0, 0, 0), (0, 1, 0)): c * 60,
        ((0, 0, 0), (0, 1, 1)): u * 60,
        ((0, 1, 0), (0, 1, 1)): u * 100,
        ((0, 1, 0), (1, 1, 0)): 0.0,
    }.items():
        product = draw[(slice(None), *a)] * draw[(slice(None), *b)]
        error = product.std() / np.sqrt(len(product))
        assert abs(product.mean() - expected) < 5 * error


def test_fit_recovers_the_parameters_of_synthetic_history(make_instance):
    """Mean, size and shock of a long stationary history come back; integer demand has unit 1."""
    mean = np.array([[12.0, 30.0, 5.0, 20.0], [4.0, 4.0, 4.0, 4.0]])
    truth = NegativeBinomial(
        np.arange(1, 5),
        steady(mean),
        np.repeat([[2.0], [8.0]], 4, axis=1),
        shock_variance=np.array([0.05, 0.0]),
    )
    history = truth.sample(1, 0, 600, np.random.default_rng(3))[0]
    fitted = NegativeBinomial.fit(make_instance(history, 600))
    np.testing.assert_array_equal(fitted.unit, 1.0)
    np.testing.assert_allclose(fitted.size[0], 2.0, rtol=0.3)
    assert 4.0 < np.median(fitted.size[1]) < 20.0
    assert 0.02 < fitted.shock_variance[0] < 0.09
    assert fitted.shock_variance[1] < 0.02
    # The level of the last periods scatters; a window of a half-life of 6 sees some 17 of them.
    item_mean = fitted.mean(600, 1).sum(axis=(1, 2))
    np.testing.assert_allclose(item_mean, mean.sum(axis=1), rtol=0.3)
    assert (fitted.level_variance < 0.05).all()


def test_fit_measures_how_levels_wander(make_instance):
    """Items whose levels drift get a larger level variance than items whose levels stay."""
    generator = np.random.default_rng(7)
    drift = np.exp(np.cumsum(generator.normal(0, 0.06, size=(10, 160)), axis=1))
    wandering = generator.poisson(20 * drift[:, None, :], size=(10, 3, 160)).astype(float)
    staying = generator.poisson(20.0, size=(10, 3, 160)).astype(float)
    found = [
        NegativeBinomial.fit(make_instance(h, 160)).level_variance for h in (wandering, staying)
    ]
    assert found[0].mean() > 0.02
    assert found[1].mean() < 0.005


def test_fit_finds_the_unit_of_demand_in_cases(make_instance):
    """Demand in cases of 7.5 of nodes that rarely order shows a unit near 7.5."""
    truth = NegativeBinomial(
        np.arange(1, 21),
        SeasonalPath(np.full((1, 20), 0.6), np.ones((1, 1))),
        np.full((1, 20), 3.0),
        np.array([7.5]),
    )
    history = truth.sample(1, 0, 400, np.random.default_rng(4))[0]
    fitted = NegativeBinomial.fit(make_instance(history, 400))
    assert 5.0 < fitted.unit[0] < 10.0


def test_forecast_standard_deviation_sets_the_size(make_instance):
    """With a forecast, mean and variance are the forecast's own."""
    mean, deviation = np.full((1, 2, 6), 10.0), np.full((1, 2, 6), 6.0)
    instance = make_instance(np.zeros((1, 2, 0)), 0, forecast=Forecast(mean, deviation))
    model = NegativeBinomial.fit(instance)
    np.testing.assert_allclose(model.mean(0, 6), mean)
    np.testing.assert_allclose(model.variance(0, 6), deviation**2)


def test_infinite_size_is_poisson():
    """Pairs of infinite size have Poisson moments beside pairs of finite size."""
    model = NegativeBinomial(
        np.array([1, 2]), steady(np.full((1, 2), 3.0)), np.array([[np.inf, 2.0]])
    )
    np.testing.assert_allclose(model.variance(0, 1)[0, :, 0], [3.0, 7.5])
    draw = model.sample(40_000, 0, 1, np.random.default_rng(5))[:, 0, :, 0]
    np.testing.assert_allclose(draw.mean(axis=0), 3.0, rtol=0.03)
    np.testing.assert_allclose(draw.var(axis=0), [3.0, 7.5], rtol=0.05)
    frequency = np.bincount(draw[:, 0].astype(int))[:8] / len(draw)
    np.testing.assert_allclose(frequency, stats.poisson.pmf(np.arange(8), 3.0), atol=0.01)


def test_wrong_shapes_and_signs_are_refused():
    """Sizes must match the path and be positive."""
    with pytest.raises(ValueError, match="size has shape"):
        NegativeBinomial(np.array([1]), steady(np.ones((1, 1))), np.ones((2, 1)))
    with pytest.raises(ValueError, match="positive"):
        NegativeBinomial(np.array([1]), steady(np.ones((1, 1))), np.zeros((1, 1)))
