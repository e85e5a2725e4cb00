"""Every plan gets its certificate, or says why it has none, and is never lost for it."""

import numpy as np
import pytest

from optrl.bounds.errors import BoundError
from optrl.bounds.fluid import Fluid
from optrl.bounds.paths import PathSource
from optrl.bounds.plan_certificate import certify_plan
from optrl.bounds.policy_certificate import certify_policy, stratified
from optrl.comparison.compare import compare
from optrl.demand.fit import fit
from optrl.planning.plan import plan
from optrl.testing import random_instance


@pytest.fixture(scope="module")
def made():
    """A plan of a small random network."""
    return plan(random_instance(np.random.default_rng(11), horizon=8), explain=False)


def test_a_plan_carries_its_certificate(made):
    """By default and with a given number of horizons; the larger one looks no further off."""
    assert made.certificate is None
    found = certify_plan(made)
    assert found.uncertified == ""
    assert found.certificate["policy"] == "cost_to_go"
    assert found.certificate["lower_bound"] <= found.certificate["cost"]
    assert found.certificate["cost"] <= found.certificate["upper_bound"]
    assert found.summary()["certificate"] == found.certificate
    given = certify_plan(made, 5, confidence=0.9)
    assert given.certificate["confidence"] == 0.9


def test_out_of_time_the_plan_stays_and_says_so(made):
    """What is known without a simulation is said: no policy costs less."""
    with pytest.raises(BoundError, match="Every policy costs at least"):
        certify_policy(made.instance, "cost_to_go", 4, seconds=0.0)

    def late(_done):
        raise KeyboardInterrupt

    stopped = certify_plan(made, told=late)
    assert stopped.certificate is None
    assert stopped.uncertified == "interrupted"
    assert stopped.tables is made.tables


def test_a_program_not_solved_in_time_is_the_reason(made):
    """Where the bound's own program finds no solution in time."""
    found = certify_plan(made, time_limit=0.0)
    assert found.certificate is None
    assert "time limit" in found.uncertified


class Overstated:
    """A demand model whose mean is three times what it draws."""

    def __init__(self, model):
        self.nodes, self.variance, self.sample = model.nodes, model.variance, model.sample
        self.total_variance, self._model = model.total_variance, model

    def mean(self, first, periods):
        """Too high."""
        return 3 * self._model.mean(first, periods)


def test_a_bound_that_costs_contradict_loses_no_plan_and_no_ranking(made):
    """The reason stands in the certificate's place; perfect information certifies as before."""
    wrong = Overstated(fit(made.instance))
    found = certify_plan(made, 4, demand=wrong)
    assert found.certificate is None
    assert "the fluid bound is" in found.uncertified
    assert found.tables is made.tables
    compared = compare(made.instance, ["base_stock"], scenarios=8, demand=wrong)
    assert compared.fluid is None
    assert not compared.certificates
    assert "the fluid bound is" in compared.summary()["uncertified"]
    bounded = compare(
        made.instance, ["base_stock"], scenarios=8, demand=wrong, bound_scenarios=8
    ).certificates
    assert bounded["base_stock"].considered == ("perfect information",)


def test_one_horizon_is_refused(made):
    """It says nothing of the sampling error."""
    with pytest.raises(BoundError, match="at least 2"):
        certify_plan(made, 1)


def test_stratified_paths_are_unbiased_and_reach_the_tails(made):
    """Over many seeds their mean worth is the model's, with far less spread than paths as drawn."""
    instance = made.instance
    model = fit(instance)
    fluid = Fluid.of(instance, model)
    means, plain = [], []
    for seed in range(60):
        source = PathSource(instance, model, seed)
        numbers = stratified(source, fluid, 4)
        assert len(set(numbers.tolist())) == 4
        means.append(np.mean([fluid.on(source.demand(k, k + 1)) for k in numbers]))
        plain.append(fluid.on(source.demand(0, 4)).mean())
    error = np.std(means, ddof=1) / 60**0.5
    assert abs(np.mean(means) - fluid.value) <= 4 * error
    assert np.std(means) < 0.6 * np.std(plain)
