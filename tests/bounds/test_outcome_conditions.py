"""Outcomes that cannot be groups of a model's demand are told from those that can."""

import numpy as np
import pytest

from optrl.bounds.outcome_conditions import grouped_demand
from optrl.decomposition.sddp import DemandOutcomes, group_by_means, independent_product
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.demand.seasonal_bootstrap import SeasonalBootstrap
from optrl.exact.distribution import DemandDistribution

MEANS = np.array([[2.0, 5.0], [3.0, 1.0]])


def groups(mean, count):
    """Poisson demand of one pair."""
    return group_by_means(DemandDistribution.poisson(mean).probability, count)


def violated(model, outcomes):
    """What does not hold."""
    return [c.needs for c in grouped_demand(model, 4, outcomes) if not c.holds]


@pytest.mark.parametrize("count", [1, 3])
def test_products_of_groups_pass(count):
    """Two items at two nodes, all independent, grouped pair by pair."""
    model = Poisson(np.array([1, 2]), steady(MEANS))
    product = independent_product([groups(mean, count) for mean in MEANS.ravel()])
    assert violated(model, [product] * 3) == []


def test_demand_that_moves_together_is_told_from_independent_demand():
    """Each node's outcomes are its own groups, but both are high in the same outcome."""
    model = Poisson(np.array([1, 2]), steady(MEANS[:1]))
    low_high = [groups(mean, 2) for mean in MEANS[0]]
    chance = low_high[0].probability
    both = np.hstack([each.demand for each in low_high])
    # The second node's two values with the first one's chances, at its own mean.
    both[:, 1] += MEANS[0, 1] - chance @ both[:, 1]
    together = DemandOutcomes(chance, both)
    alone = together.probability @ (both - MEANS[0]) ** 2
    assert (alone < MEANS[0]).all()
    assert violated(model, [together]) == [
        "outcomes vary no more than the model's demand, alone and together"
    ]


def test_a_model_that_moves_together_wants_outcomes_that_do():
    """All past periods as they were pass; each node by itself does not."""
    ratio = np.array([[[0.5, 1.5, 1.0, 1.0], [0.6, 1.4, 0.9, 1.1]]])
    model = SeasonalBootstrap(np.array([1, 2]), steady(MEANS[:1]), ratio, 0, 0)
    cases = (MEANS[0][:, None] * ratio[0]).T
    whole = DemandOutcomes(np.full(4, 0.25), cases)
    assert violated(model, [whole]) == []
    pairs = [DemandOutcomes(np.full(4, 0.25), cases[:, [k]]) for k in range(2)]
    assert violated(model, [independent_product(pairs)]) == [
        "outcomes vary no more than the model's demand, alone and together"
    ]


def test_other_means_and_other_pairs_are_named():
    """A mean that is off, and a pair that is missing."""
    model = Poisson(np.array([1]), steady(MEANS[:, :1]))
    product = independent_product([groups(2.0, 3), groups(3.3, 3)])
    assert "outcomes have the expectation of the model's demand" in violated(model, [product])
    assert violated(model, [groups(2.0, 3)]) == [
        "outcomes are of all items at all nodes with demand"
    ]
