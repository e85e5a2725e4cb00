"""Myopic orders against the exact rule, hand computations and what they come down to."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from optrl.demand.discrete import Discrete
from optrl.demand.fit import fit
from optrl.exact.lost_sales_policies import MyopicOrders, myopic, reached
from optrl.policies.base_stock import BaseStock
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import mean_rate, quantile_levels
from optrl.policies.myopic import Myopic, _order_statistic
from optrl.policies.sourcing import Sourcing
from optrl.simulation.dynamics import Dynamics
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testbeds.simulated import simulated_cost
from optrl.testing import random_instance


@dataclass(frozen=True)
class Seen:
    on_hand: torch.Tensor
    due: torch.Tensor

    @property
    def in_transit(self):
        return self.due.sum(-1)

    @property
    def backlog(self):
        return torch.zeros_like(self.on_hand)


def states_of(states, lead_time):
    """Rows (stock, due next period, ...) as states of a supplier and a store."""
    values = torch.zeros(len(states), 1, 2, lead_time + 1, dtype=torch.float64)
    values[:, 0, 1, :lead_time] = torch.as_tensor(states, dtype=torch.float64)
    return Seen(values[..., 0], values[..., 1:])


@pytest.mark.parametrize(("family", "lead_time"), [("poisson", 2), ("geometric", 2)])
def test_orders_are_those_of_the_exact_rule_up_to_sampling(family, lead_time):
    """Over all states reached the order of 256 paths is off by less than a unit, on average 0."""
    bed = LostSalesFamily.case(family, 9.0, lead_time)
    rule = MyopicOrders(bed.problem)
    base = rule.largest_position + 1
    codes = reached(bed.problem, rule, rule.largest_position).codes
    states = codes[:, None] // base ** np.arange(lead_time)[::-1] % base
    policy = Myopic.fit(bed.instance, bed.demand, seed=3)
    seen = states_of(states, lead_time)
    drawn = torch.stack([policy.decide(seen, t).order[:, 0, 0] for t in range(8)])
    off = drawn.numpy() - rule(states)
    assert np.abs(off.mean(axis=0)).mean() < 1
    assert abs(off.mean()) < 0.4
    assert (drawn == drawn.round()).all()


def test_its_simulated_cost_is_the_exact_one():
    """Within 2 half-widths and the 1 % that 256 paths cost; the bed is Zipkin's, p = 9, L = 2."""
    bed = LostSalesFamily.case("poisson", 9.0, 2)
    exact = myopic(bed.problem).cost.cost
    found = simulated_cost(bed, Myopic.fit(bed.instance, bed.demand, seed=1), scenarios=48, seed=2)
    assert abs(found.mean - exact) < 2 * found.half_width + 0.01 * exact
    assert found.half_width < 0.02 * exact


def test_sure_demand_by_hand(build_instance):
    """Demand 5, lead 2: with 3 in stock and 4 due 0 are left on arrival and 5 are ordered.

    With 9 in stock and 4 due 3 are left on arrival: 2 are ordered. The sum of stock and what is
    due does not tell: 0 and 7 leave 2, so that 3 are ordered, where 3 and 4 need 5.
    """
    instance = build_instance(
        {"s": "supplier", "w": "stocking"}, {("s", "w"): 2}, ["w"],
        holding={"w": 1.0}, lot_size=np.ones((1, 1)),
    )  # fmt: skip
    demand = Discrete(np.array([1]), np.eye(6)[None, 5:6])
    policy = Myopic.fit(instance, demand)
    seen = states_of([[3, 4], [9, 4], [0, 7], [30, 0]], 2)
    assert policy.decide(seen, 0).order[:, 0, 0].tolist() == [5.0, 2.0, 3.0, 0.0]


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
def test_it_is_base_stock_with_backorders_and_without_lead_time(unmet):
    """Where the position tells everything, orders are those of base stock at the same ratio."""
    for seed in range(4):
        instance = random_instance(
            np.random.default_rng(seed), items=3, unmet=unmet, resources=False, horizon=8
        )
        model, sourcing = fit(instance), Sourcing.of(instance)
        ratio = UnitCosts.of(sourcing, mean_rate(model, instance.start, 8)).newsvendor_ratio(
            sourcing.review
        )
        plain = BaseStock(sourcing, quantile_levels(sourcing, model, "protection", ratio))
        state = Dynamics(instance, dtype=torch.float64).initial_state(2)
        ours = Myopic.fit(instance, model, seed=1).decide(state, instance.start).order
        theirs = plain.decide(state, instance.start).order
        same = torch.isclose(ours, theirs)
        if unmet == "backorder":
            assert same.all()
        else:
            lanes = instance.network.replenishment_lanes
            at = np.searchsorted(sourcing.stocking, instance.network.destination[lanes])
            waits = sourcing.owns.any(axis=1)[:, at] & (sourcing.lead_time[:, at] > 0)
            below = np.isin(at, sourcing.parent[sourcing.parent >= 0])
            assert same[:, torch.from_numpy(~waits & ~below)].all()


def test_a_hub_counts_with_its_own_demand_and_with_what_is_asked_of_it(build_instance):
    """A hub with demand 5 feeds a shop with demand 3, both sure; lead times 2 and 1.

    With 18 in stock and 2 due, 18 - 8 + 2 - 8 = 4 are left when the order arrives and 8 are
    needed: 4 are ordered if the shop asks for its 3 now, and 1 if it asks for nothing.
    """
    instance = build_instance(
        {"s": "supplier", "hub": "stocking", "shop": "stocking"},
        {("s", "hub"): 2, ("hub", "shop"): 1},
        ["hub", "shop"],
        holding={"hub": 1.0, "shop": 1.0},
        lot_size=np.ones((1, 2)),
    )
    sure = np.zeros((1, 2, 6))
    sure[0, 0, 5] = sure[0, 1, 3] = 1.0
    policy = Myopic.fit(instance, Discrete(np.array([1, 2]), sure))
    for shop, asks, orders in ((3.0, 3.0, 4.0), (6.0, 0.0, 1.0)):
        values = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
        values[0, 0, 1, :2] = torch.tensor([18.0, 2.0])
        values[0, 0, 2, 0] = shop
        order = policy.decide(Seen(values[..., 0], values[..., 1:]), 0).order
        assert order[0, 0].tolist() == [orders, asks]


def test_order_statistics_are_the_same_with_and_without_gradients():
    """Both ways of sorting pick the value of the rank asked for; the gradient marks its path."""
    values = torch.tensor(np.random.default_rng(0).normal(size=(9, 2, 3, 4)))
    rank = torch.tensor([0, 5, 8, 3, 1, 2, 7, 4]).view(2, 1, 4)
    plain = _order_statistic(values, rank)
    tracked = values.clone().requires_grad_()
    again = _order_statistic(tracked, rank)
    assert torch.equal(plain, again)
    again.sum().backward()
    assert torch.equal((tracked.grad * values).sum(0), plain)
    np.testing.assert_array_equal(plain[1, :, 1], np.sort(values[:, 1, :, 1], axis=0)[2])
