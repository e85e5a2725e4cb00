"""Customers merged into relaxed zones: never above the network that keeps them apart."""

from dataclasses import replace

import numpy as np
import pytest
from optrl_formulations.network import NodeKind

from optrl.bounds.errors import BoundError
from optrl.bounds.information_relaxation import Relaxation
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import NoPenalty
from optrl.bounds.zones import Zones
from optrl.demand.fit import fit
from optrl.instance import ArrivalProfile
from optrl.testing import random_instance
from optrl.values.state_columns import StateColumns

PERIODS = 8


def source_of(seed, **options):
    """Random instances with many customers; what would keep every customer alone is evened out."""
    instance = random_instance(
        np.random.default_rng(seed), items=2, stocking=2, customers=9, horizon=PERIODS, **options
    )
    network = instance.network
    serving, customers = network.serving_lanes, network.kind == NodeKind.CUSTOMER
    shortage, limit = network.shortage_cost.copy(), network.maximum_quantity.copy()
    shortage[:, customers] = shortage[:, customers].max(axis=1, keepdims=True)
    limit[:, serving] = np.inf
    allowed = network.allowed.copy()
    allowed[:, serving] = True
    even = replace(
        network,
        shortage_cost=shortage,
        maximum_quantity=limit,
        allowed=allowed,
        resources=tuple(r for r in network.resources if r.kind != "lane"),
    )
    return PathSource(replace(instance, network=even), fit(instance), seed)


def merged_nodes(source):
    weight = np.ones((2, len(source.instance.demand.nodes)))
    return len(Zones.of(source.instance, weight).view.aggregation.network.nodes)


def relaxation_of(source, *, merge):
    nothing = NoPenalty(StateColumns.of(source.instance), PERIODS)
    return Relaxation(source, nothing, merge=merge)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_zones_cost_no_more_and_little_less(seed, discount):
    """Path by path the merged program lies below the whole one, and not far below."""
    source = source_of(seed, discount=discount)
    assert merged_nodes(source) < len(source.instance.network.nodes)
    whole, merged = (relaxation_of(source, merge=merge) for merge in (False, True))
    for number in range(3):
        apart, together = whole.solve(number).value, merged.solve(number).value
        assert together <= apart + 1e-6 * abs(apart)
        assert together >= apart - 0.1 * abs(apart)


def test_customers_that_cost_the_same_are_merged_without_loss():
    """Where no customer has a detour or a loss of its own, zones are exact."""
    source = source_of(1)
    network = source.instance.network
    cost, serving = network.lane_cost.copy(), network.serving_lanes
    cost[:, serving] = 0.2 + 0.3 * network.origin[serving]
    same = replace(network, lane_cost=cost)
    level = replace(source, instance=replace(source.instance, network=same))
    assert merged_nodes(level) < len(network.nodes)
    whole, merged = (relaxation_of(level, merge=merge) for merge in (False, True))
    for number in range(3):
        apart, together = whole.solve(number).value, merged.solve(number).value
        assert together == pytest.approx(apart, rel=1e-7)


def test_random_arrivals_keep_their_lanes_when_lanes_are_merged():
    """Delays belong to lanes by number; merging renumbers them, and the bound stays a bound."""
    source = source_of(2)
    instance = source.instance
    network = instance.network
    profiles = []
    for lane in network.replenishment_lanes.tolist():
        lead = int(network.lead_time[lane])
        fraction = np.eye(lead + 3)[[lead, lead + 2]]
        profiles.append(ArrivalProfile(lane, np.array([0.5, 0.5]), fraction))
    fine = Zones.of(instance, np.ones((2, len(instance.demand.nodes)))).view.aggregation.lane
    assert (fine[network.replenishment_lanes] != network.replenishment_lanes).any()
    delayed = replace(source, instance=replace(instance, arrivals=tuple(profiles)))
    whole, merged = (relaxation_of(delayed, merge=merge) for merge in (False, True))
    certain = relaxation_of(source, merge=True)
    moved = 0.0
    for number in range(4):
        apart, together = whole.solve(number).value, merged.solve(number).value
        assert apart - 0.1 * abs(apart) <= together <= apart + 1e-6 * abs(apart)
        moved = max(moved, abs(together - certain.solve(number).value))
    assert moved > 1e-3


def test_waiting_demand_is_refused():
    """Whose demand waits matters later, so customers must stay apart."""
    with pytest.raises(BoundError, match="unmet demand is lost"):
        relaxation_of(source_of(0, unmet="backorder"), merge=True)
