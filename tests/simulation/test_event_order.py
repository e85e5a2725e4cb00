"""Small traces computed by hand, one for each rule of the order of events."""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import Resource

from optrl.instance import ArrivalProfile
from optrl.simulation.rollout import simulate

PAIR = [("supplier", "supplier"), ("store", "stocking")]


def run(instance, policy, demand, **options):
    demand = np.asarray(demand, dtype=float)
    if demand.ndim == 1:
        demand = demand[None, None, None]
    options = {"seed": 0, "dtype": torch.float64, "record": "full"} | options
    return simulate(instance, policy, demand, **options)


def stock(trajectory, node):
    index = trajectory.instance.network.node_index[node]
    return trajectory.detail.on_hand[0, 0, index].tolist()


def test_zero_lead_time_delivers_before_demand(build, script):
    """An order on a lane without lead time serves the demand of its own period."""
    instance = build(PAIR, [("supplier", "store", 0)], ["store"], holding_cost={"store": 2.0})
    result = run(instance, script([[5], [0], [0]]), [3, 1, 4])
    assert stock(result, "store") == [2, 1, 0]
    assert result.detail.sold[0, 0, 0].tolist() == [3, 1, 1]
    assert result.detail.short[0, 0, 0].tolist() == [0, 0, 3]
    assert result.cost["holding"][0].tolist() == [4, 2, 0]


def test_lead_time_two_is_usable_two_periods_later(build, script):
    """An order released in t with lead time 2 serves demand of t + 2, not before."""
    instance = build(
        PAIR,
        [("supplier", "store", 2)],
        ["store"],
        on_hand={"store": 1},
        due=np.array([[[0, 0], [2, 0]]], dtype=float),
        shortage_cost={"store": 9.0},
        lane_cost=0.5,
        unit_cost=3.0,
    )
    result = run(instance, script([[4], [0], [0], [0]]), [1, 1, 1, 1])
    assert stock(result, "store") == [0, 1, 4, 3]
    assert result.cost["shortage"].sum() == 0
    assert result.cost["transport"][0].tolist() == [2, 0, 0, 0]
    assert result.cost["purchase"][0].tolist() == [12, 0, 0, 0]


def test_backlog_is_served_with_demand(build, script):
    """Unmet demand waits, costs each period, and is served when stock arrives."""
    instance = build(
        PAIR,
        [("supplier", "store", 1)],
        ["store"],
        backlog={"store": 1},
        unmet="backorder",
        shortage_cost={"store": 10.0},
    )
    result = run(instance, script([[5], [0], [0]]), [2, 1, 3])
    assert result.detail.short[0, 0, 0].tolist() == [3, 0, 2]
    assert result.detail.sold[0, 0, 0].tolist() == [0, 4, 1]
    assert result.cost["shortage"][0].tolist() == [30, 0, 20]
    assert result.totals["unmet"][0].tolist() == [2, 0, 2]


def test_customer_takes_the_cheapest_lane_first(build, script):
    """The cheaper node serves until it is empty, then the dearer one; serve limits bind."""
    nodes = [("near", "stocking"), ("far", "stocking"), ("customer", "customer")]
    lanes = [("near", "customer", 0), ("far", "customer", 0)]
    cost = {("far", "customer"): 5.0, ("near", "customer"): 1.0}
    instance = build(
        nodes,
        lanes,
        ["customer"],
        on_hand={"near": 3, "far": 3},
        lane_cost=cost,
        shortage_cost={"customer": 7.0},
    )
    result = run(instance, script([[], []]), [4, 4])
    assert result.detail.served[0, 0].tolist() == [[3, 0], [1, 2]]
    assert result.cost["transport"][0].tolist() == [8, 10]
    assert result.cost["shortage"][0].tolist() == [0, 14]
    limited = run(instance, script([[], []], [[2, 1], [0, 0]]), [4, 4])
    assert limited.detail.served[0, 0].tolist() == [[2, 0], [1, 0]]
    assert limited.cost["shortage"][0].tolist() == [7, 28]


