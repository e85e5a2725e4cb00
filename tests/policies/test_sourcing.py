from dataclasses import replace

import numpy as np
from optrl_formulations.network import NodeKind

from optrl.instance import ArrivalProfile
from optrl.policies.sourcing import NOWHERE, Sourcing
from optrl.testing import random_instance

CHAIN = {"s": "supplier", "hub": "stocking", "shop": "stocking", "c": "customer"}


def test_the_cheaper_way_wins_by_item(build_instance):
    """Each item takes the way of least purchase and transport, over two lanes if need be."""
    instance = build_instance(
        {"s": "supplier", "hub": "stocking", "shop": "stocking"},
        {("s", "hub"): 1, ("s", "shop"): 1, ("hub", "shop"): 1},
        ["shop"],
        items=2,
        unit_cost=np.array([2.0, 2.0]),
        lane_cost=np.array([[1.0, 5.0, 1.0], [1.0, 1.5, 1.0]]),
    )
    sourcing = Sourcing.of(instance)
    assert sourcing.lane.tolist() == [[0, 2], [0, 1]]
    assert sourcing.parent.tolist() == [[NOWHERE, 0], [NOWHERE, NOWHERE]]
    assert sourcing.landed_cost.tolist() == [[3.0, 4.0], [3.0, 3.5]]
    assert sourcing.height.tolist() == [[1, 0], [0, 0]]


def test_ties_go_to_the_shorter_lead_time(build_instance):
    """Two ways of equal cost: the faster one."""
    instance = build_instance(
        {"a": "supplier", "b": "supplier", "w": "stocking"}, {("a", "w"): 3, ("b", "w"): 1}, ["w"]
    )
    assert Sourcing.of(instance).lane.tolist() == [[1]]


def test_forbidden_lanes_and_empty_suppliers_are_not_used(build_instance):
    """A lane that is not allowed, or whose supplier has nothing, is no way."""
    instance = build_instance(
        {"a": "supplier", "b": "supplier", "w": "stocking"},
        {("a", "w"): 1, ("b", "w"): 1},
        ["w"],
        items=3,
        lane_cost=np.array([[1.0, 2.0]] * 3),
        allowed=np.array([[True, True], [False, True], [False, False]]),
        supply_capacity=np.array([[0.0, np.inf, np.inf]] + [[np.inf] * 3] * 2),
    )
    sourcing = Sourcing.of(instance)
    assert sourcing.lane.ravel().tolist() == [1, 1, NOWHERE]
    assert np.isinf(sourcing.landed_cost[2, 0])


def test_customers_belong_to_the_cheapest_serving_node_that_can_be_reached(build_instance):
    """Cheapest serving lane; a node without supply serves nobody; a supplier owns nothing here."""
    instance = build_instance(
        {"s": "supplier", "a": "stocking", "b": "stocking", "c": "customer"},
        {("s", "a"): 1, ("s", "b"): 1, ("s", "c"): 0, ("a", "c"): 0, ("b", "c"): 0},
        ["c", "a"],
        items=3,
        lane_cost=np.array([[1, 1, 9, 2, 1], [1, 1, 9, 2, 1], [1, 1, 0.5, 2, 1]], dtype=float),
        allowed=np.array([[True] * 5, [True, False, True, True, True], [True] * 5]),
    )
    sourcing = Sourcing.of(instance)
    assert sourcing.owner.tolist() == [[0, 1], [0, 0], [0, NOWHERE]]
    assert sourcing.serving_cost.tolist() == [[0, 1], [0, 2], [0, 0.5]]


def test_what_the_nodes_below_cover(build_instance):
    """A hub sees demand after the shop's lead time and review period."""
    instance = build_instance(
        CHAIN,
        {("s", "hub"): 3, ("hub", "shop"): 2, ("hub", "c"): 0, ("shop", "c"): 0},
        ["c", "shop"],
        lane_cost=np.array([[0.0, 0.0, 2.0, 1.0]]),
        review_period=np.array([1, 4, 1, 1]),
    )
    sourcing = Sourcing.of(instance)
    assert sourcing.below.tolist() == [[[6, 0], [6, 0]]]
    assert sourcing.owns.tolist() == [[[False, True], [False, True]]]


def test_waiting_time_follows_the_calendar(build_instance):
    """Open lanes wait for their next opening, closed ones for the opening after the next."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 1},
        ["w"],
        review_period=np.array([3]),
        closed=frozenset({(0, 6)}),
    )
    sourcing = Sourcing.of(instance)
    waits = [int(sourcing.waiting_time(t)[0, 0]) for t in range(5)]
    assert waits == [3, 8, 7, 6, 8]


def test_expected_delay_of_random_arrivals(build_instance):
    """Lead time is the expectation rounded up, with its variance and the share that arrives."""
    profile = ArrivalProfile(
        0, np.array([0.5, 0.5]), np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]])
    )
    instance = build_instance(
        {"s": "supplier", "w": "stocking"}, {("s", "w"): 1}, ["w"], arrivals=(profile,)
    )
    sourcing = Sourcing.of(instance)
    mean = (0.5 * 1 + 0.25 * 3) / 0.75
    variance = (0.5 * (1 - mean) ** 2 + 0.25 * (3 - mean) ** 2) / 0.75
    assert sourcing.lead_time.tolist() == [[2]]
    assert np.isclose(sourcing.lead_time_variance[0, 0], variance)
    assert np.isclose(sourcing.arriving[0, 0], 0.75)


def test_primary_lanes_form_a_forest_whatever_the_costs():
    """Following parents from any node ends at a supplier within V steps, zero costs included."""
    for seed in range(20):
        instance = random_instance(np.random.default_rng(seed), items=4, stocking=4)
        if seed % 2:
            network = replace(instance.network, lane_cost=0 * instance.network.lane_cost)
            instance = replace(instance, network=network)
        sourcing = Sourcing.of(instance)
        node = np.tile(np.arange(4), (4, 1))
        for _ in range(4):
            above = np.take_along_axis(sourcing.parent, np.maximum(node, 0), axis=1)
            node = np.where(node == NOWHERE, NOWHERE, above)
        assert (node == NOWHERE).all()
        network = instance.network
        used = sourcing.lane != NOWHERE
        item, column = np.nonzero(used)
        assert network.allowed[item, sourcing.lane[used]].all()
        assert (network.destination[sourcing.lane[used]] == sourcing.stocking[column]).all()
        assert (network.kind[sourcing.stocking] == NodeKind.STOCKING).all()
