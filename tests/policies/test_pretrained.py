"""The pretrained policy: near optimal as it comes, and plain about what it was not trained for."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.discrete import Discrete
from optrl.policies import find
from optrl.policies.pretrained import Pretrained, UntrainedWarning
from optrl.simulation.dynamics import Dynamics
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.lost_sales import LostSalesFamily


@pytest.mark.parametrize(
    ("family", "shortage_cost", "lead_time", "more", "largest_gap"),
    [
        ("poisson", 9.0, 2, {}, 0.0012),
        ("geometric", 19.0, 2, {}, 0.0012),
        ("negative_binomial", 7.0, 1, {"mean": 3.3, "size": 2.0}, 0.005),
    ],
)
def test_exact_cost_is_near_the_optimum(family, shortage_cost, lead_time, more, largest_gap):
    """Lost sales: on instances it was trained on and on one it never saw."""
    bed = LostSalesFamily.case(family, shortage_cost, lead_time, **more).solved()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = find("pretrained").fit(bed.instance, bed.demand)
    assert exact_cost(bed, policy).cost <= (1 + largest_gap) * bed.optimum


@pytest.mark.parametrize(
    ("lead_time", "expedited", "more", "largest_gap"),
    [
        (2, 105.0, {}, 0.001),
        (4, 110.0, {}, 0.001),
        (3, 108.0, {"backorder_cost": 300.0, "largest_demand": 5}, 0.005),
    ],
)
def test_dual_sourcing_is_near_the_optimum(lead_time, expedited, more, largest_gap):
    """Exact cost: two published instances and one that no table has."""
    bed = DualSourcingFamily.case(lead_time, expedited, **more).solved()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = find("pretrained").fit(bed.instance, bed.demand)
    assert exact_cost(bed, policy).cost <= (1 + largest_gap) * bed.optimum


def test_only_uniform_demand_is_taken_for_two_suppliers():
    """The same mean and largest demand, but not uniform: base stock decides."""
    bed = DualSourcingFamily.case(2, 105.0)
    law = Discrete(np.array([2]), np.array([[[0.1, 0.2, 0.4, 0.2, 0.1]]]))
    with pytest.warns(UntrainedWarning, match="uniform"):
        Pretrained.fit(bed.instance, law)


def test_places_of_both_kinds_each_follow_their_network():
    """A place with one supplier beside one with two orders what it orders alone."""
    mixed, demand = two_kinds(), Discrete(np.array([2, 3]), np.full((1, 2, 5), 0.2))
    network = mixed.network
    with pytest.warns(UntrainedWarning, match="1 of 2"):
        policy = Pretrained.fit(mixed, demand)
    order = policy.decide(Dynamics(mixed).initial_state(1), 0).order
    alone = DualSourcingFamily.case(2, 105.0)
    expected = Pretrained.fit(alone.instance, alone.demand)
    found = expected.decide(Dynamics(alone.instance).initial_state(1), 0).order
    lanes = [network.lanes[lane] for lane in network.replenishment_lanes]
    both = [order[0, 0, lanes.index((origin, "a"))] for origin in ("regular", "expedited")]
    assert torch.equal(torch.stack(both), found[0, 0])


def two_kinds():
    """Place a with two suppliers, place b with one whose demand no network knows."""
    return build(
        "both",
        {"regular": "supplier", "expedited": "supplier", "a": "stocking", "b": "stocking"},
        {("regular", "a"): 2, ("regular", "b"): 2, ("expedited", "a"): 0},
        ["a", "b"],
        unmet="backorder",
        horizon=4,
        holding_cost={"a": 5.0, "b": 5.0},
        shortage_cost={"a": 495.0, "b": 495.0},
        lane_cost={("regular", "a"): 100.0, ("regular", "b"): 100.0, ("expedited", "a"): 105.0},
        lot_size=1.0,
    )


def test_backorders_are_ordered_up_to_the_newsvendor_level():
    """Where demand waits, base stock is optimal: orders bring the position to within one unit."""
    bed = LostSalesFamily.case("poisson", 9.0, 2)
    network = bed.instance.network
    waiting = replace(bed.instance, network=replace(network, unmet="backorder"))
    policy = find("pretrained").fit(waiting, bed.demand)
    classical = find("base_stock").fit(waiting, bed.demand)
    for stock in range(4, 19, 2):
        state = Dynamics(replace(waiting, on_hand=np.array([[0.0, stock]]))).initial_state(1)
        orders = [each.decide(state, 0).order.item() for each in (policy, classical)]
        assert abs(orders[0] - orders[1]) <= 1


def test_other_nodes_follow_base_stock_with_a_warning():
    """Lead times, costs, means and demand beyond the ranges, of one supplier and of two."""
    for bed in (
        DualSourcingFamily.case(7, 105.0),
        DualSourcingFamily.case(2, 190.0),
        DualSourcingFamily.case(2, 105.0, largest_demand=20),
        DualSourcingFamily.case(2, 105.0, backorder_cost=30.0),
        LostSalesFamily.case("poisson", 9.0, 7),
        LostSalesFamily.case("poisson", 400.0, 2),
        LostSalesFamily.case("poisson", 9.0, 2, mean=80.0),
    ):
        with pytest.warns(UntrainedWarning, match="lead times 1 to 4"):
            policy = Pretrained.fit(bed.instance, bed.demand)
        state = Dynamics(bed.instance).initial_state(2)
        base_stock = find("base_stock").fit(bed.instance, bed.demand)
        assert torch.equal(policy.decide(state, 0).order, base_stock.decide(state, 0).order)


def test_items_can_be_decided_apart():
    """Restricted to some items it orders what it orders for all."""
    bed = LostSalesFamily.case("poisson", 9.0, 2)
    policy = find("pretrained").fit(bed.instance, bed.demand)
    state = Dynamics(bed.instance).initial_state(3)
    part = policy.for_items(slice(0, 1)).decide(state, 0).order
    assert torch.equal(policy.decide(state, 0).order, part)


def test_orders_are_whole_units_without_lots_too():
    """The same orders where the instance leaves quantities continuous."""
    bed = LostSalesFamily.case("poisson", 9.0, 3)
    free = replace(bed.instance.network, lot_size=np.zeros_like(bed.instance.network.lot_size))
    loose = replace(bed.instance, network=free)
    for stock in (0.0, 6.0, 13.0):
        on_hand = np.array([[0.0, stock]])
        orders = [
            find("pretrained")
            .fit(each, bed.demand)
            .decide(Dynamics(replace(each, on_hand=on_hand)).initial_state(1), 0)
            .order.item()
            for each in (bed.instance, loose)
        ]
        assert orders[0] == orders[1] == round(orders[0])
