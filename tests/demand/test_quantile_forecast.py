"""Demand from forecast quantiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrl.demand.estimate import HistoryError
from optrl.demand.quantile import QuantileForecast

LEVELS = np.array([0.1, 0.5, 0.9])


def forecast(values: list[float]) -> QuantileForecast:
    return QuantileForecast(np.array([1]), LEVELS, np.array(values)[None, None, None, :], 0)


def test_sampled_quantiles_are_the_given_ones():
    """Empirical quantiles at the given levels return the forecast's."""
    draw = forecast([4.0, 10.0, 25.0]).sample(60_000, 0, 1, np.random.default_rng(0)).ravel()
    np.testing.assert_allclose(np.quantile(draw, LEVELS), [4.0, 10.0, 25.0], rtol=0.03)


def test_tails_are_as_stated():
    """Below, the first line goes on; above, the excess is exponential."""
    draw = forecast([4.0, 10.0, 25.0]).sample(200_000, 0, 1, np.random.default_rng(1)).ravel()
    assert draw.min() == pytest.approx(4.0 - 0.1 * 6.0 / 0.4, abs=0.01)
    excess = draw[draw > 25.0] - 25.0
    scale = 15.0 / np.log(0.5 / 0.1)
    assert excess.mean() == pytest.approx(scale, rel=0.03)
    assert excess.std() == pytest.approx(scale, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=3, max_size=3))
def test_moments_equal_integration_over_levels(values):
    """Mean and variance equal a fine sum over the inverse distribution; crossing is sorted."""
    model = forecast(values)

    class Levels:
        """Stands in for a generator: its uniforms are an even grid."""

        def random(self, shape: tuple[int, ...]) -> np.ndarray:
            return ((np.arange(shape[0]) + 0.5) / shape[0]).reshape(shape)

    draw = model.sample(200_000, 0, 1, Levels()).ravel()
    assert (np.diff(draw) >= -1e-9).all()
    assert model.mean(0, 1)[0, 0, 0] == pytest.approx(draw.mean(), rel=1e-3, abs=1e-6)
    assert model.variance(0, 1)[0, 0, 0] == pytest.approx(draw.var(), rel=1e-2, abs=1e-4)


def test_forecast_without_quantiles_is_refused(make_instance):
    """The error names the remedy."""
    with pytest.raises(HistoryError, match="add quantile columns"):
        QuantileForecast.fit(make_instance(np.ones((1, 1, 20)), 20))


def test_levels_must_ascend_inside_zero_and_one():
    """Levels at 0 or 1, or out of order, are refused."""
    for levels in ([0.0, 0.5], [0.5, 0.5], [0.9, 0.1], [0.5]):
        with pytest.raises(HistoryError, match="quantile levels"):
            QuantileForecast(np.array([1]), np.array(levels), np.ones((1, 1, 1, len(levels))), 0)