def test_cheapest_lane_may_differ_by_item(build, script):
    """Ranks follow each item's own lane costs; an item keeps off lanes it may not use."""
    nodes = [("a", "stocking"), ("b", "stocking"), ("customer", "customer")]
    lanes = [("a", "customer", 0), ("b", "customer", 0)]
    instance = build(
        nodes,
        lanes,
        ["customer"],
        items=3,
        on_hand={"a": 5, "b": 5},
        lane_cost=np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]),
        allowed=np.array([[True, True], [True, True], [False, True]]),
    )
    result = run(instance, script([[]]), np.full((1, 3, 1, 1), 6.0))
    assert result.detail.served[0, :, :, 0].tolist() == [[5, 1], [1, 5], [0, 5]]


def test_customers_of_one_rank_share_in_proportion(build, script):
    """Two customers that ask one node together get shares in proportion to what they ask."""
    nodes = [("depot", "stocking"), ("c1", "customer"), ("c2", "customer")]
    instance = build(
        nodes, [("depot", "c1", 0), ("depot", "c2", 0)], ["c1", "c2"], on_hand={"depot": 6}
    )
    result = run(instance, script([[]]), np.array([[[[4.0], [8.0]]]]))
    torch.testing.assert_close(result.detail.served[0, 0, :, 0], torch.tensor([2.0, 4.0]).double())


HUB = [("supplier", "supplier"), ("hub", "stocking"), ("s1", "stocking"), ("s2", "stocking")]
SPOKES = [("supplier", "hub", 0), ("hub", "s1", 0), ("hub", "s2", 1)]


def test_stock_is_rationed_and_passed_on_in_levels(build, script):
    """The hub ships what it received at once; requests beyond it are cut in proportion."""
    instance = build(HUB, SPOKES, ["s1", "s2"], on_hand={"hub": 2})
    result = run(instance, script([[4, 9, 3], [0, 0, 0]]), np.zeros((1, 1, 2, 2)))
    assert result.detail.released[0, 0, :, 0].tolist() == [4, 4.5, 1.5]
    assert stock(result, "hub") == [0, 0]
    assert stock(result, "s1") == [4.5, 4.5]
    assert stock(result, "s2") == [0, 1.5]
    assert result.cut["stock"][0].tolist() == [6, 0]


def test_lots_are_rounded_down_again_after_rationing(build, script):
    """Lots hold after rationing; what is below the smallest quantity is dropped."""
    instance = build(
        HUB,
        SPOKES,
        ["s1", "s2"],
        on_hand={"hub": 6},
        lot_size={("hub", "s1"): 2.0, ("hub", "s2"): 2.0},
        minimum_quantity={("supplier", "hub"): 5.0},
    )
    result = run(instance, script([[4, 7, 5], [5, 0, 0]]), np.zeros((1, 1, 2, 2)))
    assert result.detail.released[0, 0, :, 0].tolist() == [0, 2, 2]
    assert stock(result, "hub") == [2, 7]
    torch.testing.assert_close(result.cut["lot_size"][0], torch.tensor([4.0, 0.0]).double())
    assert result.cut["minimum_quantity"][0].tolist() == [4, 0]


def test_calendar_maximum_and_supply_cut_what_is_released(build, script):
    """Closed lanes release nothing; largest quantity and supplier capacity bound the rest."""
    instance = build(
        PAIR,
        [("supplier", "store", 1)],
        ["store"],
        review_period=np.array([2]),
        review_offset=np.array([0]),
        closed=frozenset({(0, 2)}),
        maximum_quantity=7.0,
        supply_capacity={"supplier": 6.0},
    )
    result = run(instance, script([[9]] * 5), [0, 0, 0, 0, 0])
    assert result.detail.released[0, 0, 0].tolist() == [6, 0, 0, 0, 6]
    assert result.cut["closed"][0].tolist() == [0, 9, 9, 9, 0]
    assert result.cut["maximum_quantity"][0].tolist() == [2, 0, 0, 0, 2]
    assert result.cut["supply_capacity"][0].tolist() == [1, 0, 0, 0, 1]


