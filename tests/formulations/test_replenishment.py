"""Two- and three-period instances whose optimum is computed by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import Resource

from optrl.solver import InfeasibleError

DIRECT = {("S", "st"): 0}
ONE = np.ones(1)


def test_lead_time_makes_the_first_periods_short(small, optimum):
    """Lead time 2: demand of two periods is lost, the third bought at 3 + 1."""
    network = small(
        {("S", "st"): 2}, unit_cost=3.0, lane_cost=1.0, holding_cost=0.5, shortage_cost=10.0
    )
    solved = optimum(network, {"st": [4.0, 4.0, 4.0]})
    assert solved.solution.objective == pytest.approx(2 * 4 * 10 + 4 * 4)
    np.testing.assert_allclose(solved.order[0, 0], [4, 0, 0, 0], atol=1e-9)


def test_backlog_costs_every_period_it_waits(small, optimum):
    """Lead time 1: demand 4 and initial backlog 2 wait one period at 10 each, then are met."""
    network = small({("S", "st"): 1}, unit_cost=3.0, shortage_cost=10.0, unmet="backorder")
    solved = optimum(network, {"st": [4.0, 0.0]}, backlog={"st": 2.0})
    assert solved.solution.objective == pytest.approx(6 * 10 + 6 * 3)


def test_pipeline_arrives_one_period_after_the_first_decision(small, optimum):
    """due[0] serves the second period; the later one is only credited at the end."""
    network = small(
        {("S", "st"): 9},
        unit_cost=3.0,
        shortage_cost=10.0,
        holding_cost=1.0,
        terminal_value={"st": 2.0},
    )
    solved = optimum(network, {"st": [1.0, 3.0]}, due={"st": [3.0, 5.0]})
    assert solved.solution.objective == pytest.approx(1 * 10 - 5 * 2)


def test_discount_weighs_each_period_and_the_end(small, optimum):
    """Purchases now and later, holding in between, and the terminal value by its own power."""
    network = small(
        DIRECT,
        unit_cost=1.0,
        holding_cost=2.0,
        shortage_cost=50.0,
        terminal_value={"st": 0.5},
        discount=0.5,
    )
    solved = optimum(network, {"st": [1.0, 1.0, 0.0]}, on_hand={"st": 4.0})
    held = 3 * 2 + 0.5 * 2 * 2 + 0.25 * 2 * 2
    assert solved.solution.objective == pytest.approx(held - 0.125 * 2 * 0.5)


def test_supply_capacity_forces_early_purchases(small, optimum):
    """Five asked in period 2, three a period supplied: two are held once at 1."""
    network = small(
        DIRECT,
        unit_cost=1.0,
        holding_cost=1.0,
        shortage_cost=20.0,
        supply_capacity={"S": 3.0},
    )
    solved = optimum(network, {"st": [0.0, 5.0]})
    assert solved.solution.objective == pytest.approx(5 + 2)
    np.testing.assert_allclose(solved.order[0, 0, :2], [2, 3], atol=1e-9)


def test_supplier_that_serves_customers_shares_its_capacity(small, optimum):
    """Four a period for store (shortage 9) and customer (shortage 5): the store goes first."""
    network = small(
        {("S", "st"): 0, ("S", "C"): 0},
        shortage_cost={"st": 9.0, "C": 5.0},
        holding_cost=1.0,
        supply_capacity={"S": 4.0},
    )
    solved = optimum(network, {"st": [3.0, 3.0], "C": [3.0, 3.0]})
    assert solved.solution.objective == pytest.approx(2 * 2 * 5)


def test_service_level_overrides_a_cheap_shortage(small, optimum):
    """Shortage costs less than a unit; 80 % of all demand must be met all the same."""
    network = small(DIRECT, unit_cost=3.0, shortage_cost=1.0, service_level={"st": 0.8})
    solved = optimum(network, {"st": [4.0, 6.0]})
    assert solved.solution.objective == pytest.approx(8 * 3 + 2 * 1)


def test_impossible_service_level_names_its_row(small, optimum):
    """Service 1 with too little throughput: item, node, resource and period are named."""
    lane = Resource("dock", "lane", ONE, np.array([3.0]), lane=0)
    network = small(DIRECT, service_level={"st": 1.0}, shortage_cost=5.0, resources=(lane,))
    with pytest.raises(InfeasibleError) as caught:
        optimum(network, {"st": [4.0, 0.0]})
    text = str(caught.value)
    for name in ("service[item item0, node st]", "resource dock", "period 0"):
        assert name in text


def test_hard_storage_that_cannot_hold_arrivals_is_named(small, optimum):
    """Ten units arrive in period 1 at a store that holds six."""
    shelf = Resource("shelf", "storage", ONE, np.array([6.0]), node=1)
    network = small({("S", "st"): 1}, shortage_cost=5.0, resources=(shelf,))
    with pytest.raises(InfeasibleError) as caught:
        optimum(network, {"st": [0.0, 1.0]}, due={"st": [10.0]})
    text = str(caught.value)
    for name in ("resource shelf", "item item0", "node st", "period 1"):
        assert name in text


def test_overflow_has_its_price(small, optimum):
    """The same with a price of 4 a unit and period above six."""
    shelf = Resource("shelf", "storage", ONE, np.array([6.0]), node=1, overflow_cost=4.0)
    network = small({("S", "st"): 1}, shortage_cost=5.0, resources=(shelf,))
    solved = optimum(network, {"st": [0.0, 1.0]}, due={"st": [10.0]})
    assert solved.solution.objective == pytest.approx((10 - 1 - 6) * 4)


def test_shared_throughput_goes_to_the_dearer_shortage(small, optimum):
    """Two items of use 1 and 2 share 8 a period: value per capacity unit decides."""
    dock = Resource("dock", "inbound", np.array([1.0, 2.0]), np.array([8.0]), node=1)
    shortage = np.array([[0.0, 5.0], [0.0, 8.0]])
    network = small(DIRECT, items=2, shortage_cost=shortage, resources=(dock,))
    solved = optimum(network, {"st": np.array([[5.0], [5.0]])})
    assert solved.solution.objective == pytest.approx((5 - 1.5) * 8)
    assert solved.prices()[0, 0] == pytest.approx(4.0)


def test_budget_follows_its_calendar(small, optimum):
    """Budget 4 then 10 at price 2: two units now, five then; periods beyond keep the last."""
    money = Resource("money", "budget", np.array([2.0]), np.array([4.0, 10.0]))
    network = small(DIRECT, shortage_cost=3.0, holding_cost=9.0, resources=(money,))
    solved = optimum(network, {"st": [6.0, 6.0, 6.0]})
    np.testing.assert_allclose(solved.order[0, 0, :3], [2, 5, 5], atol=1e-9)
    assert solved.solution.objective == pytest.approx(3 * (4 + 1 + 1))


def test_smallest_quantity_is_all_or_nothing(small, optimum):
    """Two asked now and two later, at least four an order: one order and holding of two."""
    network = small(
        DIRECT,
        unit_cost=1.0,
        holding_cost=0.5,
        shortage_cost=9.0,
        minimum_quantity=4.0,
    )
    solved = optimum(network, {"st": [2.0, 2.0]})
    assert solved.solution.objective == pytest.approx(4 + 2 * 0.5)


def test_lots_leave_the_rest_on_hand(small, optimum):
    """Five asked in lots of three at shortage 9: two lots and one unit held."""
    network = small(DIRECT, unit_cost=1.0, holding_cost=0.5, shortage_cost=9.0, lot_size=3.0)
    solved = optimum(network, {"st": [5.0]})
    assert solved.solution.objective == pytest.approx(6 + 0.5)


def test_lot_and_smallest_quantity_together(small, optimum):
    """At least three in lots of two is four, though one unit is asked."""
    network = small(DIRECT, unit_cost=1.0, shortage_cost=9.0, lot_size=2.0, minimum_quantity=3.0)
    solved = optimum(network, {"st": [1.0]})
    assert solved.solution.objective == pytest.approx(4)


def test_setup_time_takes_capacity(small, optimum):
    """Capacity 10, set-up 4: one item set up leaves 6 units, two leave 2."""
    dock = Resource("dock", "inbound", np.ones(2), np.array([10.0]), node=1, takes_setup_time=True)
    network = small(DIRECT, items=2, shortage_cost=5.0, setup_time=4.0, resources=(dock,))
    solved = optimum(network, {"st": np.array([[6.0], [3.0]])})
    assert solved.solution.objective == pytest.approx(3 * 5)


def test_joint_fixed_cost_is_paid_once_for_all_items(small, optimum):
    """Two items ride together in period 0; holding the second period's demand is dearer."""
    network = small(
        DIRECT, items=2, shortage_cost=9.0, holding_cost=3.0, joint_fixed_cost=4.0, fixed_cost=0.5
    )
    solved = optimum(network, {"st": np.array([[1.0, 1.0], [1.0, 1.0]])})
    assert solved.solution.objective == pytest.approx(2 * (4 + 2 * 0.5))


