"""Poisson demand and the totals that follow from it exactly."""

import numpy as np
import pytest
from scipy import stats

from optrl.demand.lead_time import total_loss, total_quantile
from optrl.demand.paths import SeasonalPath, TablePath, steady
from optrl.demand.poisson import Poisson

NODES = np.array([1, 2])


def test_total_quantiles_are_exact():
    """Sums of Poisson demand over nodes and periods are Poisson: quantiles equal scipy's."""
    season = np.array([[0.5, 1.5, 1.0], [1.0, 1.0, 1.0]])
    model = Poisson(NODES, SeasonalPath(np.array([[0.2, 3.0], [40.0, 0.0]]), season))
    groups = np.array([[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]] * 2)
    rate = np.array([[0.2 * 3, 9.0, 9.6], [120.0, 0.0, 120.0]]) - np.array(
        [[0.1, 1.5, 1.6], [40.0, 0.0, 40.0]]
    )
    for probability in (0.01, 0.5, 0.9, 0.999):
        found = total_quantile(model, groups, 1, 2, probability)
        np.testing.assert_array_equal(found, stats.poisson.ppf(probability, rate))


@pytest.mark.parametrize("stock", [0.0, 1.0, 4.0, 4.3, 11.0, 40.0])
def test_expected_shortage_is_the_sum_over_the_distribution(stock):
    """E (D - x)^+ and P(D > x) equal the sums over the Poisson probabilities."""
    model = Poisson(NODES, steady(np.array([[1.5, 2.5]])))
    loss, tail = total_loss(model, np.ones((1, 2, 1)), 0, 2, np.array([[stock]]))
    demand = np.arange(200)
    probability = stats.poisson.pmf(demand, 8.0)
    assert loss[0, 0] == pytest.approx(probability @ np.maximum(demand - stock, 0), abs=1e-12)
    assert tail[0, 0] == pytest.approx(probability @ (demand > stock), abs=1e-12)


def test_zero_means_draw_nothing_and_change_no_other_draw():
    """Pairs without demand cost no random numbers: the others' draws stay as they were."""
    values = np.array([[[3.0, 2.0], [0.0, 0.0]]])
    both = Poisson(NODES, TablePath(values, 0)).sample(5, 0, 2, np.random.default_rng(0))
    alone = Poisson(NODES[:1], TablePath(values[:, :1], 0)).sample(
        5, 0, 2, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(both[:, :, :1], alone)
    assert not both[:, :, 1].any()
