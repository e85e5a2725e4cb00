"""Fitting by name, and what is refused."""

import numpy as np
import pytest

from optrl.demand.estimate import HistoryError
from optrl.demand.fit import UnknownDemandFamilyError, demand_families, fit
from optrl.instance import Forecast

FROM_HISTORY = sorted(set(demand_families()) - {"replay", "quantile"})


def test_family_of_the_instance_is_the_default(make_instance):
    """Without a name the instance's own family is fitted."""
    instance = make_instance(np.ones((1, 1, 20)), 20, family="poisson")
    assert type(fit(instance)).__name__ == "Poisson"
    assert type(fit(instance, "normal")).__name__ == "Normal"


def test_unknown_families_are_refused(make_instance):
    """The error lists the families there are."""
    with pytest.raises(UnknownDemandFamilyError, match="choose one of empirical"):
        fit(make_instance(np.ones((1, 1, 20)), 20), "gumbel")


@pytest.mark.parametrize("family", FROM_HISTORY)
def test_short_history_is_refused(family, make_instance):
    """Fewer than 8 periods before start: the error names family, item, periods and remedy."""
    instance = make_instance(np.ones((1, 1, 20)), 5)
    with pytest.raises(HistoryError, match=rf"{family}.*item_0.*holds 5 periods.*give"):
        fit(instance, family)


@pytest.mark.parametrize("family", FROM_HISTORY)
def test_history_that_ends_before_start_is_refused(family, make_instance):
    """A gap between history and planning would shift levels and seasons silently."""
    with pytest.raises(HistoryError, match=r"ends in period 19, planning starts in period 30"):
        fit(make_instance(np.ones((1, 1, 20)), 30), family)


def test_history_with_missing_values_is_refused(make_instance):
    """The item at fault is named."""
    history = np.ones((2, 1, 20))
    history[1, 0, 3] = np.nan
    with pytest.raises(HistoryError, match="item_1"):
        fit(make_instance(history, 20))


def test_forecast_mean_replaces_rates(make_instance):
    """A forecast's mean is used as it is; history then only shows the spread."""
    generator = np.random.default_rng(0)
    history = generator.poisson(10.0, size=(1, 2, 40)).astype(float)
    mean = generator.uniform(1, 5, size=(1, 2, 6))
    instance = make_instance(history, 40, forecast=Forecast(mean))
    for family in ("poisson", "negative_binomial", "normal"):
        np.testing.assert_allclose(fit(instance, family).mean(40, 6), mean, rtol=1e-5)


@pytest.mark.parametrize("family", ["negative_binomial", "normal"])
def test_spread_needs_a_source(family, make_instance):
    """A forecast without standard deviation and without history leaves the spread unknown."""
    instance = make_instance(np.zeros((1, 1, 0)), 0, forecast=Forecast(np.ones((1, 1, 4))))
    with pytest.raises(HistoryError, match="no standard deviation"):
        fit(instance, family)
    assert fit(instance, "poisson").mean(0, 4).sum() == 4.0


def test_items_without_demand_fit_to_zero(make_instance):
    """A family fitted to a history with an item never ordered expects nothing of it."""
    history = np.random.default_rng(0).poisson(3.0, size=(2, 3, 60)).astype(float)
    history[1] = 0.0
    for family in FROM_HISTORY:
        model = fit(make_instance(history, 60, season=12), family)
        assert not model.mean(60, 12)[1].any()
        assert not model.sample(3, 60, 12, np.random.default_rng(0))[:, 1].any()