def test_budget_scales_purchases_of_all_items(build, script):
    """The purchase budget cuts all items by one factor, by period of its calendar."""
    budget = Resource("cash", "budget", np.array([2.0, 5.0]), np.array([20.0, 35.0]))
    instance = build(PAIR, [("supplier", "store", 1)], ["store"], items=2, resources=(budget,))
    order = np.broadcast_to(np.array([[[10.0], [4.0]]]), (1, 2, 1))
    result = run(instance, script([order, order, order]), np.zeros((1, 2, 1, 3)))
    torch.testing.assert_close(
        result.detail.released[0, :, 0],
        torch.tensor([[5.0, 8.75, 8.75], [2.0, 3.5, 3.5]]).double(),
    )
    torch.testing.assert_close(result.resource_use[0, 0], torch.tensor([20.0, 35.0, 35.0]).double())


def test_setup_time_counts_and_does_not_shrink(build, script):
    """Set-up time is taken off the capacity before quantities are scaled."""
    lane = Resource("dock", "inbound", np.ones(2), np.array([10.0]), node=1, takes_setup_time=True)
    instance = build(
        PAIR, [("supplier", "store", 1)], ["store"], items=2, resources=(lane,), setup_time=2.0
    )
    result = run(instance, script([[6.0]]), np.zeros((1, 2, 1, 1)))
    assert result.detail.released[0, :, 0, 0].tolist() == [3, 3]
    assert float(result.resource_use[0, 0, 0]) == 10


def test_serving_gets_what_replenishment_left_of_a_resource(build, script):
    """Outbound throughput used by transfers is not there for customers; storage overflows."""
    nodes = [("depot", "stocking"), ("store", "stocking"), ("customer", "customer")]
    lanes = [("depot", "store", 1), ("depot", "customer", 0)]
    resources = (
        Resource("gate", "outbound", np.ones(1), np.array([10.0]), node=0),
        Resource("room", "storage", np.ones(1), np.array([5.0]), node=0, overflow_cost=3.0),
    )
    instance = build(nodes, lanes, ["customer"], on_hand={"depot": 20}, resources=resources)
    result = run(instance, script([[4], [0]]), [8, 8])
    assert result.detail.served[0, 0, 0].tolist() == [6, 8]
    assert result.resource_use[0].tolist() == [[10, 8], [10, 2]]
    assert result.cost["overflow"][0].tolist() == [15, 0]


def test_arrivals_in_parts_and_in_part(build, script):
    """Shares of a profile arrive at their delays; the rest is lost and reported."""
    profile = ArrivalProfile(0, np.array([1.0]), np.array([[0.25, 0.0, 0.5]]))
    instance = build(PAIR, [("supplier", "store", 1)], ["store"], arrivals=(profile,))
    result = run(instance, script([[8], [0], [4], [0], [0]]), [0, 0, 0, 0, 0])
    assert stock(result, "store") == [2, 2, 7, 7, 9]
    assert result.totals["lost"][0].tolist() == [2, 0, 1, 0, 0]


def test_frozen_orders_replace_the_policy(build, script):
    """Orders fixed in advance are released whatever the policy says."""
    instance = build(PAIR, [("supplier", "store", 0)], ["store"], frozen=np.array([[[3.0, 4.0]]]))
    result = run(instance, script([[9], [9], [1]]), [0, 0, 0])
    assert result.detail.released[0, 0, 0].tolist() == [3, 4, 1]


def test_terminal_value_credits_stock_and_pipeline(build, script):
    """What is left and on the way is credited with the discount of the period after the last."""
    instance = build(
        PAIR,
        [("supplier", "store", 2)],
        ["store"],
        on_hand={"store": 4},
        terminal_value={"store": 3.0},
        holding_cost={"store": 1.0},
        discount=0.5,
    )
    result = run(instance, script([[0], [2]]), [1, 1])
    assert float(result.terminal_value[0]) == (2 + 2) * 3
    assert float(result.total_cost[0]) == 3 + 0.5 * 2 - 0.25 * 12
