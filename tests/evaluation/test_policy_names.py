"""Policies that update their beliefs are named, compared and kept like any other."""

from dataclasses import replace

import numpy as np
import pytest

import optrl
from optrl.bounds.plan_certificate import certify_plan
from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.errors import OptrlError
from optrl.evaluation.policy_names import find_simulated, learns
from optrl.evaluation.updated import Updated
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance


def test_the_suffix_makes_a_policy_update_its_belief():
    """Its name tells the two apart; a name that is none is refused with or without it."""
    plain, learning = find_simulated("base_stock"), find_simulated("base_stock+updated")
    assert (plain.name, learning.name) == ("base_stock", "base_stock+updated")
    with pytest.raises(OptrlError, match="no_such"):
        find_simulated("no_such+updated")


def test_rollouts_tell_the_name_of_the_policy_that_updates():
    """Results name what decided, not the class that updates any policy."""
    instance = random_instance(np.random.default_rng(2), items=1, horizon=4, resources=False)
    nodes = instance.demand.nodes
    model = NegativeBinomial(nodes, steady(np.ones((1, len(nodes)))), np.ones((1, len(nodes))))
    paths = model.sample(1, instance.start, 4, np.random.default_rng(0))
    policy = find_simulated("base_stock+updated").fit(instance, model)
    assert simulate(instance, policy, paths, seed=0).policy == "base_stock+updated"


def test_where_years_differ_in_level_updating_pays(tmp_path):
    """Cheaper than the same policy that keeps its first belief; kept parts give the same again."""
    instance = random_instance(np.random.default_rng(2), items=1, horizon=16, resources=False)
    nodes = instance.demand.nodes
    expected = np.full((1, len(nodes)), 20.0)
    model = NegativeBinomial(
        nodes, steady(expected), np.full(expected.shape, np.inf), level_variance=np.ones(1)
    )
    names = ["base_stock", "base_stock+updated"]
    how = {"scenarios": 12, "demand": model, "until_settled": False}
    found = optrl.compare(instance, names, folder=tmp_path, **how)
    cost = dict(found.ranking.select("policy", "cost").iter_rows())
    assert cost["base_stock+updated"] < cost["base_stock"]
    assert found.pairs["proven"].all()
    again = optrl.compare(instance, names, folder=tmp_path, **how)
    assert (again.cost == found.cost).all()


def test_a_plan_is_certified_by_the_policy_that_learns_where_there_is_something_to_learn():
    """Otherwise by the policy as it is: Poisson demand of one period says nothing of the next."""
    instance = random_instance(np.random.default_rng(2), items=1, horizon=10, resources=False)
    expected = np.full((1, len(instance.demand.nodes)), 20.0)
    size = np.full(expected.shape, np.inf)
    level = NegativeBinomial(
        instance.demand.nodes, steady(expected), size, level_variance=np.ones(1)
    )
    steadfast = replace(level, level_variance=np.zeros(1))
    for model, name in ((level, "base_stock+updated"), (steadfast, "base_stock")):
        assert learns(model) == name.endswith("+updated")
        made = optrl.plan(instance, "base_stock", demand=model, explain=False)
        assert certify_plan(made, 2, demand=model).certificate["policy"] == name


def test_demand_that_teaches_nothing_is_refused():
    """A model without memory has nothing to update: say so rather than decide as before."""
    instance = random_instance(np.random.default_rng(2), horizon=10)
    with pytest.raises(OptrlError, match="learns nothing"):
        optrl.compare(instance, ["base_stock+updated"], scenarios=2)
    assert Updated.__doc__
