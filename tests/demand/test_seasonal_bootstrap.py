"""Whole past periods of the same time of year, scaled to the expected level."""

import numpy as np
import pytest

from optrl.demand.estimate import HistoryError
from optrl.demand.paths import steady
from optrl.demand.seasonal_bootstrap import SeasonalBootstrap

NODES = np.array([1, 2])


def test_draws_come_from_the_window_and_keep_periods_whole():
    """Ratios drawn for a period lie within the window around the season, all pairs together."""
    ratio = np.arange(24.0) + np.array([[[0.0], [100.0]]])
    model = SeasonalBootstrap(NODES, steady(np.ones((1, 2))), ratio, 0, season=12, window=1)
    paths = model.sample(300, 24, 3, np.random.default_rng(0))[:, 0]
    np.testing.assert_array_equal(paths[:, 1] - paths[:, 0], 100.0)
    for t, allowed in enumerate(
        ({11, 0, 1, 23, 12, 13}, {0, 1, 2, 12, 13, 14}, {1, 2, 3, 13, 14, 15})
    ):
        assert set(paths[:, 0, t].astype(int)) == allowed


def test_first_period_of_ratios_shifts_the_season():
    """Positions are counted in absolute periods, not from the first ratio."""
    ratio = np.arange(12.0)[None, None, :]
    model = SeasonalBootstrap(NODES[:1], steady(np.ones((1, 1))), ratio, 5, season=12, window=0)
    assert model.mean(17, 1)[0, 0, 0] == 0.0
    assert model.mean(16, 1)[0, 0, 0] == 11.0


def test_fit_keeps_correlation_between_items_and_nodes(make_instance):
    """A shock common to all items of a period shows in the variance of totals."""
    generator = np.random.default_rng(1)
    shock = generator.gamma(4, 0.25, size=104)
    history = generator.poisson(200 * np.broadcast_to(shock, (2, 2, 104))).astype(float)
    model = SeasonalBootstrap.fit(make_instance(history, 104, season=0))
    alone = model.variance(104, 1).sum(axis=1)[:, 0]
    together = model.total_variance(np.ones((2, 2, 1)), 104, 1)[:, 0]
    assert (together > 1.8 * alone).all()
    paths = model.sample(2000, 104, 1, np.random.default_rng(2))[..., 0].sum(axis=2)
    assert np.corrcoef(paths[:, 0], paths[:, 1])[0, 1] > 0.9


def test_history_shorter_than_a_season_is_refused(make_instance):
    """The error says how long history is and what to do."""
    with pytest.raises(HistoryError, match=r"20 periods, a season has 52.*set the season to 0"):
        SeasonalBootstrap.fit(make_instance(np.ones((1, 1, 20)), 20, season=52))
