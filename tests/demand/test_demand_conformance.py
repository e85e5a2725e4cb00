"""Every demand model of the package keeps the contract of `optrl.demand.base.DemandModel`."""

import dataclasses

import numpy as np
import pytest

from optrl.demand.base import DemandModel, FittedDemand, TotalShape
from optrl.demand.fit import demand_families, fit
from optrl.instance import Forecast

SEASON, START, PERIODS = 12, 60, 5
FAMILIES = sorted(demand_families())


@pytest.fixture(scope="module")
def history() -> np.ndarray:
    """Four seasons and a bit of seasonal, correlated, partly sparse demand."""
    generator = np.random.default_rng(5)
    level = np.array([[40.0, 8.0, 0.3, 0.0], [3.0, 6.0, 1.0, 0.5], [20.0, 20.0, 5.0, 0.05]])
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(72) / SEASON)
    shock = generator.gamma(10, 0.1, size=(3, 1, 72))
    return generator.poisson(level[:, :, None] * season * shock).astype(float)


@pytest.fixture
def instance(request, history, make_instance):
    forecast = None
    if request.node.callspec.params["family"] == "quantile":
        probabilities = np.array([0.1, 0.5, 0.8, 0.95])
        value = np.sort(np.random.default_rng(1).gamma(2, 10, size=(3, 4, 8, 4)), axis=3)
        forecast = Forecast(value[..., 1], None, probabilities, value)
    return make_instance(history, START, season=SEASON, forecast=forecast)


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_protocol(family, instance):
    """A fitted model offers the protocol's methods with the shapes promised."""
    model = fit(instance, family)
    assert isinstance(model, DemandModel)
    assert isinstance(model, FittedDemand)
    assert type(model).name == family
    np.testing.assert_array_equal(model.nodes, instance.demand.nodes)
    mean, variance = model.mean(START, PERIODS), model.variance(START, PERIODS)
    assert mean.shape == variance.shape == (3, 4, PERIODS)
    assert mean.dtype == variance.dtype == np.float64
    assert (mean >= 0).all()
    assert (variance >= 0).all()
    paths = model.sample(6, START, PERIODS, np.random.default_rng(0))
    assert paths.shape == (6, 3, 4, PERIODS)
    assert paths.dtype == np.float64
    assert (paths >= 0).all()
    assert paths.flags.writeable
    assert model.total_variance(np.ones((3, 4, 2)), START, PERIODS).shape == (3, 2)
    if isinstance(model, TotalShape):
        assert model.unit.shape == (3,)
        lattice = model.unit > 0
        count = paths[:, lattice] / model.unit[lattice][:, None, None]
        np.testing.assert_allclose(count, np.round(count), atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_equal_monte_carlo(family, instance):
    """Mean, variance and variance of totals are those of the paths drawn, within 5 errors."""
    model = fit(instance, family)
    scenarios = 20_000
    paths = model.sample(scenarios, START, PERIODS, np.random.default_rng(11))
    mean, variance = model.mean(START, PERIODS), model.variance(START, PERIODS)
    slack = 5 * np.sqrt(variance / scenarios) + 1e-9
    assert (np.abs(paths.mean(axis=0) - mean) <= slack).all()

    weights = np.random.default_rng(2).integers(0, 2, size=(3, 4, 3)).astype(float)
    weights[:, :, 0] = 1.0
    weights[:, :, 1] *= 0.5
    totals = np.einsum("sijt,ijg->sig", paths, weights)
    for drawn, expected in (
        (paths, variance),
        (totals, model.total_variance(weights, START, PERIODS)),
    ):
        square = (drawn - drawn.mean(axis=0)) ** 2
        error = square.std(axis=0) / np.sqrt(scenarios)
        seen = (drawn != 0).sum(axis=0) > 200  # fewer events say nothing about the error
        gap = np.abs(square.mean(axis=0) - expected)
        assert (gap <= 5 * error + 1e-9)[seen].all()
        # A model without spread has none to compare: its own variance must be zero too.
        assert (expected[drawn.std(axis=0) == 0] < 0.05).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_same_generator_same_bits(family, instance):
    """Equal seeds draw equal paths, different seeds others (replay excepted)."""
    model = fit(instance, family)
    first = model.sample(7, START, PERIODS, np.random.default_rng(3))
    again = model.sample(7, START, PERIODS, np.random.default_rng(3))
    other = model.sample(7, START, PERIODS, np.random.default_rng(4))
    np.testing.assert_array_equal(first, again)
    assert (first == other).all() == (family == "replay")


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "replay"])
def test_fit_looks_at_no_kept_period(family, instance):
    """What happens from `start` on does not change the fitted model."""
    table = instance.demand
    other = table.quantity.copy()
    other[:, :, START:] = 1e6
    changed = dataclasses.replace(instance, demand=dataclasses.replace(table, quantity=other))
    first, second = fit(instance, family), fit(changed, family)
    np.testing.assert_array_equal(first.mean(START, 12), second.mean(START, 12))
    np.testing.assert_array_equal(first.variance(START, 12), second.variance(START, 12))


def test_names_of_the_instance_file_are_all_found():
    """Every family an instance may name has a model, and replay is one too."""
    named = {"poisson", "negative_binomial", "normal", "empirical", "seasonal_bootstrap"}
    assert named | {"quantile", "replay"} == set(FAMILIES)
