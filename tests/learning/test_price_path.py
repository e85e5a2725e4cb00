"""The learner of prices: it comes close to re-solving, and refuses where nothing is to forecast."""

import numpy as np
import pytest

from optrl.learning.base import Subject, TrainingError
from optrl.learning.price_path import PricePath, PricePathSettings
from optrl.policies.dual_guided import DualGuided
from optrl.simulation.rollout import simulate
from optrl.testbeds import find_bed
from optrl.testbeds.shared_capacity import SharedCapacity

SMALL = PricePathSettings(
    updates=6, checkpoint_every=3, validate_every=6, periods=16, steps=100, validation_paths=1
)


def test_forecast_prices_cost_two_percent_more_than_searched_ones_at_most():
    """On paths that nothing was learned on; prices that are always zero cost more."""
    bed = SharedCapacity.case(15, 2, 1.2, periods=16, seed=6)
    learner = PricePath.begin(Subject(bed.instance, bed.demand), SMALL, 0)
    metrics = [learner.update() for _ in range(SMALL.updates)]
    assert 0 < metrics[-1]["scarce"] <= 1
    paths = bed.demand.sample(3, 0, 16, np.random.default_rng(99))

    class Zero:
        def prices(self, allocation, lasting, period):
            return np.zeros(1)

    instance, demand = bed.instance, bed.demand
    policies = (
        DualGuided(instance, demand, how="priced"),
        learner.policy(instance, demand),
        DualGuided(instance, demand, how="forecast", forecast=Zero()),
    )
    searched, forecast, zero = (
        float(simulate(instance, policy, paths, seed=0).period_cost.mean()) for policy in policies
    )
    assert forecast < 1.02 * searched
    assert forecast < zero


def test_without_a_shared_resource_there_is_nothing_to_forecast():
    """The error says so."""
    bed = find_bed("lost-sales/poisson-p4-L2")
    with pytest.raises(TrainingError, match="no shared resource"):
        PricePath.begin(Subject(bed.instance, bed.demand, endless=True), SMALL, 0)
