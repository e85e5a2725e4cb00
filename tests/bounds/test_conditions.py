"""What demand models say of their periods is what their samples show."""

from dataclasses import replace

import numpy as np
import pytest

from optrl.bounds.conditions import certain_arrivals, independent_periods
from optrl.demand.discrete import Discrete
from optrl.demand.empirical import Empirical
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.instance import ArrivalProfile
from optrl.testing import random_instance

NODE, MEAN = np.array([1]), steady(np.array([[6.0]]))
MODELS = {
    "poisson": Poisson(NODE, MEAN),
    "discrete": Discrete(NODE, np.array([[[0.5, 0.2, 0.3]]])),
    "empirical": Empirical(NODE, np.random.default_rng(0).poisson(5.0, (1, 1, 30)).astype(float)),
    "shocks": NegativeBinomial(NODE, MEAN, np.full((1, 1), 3.0), shock_variance=np.array([0.2])),
    "level": NegativeBinomial(NODE, MEAN, np.full((1, 1), 3.0), level_variance=np.array([0.3])),
}


@pytest.mark.parametrize("name", MODELS)
def test_independence_is_what_samples_show(name):
    """Neighbouring periods are uncorrelated over paths exactly where the model says so."""
    model = MODELS[name]
    paths = model.sample(20_000, 0, 2, np.random.default_rng(1))[:, 0, 0]
    correlation = float(np.corrcoef(paths.T)[0, 1])
    assert independent_periods(model).holds == (abs(correlation) < 0.03)
    assert independent_periods(model).holds == (name != "level")


def test_models_that_say_nothing_are_not_believed():
    """A model of a user's own without the attribute fails the condition, which says what to do."""

    class Own:
        nodes = NODE

    found = independent_periods(Own())
    assert not found.holds
    assert "give it the attribute independent_periods" in found.found


def test_random_arrivals_are_found():
    """The condition names the lane."""
    instance = random_instance(np.random.default_rng(0))
    assert certain_arrivals(instance).holds
    profile = ArrivalProfile(0, np.array([1.0]), np.array([[0.0, 0.5, 0.5]]))
    found = certain_arrivals(replace(instance, arrivals=(profile,)))
    assert not found.holds
    assert "supplier0" in found.found


def test_rates_are_those_that_a_sample_uses():
    """Drawn from a generator in the same state, rates explain the demand of the same paths."""
    model = NegativeBinomial(
        *(NODE, steady(np.array([[4000.0]])), np.full((1, 1), np.inf)),
        shock_variance=np.array([0.2]),
        level_variance=np.array([0.1]),
    )
    rates = model.rates(5, 8, np.random.default_rng(3))
    demand = model.sample(5, 0, 8, np.random.default_rng(3))[:, :, 0]
    assert demand / 4000 == pytest.approx(rates, rel=0.2)
    assert np.corrcoef(demand.ravel(), rates.ravel())[0, 1] > 0.999
