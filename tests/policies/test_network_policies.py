"""Positions, levels and orders on small networks, computed by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import stats

from optrl.demand.normal import Normal
from optrl.demand.paths import SeasonalPath, steady
from optrl.demand.poisson import Poisson
from optrl.instance import ArrivalProfile
from optrl.policies.base_stock import BaseStock
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.newsvendor import Newsvendor
from optrl.policies.s_s import ReorderPointOrderUpTo
from optrl.simulation.rollout import simulate


@dataclass(frozen=True)
class Seen:
    on_hand: torch.Tensor
    in_transit: torch.Tensor
    backlog: torch.Tensor
    due: torch.Tensor


def seen(on_hand, in_transit=None, backlog=None):
    stock = torch.tensor([[on_hand]], dtype=torch.float64)
    moving = torch.tensor([[in_transit or [0.0] * len(on_hand)]], dtype=torch.float64)
    waiting = torch.tensor([[backlog or [0.0] * len(on_hand)]], dtype=torch.float64)
    return Seen(stock, moving, waiting, moving[..., None])


SERIAL = {"s": "supplier", "hub": "stocking", "shop": "stocking", "c": "customer"}


@pytest.fixture
def serial(build_instance):
    return build_instance(
        SERIAL,
        {("s", "hub"): 2, ("hub", "shop"): 1, ("shop", "c"): 0},
        ["c"],
        unmet="backorder",
        holding={"hub": 1.0, "shop": 2.0},
    )


STATE = ([0.0, 7.0, 3.0, 0.0], [0.0, 2.0, 4.0, 0.0], [0.0, 0.0, 0.0, 6.0])


def test_installation_orders_pass_up_the_chain(serial):
    """Shop: 10 - (3 + 4 - 6) = 9; hub: 20 - (7 + 2 - 9) = 20: backlog counts once."""
    order = BaseStock.at_level(serial, np.array([20.0, 10.0])).decide(seen(*STATE), 0).order
    assert order[0, 0].tolist() == [20.0, 9.0]


def test_echelon_orders_see_everything_below(serial):
    """Shop: 10 - 1 = 9; hub: 30 - (9 + 1) = 20, without waiting for the shop's order."""
    order = EchelonBaseStock.at_level(serial, np.array([30.0, 10.0])).decide(seen(*STATE), 0).order
    assert order[0, 0].tolist() == [20.0, 9.0]


def test_flows_of_a_serial_system_period_by_period(serial):
    """What is released and short in 4 periods of demand 5, hand-computed; the hub rations."""
    instance = replace(serial, on_hand=np.array([[0.0, 4.0, 6.0, 0.0]]))
    run = simulate(
        instance,
        EchelonBaseStock.at_level(instance, np.array([20.0, 10.0])),
        np.full((1, 1, 1, 4), 5.0),
        seed=0,
        record="full",
    )
    # t=0: shop asks 4, hub 10; t=1: shop holds 1 + 4, asks 5 of an empty hub, hub asks 5;
    # t=2: 10 arrive at the hub, shop holds 0, asks 10, hub asks 5; t=3: shop holds 5 again.
    assert run.detail.released[0, 0].tolist() == [[10.0, 5.0, 5.0, 5.0], [4.0, 0.0, 10.0, 5.0]]
    assert run.detail.short[0, 0, 0].tolist() == [0.0, 0.0, 5.0, 0.0]


def test_echelon_levels_are_near_the_optimum_of_a_published_serial_system(build_instance):
    """Snyder & Shen, Example 6.1: optimal echelon levels 6.49, 12.02, 22.71 from the shop up.

    Their stages are charged for lead times of 1, 1 and 2 periods; in our order of events the
    shop's period of demand comes after its delivery, hence lead times 0, 1 and 2.
    """
    instance = build_instance(
        {"s": "supplier", "far": "stocking", "mid": "stocking", "shop": "stocking"},
        {("s", "far"): 2, ("far", "mid"): 1, ("mid", "shop"): 0},
        ["shop"],
        unmet="backorder",
        holding={"far": 2.0, "mid": 4.0, "shop": 7.0},
        shortage=37.12,
    )
    demand = Normal(np.array([3]), steady(np.array([[5.0]])), steady(np.array([[1.0]])))
    levels = EchelonBaseStock.fit(instance, demand).levels.at(0)[0]
    assert levels == pytest.approx([22.71, 12.02, 6.49], rel=5e-3)


def test_installation_levels_are_quantiles_of_lead_time_demand(serial):
    """Shop: 2 periods at 9/11; hub: having served the shop, 2 periods at 9/10."""
    demand = Poisson(np.array([3]), steady(np.array([[5.0]])))
    levels = BaseStock.fit(serial, demand).levels.at(0)[0]
    assert levels.tolist() == [stats.poisson.ppf(9 / 10, 10), stats.poisson.ppf(9 / 11, 10)]


def test_seasonality_moves_the_levels_ahead_of_the_season(serial):
    """A peak in period 10 raises the shop's level from 9 on and the hub's from 7 on.

    The shop's order of 9 is usable in 10. The hub's order of 7 is usable in 9, when the shop
    orders for the peak, and the next one is not.
    """
    season = np.ones((1, 20))
    season[0, 10] = 4.0
    levels = BaseStock.fit(
        serial, Poisson(np.array([3]), SeasonalPath(np.array([[5.0]]), season))
    ).levels
    raised = [(levels.at(t) > levels.at(0)).tolist()[0] for t in range(4, 12)]
    hub, shop = zip(*raised, strict=True)
    assert [t for t, up in zip(range(4, 12), shop, strict=True) if up] == [9, 10]
    assert [t for t, up in zip(range(4, 12), hub, strict=True) if up] == [7, 8]


