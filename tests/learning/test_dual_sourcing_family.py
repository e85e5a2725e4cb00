"""Random dual-sourcing systems: within their ranges, side by side, and one network learns them."""

import numpy as np
import pytest

from optrl.learning.base import Subject, TrainingError
from optrl.learning.dual_sourcing_family import DualSourcingSystems
from optrl.learning.generalist import Generalist, GeneralistSettings
from optrl.testbeds.dual_sourcing import DualSourcingFamily


def test_systems_are_drawn_within_their_ranges():
    """Lead times by place, uniform demand, and costs whose extremes fill the ranges."""
    family = DualSourcingSystems()
    (drawn,) = family.draw(400, np.random.default_rng(0))
    network, demand = drawn.original.network, drawn.demand
    items, places = 80, 5
    assert drawn.systems == items * places
    assert demand.probability.shape == (items, places, 9)
    largest = (demand.probability > 0).sum(axis=2) - 1
    assert set(np.unique(largest)) == set(range(2, 9))
    np.testing.assert_allclose(demand.probability.sum(axis=2), 1)
    np.testing.assert_allclose(demand.probability.max(axis=2), 1 / (largest + 1))
    for place, lead in enumerate(family.lead_times):
        node = network.node_index[f"place{place}"]
        into = [int(k) for k in network.replenishment_lanes if network.destination[k] == node]
        assert sorted(network.lead_time[into]) == [0, lead]
        premium = np.ptp(network.lane_cost[:, into], axis=1)
        for values, (low, high) in (
            (network.shortage_cost[:, node], family.cost_ratio),
            (premium, family.premium),
        ):
            assert low <= values.min() < 1.3 * low
            assert high / 1.3 < values.max() <= high


def test_other_draws_have_the_same_shapes():
    """A round's systems take the places of those before."""
    family, generator = DualSourcingSystems(), np.random.default_rng(1)
    one, other = (family.draw(20, generator)[0] for _ in range(2))
    assert one.original.due.shape == other.original.due.shape
    assert one.demand.probability.shape == other.demand.probability.shape
    assert not np.array_equal(
        one.original.network.shortage_cost, other.original.network.shortage_cost
    )


def test_a_generalist_learns_the_family():
    """Validated cost falls to a third within some updates in whole lots."""
    bed = DualSourcingFamily.case(2, 105.0)
    settings = GeneralistSettings(
        family="dual sourcing", lots=True, updates=20, paths=4, systems=20, periods=8, width=16,
        depth=2, restart=10, learning_rate=2e-2, clip=5.0, validation_paths=4,
        validation_periods=40,
    )  # fmt: skip
    learner = Generalist.begin(Subject(bed.instance, bed.demand, endless=True), settings, 0)
    before = learner.validate()
    for _ in range(learner.total):
        learner.update()
    assert learner.validate() < before / 3


def test_unknown_families_are_refused():
    """By name, with those there are."""
    with pytest.raises(TrainingError, match="dual sourcing"):
        GeneralistSettings(family="triple sourcing")