def test_customer_is_served_from_the_cheaper_of_two_stores(small, optimum):
    """Three from near at 1, two from far at 4 (below the shortage of 9)."""
    network = small(
        {("S", "near"): 9, ("S", "far"): 9, ("near", "C"): 0, ("far", "C"): 0},
        lane_cost={("near", "C"): 1.0, ("far", "C"): 4.0},
        shortage_cost=9.0,
    )
    solved = optimum(network, {"C": [5.0]}, on_hand={"near": 3.0, "far": 7.0})
    assert solved.solution.objective == pytest.approx(3 * 1 + 2 * 4)


def test_transshipment_beats_shortage(small, optimum):
    """Stock moves sideways with lead time 1 to be there in period 1."""
    network = small(
        {("S", "a"): 9, ("a", "b"): 1},
        lane_cost={("a", "b"): 2.0},
        shortage_cost=9.0,
        holding_cost=0.1,
    )
    solved = optimum(network, {"b": [1.0, 3.0]}, on_hand={"a": 3.0})
    assert solved.solution.objective == pytest.approx(1 * 9 + 3 * 2)


def wagner_whitin(demand, fixed, unit, holding):
    """Cheapest of all subsets of order periods; the first must be one where demand stands."""
    periods, best = len(demand), np.inf
    for chosen in product([False, True], repeat=periods):
        cost, last = 0.0, None
        for t in range(periods):
            if chosen[t]:
                cost, last = cost + fixed[t], t
            if demand[t] > 0:
                if last is None:
                    cost = np.inf
                    break
                cost += demand[t] * (unit + holding * (t - last))
        best = min(best, cost)
    return best


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_uncapacitated_lot_sizing_equals_wagner_whitin(small, optimum, seed):
    """One item, six periods: the optimum over all subsets of order periods."""
    generator = np.random.default_rng(seed)
    demand = generator.integers(0, 9, 6).astype(float)
    fixed, unit, holding = (
        generator.uniform(1, 20),
        generator.uniform(1, 2),
        generator.uniform(0, 2),
    )
    network = small(
        DIRECT, unit_cost=unit, holding_cost=holding, shortage_cost=1000.0, fixed_cost=fixed
    )
    solved = optimum(network, {"st": demand})
    expected = wagner_whitin(demand, np.full(6, fixed), unit, holding)
    assert solved.solution.objective == pytest.approx(expected, rel=1e-7)