def test_multi_source_orders_use_the_cheaper_lane(build_instance):
    """Only the cheaper of two lanes gets the order."""
    instance = build_instance(
        {"a": "supplier", "b": "supplier", "w": "stocking"},
        {("a", "w"): 1, ("b", "w"): 1},
        ["w"],
        items=2,
        lane_cost=np.array([[2.0, 1.0], [1.0, 2.0]]),
    )
    state = seen([0.0, 0.0, 4.0])
    state = replace(state, **{k: getattr(state, k).expand(-1, 2, *getattr(state, k).shape[2:])
                              for k in ("on_hand", "in_transit", "backlog", "due")})  # fmt: skip
    order = BaseStock.at_level(instance, 10.0).decide(state, 0).order
    assert order.tolist() == [[[0.0, 6.0], [6.0, 0.0]]]


def test_orders_are_rounded_up_and_closed_lanes_wait(build_instance):
    """Lots of 4 round up; at least 6; nothing in closed periods; nothing without need."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 1},
        ["w"],
        lot_size=np.array([[4.0]]),
        minimum_quantity=np.array([[6.0]]),
        review_period=np.array([2]),
    )
    policy = BaseStock.at_level(instance, 10.0)
    for on_hand, ordered in ((9.0, 8.0), (1.0, 12.0), (2.0, 8.0), (10.0, 0.0), (12.0, 0.0)):
        state = seen([0.0, on_hand])
        assert policy.decide(state, 0).order.item() == ordered
        assert policy.decide(state, 1).order.item() == 0.0


def test_losses_on_the_way_are_made_up_for(build_instance):
    """With a fifth of every order lost, a need of 8 takes an order of 10."""
    profile = ArrivalProfile(0, np.array([1.0]), np.array([[0.0, 0.8]]))
    instance = build_instance(
        {"s": "supplier", "w": "stocking"}, {("s", "w"): 1}, ["w"], arrivals=(profile,)
    )
    order = BaseStock.at_level(instance, 10.0).decide(seen([0.0, 2.0]), 0).order
    assert order.item() == pytest.approx(10.0)


def test_random_lead_times_raise_the_level(build_instance):
    """Lead time 1 or 3 with equal odds: variance of a level of 3 periods grows by 5**2 * 1."""
    profile = ArrivalProfile(
        0, np.array([0.5, 0.5]), np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    )
    lanes, nodes = {("s", "w"): 2}, {"s": "supplier", "w": "stocking"}
    demand = Poisson(np.array([1]), steady(np.array([[5.0]])))
    fixed, late = (
        BaseStock.fit(
            build_instance(nodes, lanes, ["w"], unmet="backorder", holding={"w": 1.0}, arrivals=a),
            demand,
        ).levels.at(0).item()
        for a in ((), (profile,))
    )  # fmt: skip
    assert fixed == stats.poisson.ppf(0.9, 15)
    assert late == stats.nbinom.ppf(0.9, 15**2 / 25, 15 / 40)


def test_reorder_point_waits_and_then_orders_up_to_the_level(build_instance):
    """Nothing at s, everything to S below it."""
    instance = build_instance({"s": "supplier", "w": "stocking"}, {("s", "w"): 1}, ["w"])
    policy = ReorderPointOrderUpTo.at_level(instance, 5.0, 12.0)
    assert policy.decide(seen([0.0, 5.0]), 0).order.item() == 0.0
    assert policy.decide(seen([0.0, 4.0]), 0).order.item() == 8.0


def test_order_quantity_is_economic_and_reorder_point_the_best_for_it(build_instance):
    """Q = sqrt(2 K d / h); s minimizes the average of holding and backorder cost over [s, S]."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 1},
        ["w"],
        unmet="backorder",
        holding={"w": 1.0},
        fixed_cost=np.array([[40.0]]),
        horizon=52,
    )
    policy = ReorderPointOrderUpTo.fit(instance, Poisson(np.array([1]), steady(np.array([[5.0]]))))
    low, high = policy.reorder_points.at(0).item(), policy.levels.at(0).item()
    assert high - low == pytest.approx(20.0)
    demand = np.arange(60)
    weight = stats.poisson.pmf(demand, 10)

    def cost(start):
        positions = start + np.linspace(0, 20, 2001)
        gap = positions[:, None] - demand
        return ((np.maximum(gap, 0) + 9 * np.maximum(-gap, 0)) @ weight).mean()

    starts = np.arange(-10, 20, 0.05)
    assert cost(low) == pytest.approx(min(map(cost, starts)), abs=1e-3)


def test_newsvendor_without_lead_time_is_the_textbook_order(build_instance):
    """Underage 9 - 2, overage 1: Poisson quantile at 7/8 less stock."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 0},
        ["w"],
        holding={"w": 1.0},
        unit_cost=np.array([2.0]),
    )
    demand = Poisson(np.array([1]), steady(np.array([[5.0]])))
    order = Newsvendor.fit(instance, demand).decide(seen([0.0, 3.0]), 0).order
    assert order.item() == stats.poisson.ppf(7 / 8, 5) - 3


def test_shortage_below_cost_keeps_no_stock(build_instance):
    """Where losing a sale is cheaper than buying the unit, nothing is bought."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 1},
        ["w"],
        holding={"w": 1.0},
        shortage=3.0,
        unit_cost=np.array([3.5]),
    )
    demand = Poisson(np.array([1]), steady(np.array([[5.0]])))
    for kind in (BaseStock, EchelonBaseStock, Newsvendor, ReorderPointOrderUpTo):
        assert kind.fit(instance, demand).decide(seen([0.0, 0.0]), 0).order.item() == 0.0
