"""Shares of scarce stock against brute force, and the laws that every rule of sharing keeps."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from optrl.demand.fit import fit
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.min_shortage_rationing import MinShortageRationing
from optrl.policies.proportional_rationing import ProportionalRationing
from optrl.policies.rationing import Scarcity, hand_out
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance

RETAILERS = ("a", "b", "c")
MEAN = np.array([[3.0, 1.0, 5.0]])
LEAD = (1, 2, 1)


@dataclass(frozen=True)
class Seen:
    on_hand: torch.Tensor
    in_transit: torch.Tensor
    backlog: torch.Tensor
    due: torch.Tensor


def seen(stock, backlog=None):
    """States (S, 1, V) of supplier, warehouse and retailers with an empty pipeline."""
    on_hand = torch.as_tensor(stock, dtype=torch.float64)[:, None]
    empty = torch.zeros_like(on_hand)
    waiting = empty if backlog is None else torch.as_tensor(backlog, dtype=torch.float64)[:, None]
    return Seen(on_hand, empty, waiting, empty[..., None])


@pytest.fixture(scope="module")
def divergent(build_instance):
    """A warehouse with three retailers."""

    def build(lot=1.0, unmet="backorder", **more):
        lanes = {("s", "w"): 2, **{("w", r): lead for r, lead in zip(RETAILERS, LEAD, strict=True)}}
        nodes = {"s": "supplier", "w": "stocking", **dict.fromkeys(RETAILERS, "stocking")}
        return build_instance(
            nodes,
            lanes,
            RETAILERS,
            unmet=unmet,
            holding={"w": 0.5, **dict.fromkeys(RETAILERS, 1.0)},
            lot_size=np.broadcast_to(lot, (1, 4)),
            **more,
        )

    return build


DEMAND = Poisson(np.array([2, 3, 4]), steady(MEAN))
LEVEL = np.array([60.0, 10.0, 6.0, 15.0])
WINDOW = (MEAN[0] * (np.array(LEAD) + 1)).tolist()


def expected_short(position):
    """E (D - y)^+ of Poisson demand of lead time and a period, summed over retailers."""
    total = 0.0
    for mean, y in zip(WINDOW, position, strict=True):
        if y < 0:
            total += mean - y
        else:
            k = np.arange(200)
            total += float(np.maximum(k - y, 0) @ stats.poisson.pmf(k, mean))
    return total


def random_states(count, seed, lot=1):
    """Scarce warehouses, retailers with little stock and some backlog."""
    generator = np.random.default_rng(seed)
    stock, backlog = np.zeros((2, count, 5))
    stock[:, 1] = generator.integers(0, 12, count)
    stock[:, 2:] = generator.integers(0, 8, (count, 3))
    backlog[:, 2:] = generator.integers(0, 4, (count, 3)) * (stock[:, 2:] == 0)
    return stock, backlog


def shares(policy, stock, backlog):
    return policy.decide(seen(stock, backlog), 0).order[:, 0, 1:].numpy()


@pytest.mark.parametrize("lot", [1.0, 3.0])
def test_min_shortage_is_the_smallest_of_all_allocations(divergent, lot):
    """In every state no other allocation in lots leaves fewer units expected short."""
    stock, backlog = random_states(60, 1)
    policy = MinShortageRationing.at_level(divergent(lot), LEVEL, DEMAND)
    granted = shares(policy, stock, backlog)
    scarce = 0
    for s in range(len(stock)):
        position = stock[s, 2:] - backlog[s, 2:]
        asked = np.ceil(np.maximum(LEVEL[1:] - position, 0) / lot) * lot
        have = stock[s, 1]
        choices = [np.arange(0, a + lot, lot) for a in asked]
        every = np.array(list(itertools.product(*choices)))
        every = every[every.sum(axis=1) <= have]
        best = min(expected_short(position + x) for x in every)
        assert expected_short(position + granted[s]) == pytest.approx(best, abs=2e-6)
        scarce += asked.sum() > have
    assert scarce > 40


@pytest.mark.parametrize("kind", [ProportionalRationing, MinShortageRationing])
@pytest.mark.parametrize("lot", [0.0, 1.0, 2.0])
def test_shares_use_up_the_stock_in_lots_and_never_exceed_what_is_asked(divergent, kind, lot):
    """The sum is the smaller of stock, in whole lots, and what is asked; each is a multiple."""
    stock, backlog = random_states(200, 2)
    more = (DEMAND,) if kind is MinShortageRationing else ()
    policy = kind.at_level(divergent(lot), LEVEL, *more)
    state = seen(stock, backlog)
    asked = policy.orders(state, 0)[1:, :, 0].T.numpy()
    granted = policy.decide(state, 0).order[:, 0, 1:].numpy()
    whole = np.floor(stock[:, 1] / lot) * lot if lot else stock[:, 1]
    np.testing.assert_allclose(granted.sum(axis=1), np.minimum(asked.sum(axis=1), whole))
    assert (granted >= 0).all()
    assert (granted <= asked + 1e-9).all()
    if lot:
        np.testing.assert_array_equal(granted % lot, 0)
    assert (asked.sum(axis=1) > whole).mean() > 0.5


def test_min_shortage_is_never_expected_to_be_shorter_than_proportional(divergent):
    """State by state, and strictly less somewhere."""
    stock, backlog = random_states(100, 3)
    smallest = shares(MinShortageRationing.at_level(divergent(), LEVEL, DEMAND), stock, backlog)
    shared = shares(ProportionalRationing.at_level(divergent(), LEVEL), stock, backlog)
    position = stock[:, 2:] - backlog[:, 2:]
    saved = [
        expected_short(y + b) - expected_short(y + a)
        for y, a, b in zip(position, smallest, shared, strict=True)
    ]
    assert min(saved) > -1e-6
    assert max(saved) > 0.1


def test_proportional_shares_by_hand(divergent):
    """11 for requests of 10, 6, 15: 3.55, 2.13, 5.32; the spare unit goes to the first."""
    stock, backlog = np.array([[0.0, 11.0, 0.0, 0.0, 0.0]]), np.zeros((1, 5))
    policy = ProportionalRationing.at_level(divergent(), LEVEL)
    assert shares(policy, stock, backlog)[0].tolist() == [4.0, 2.0, 5.0]
    continuous = ProportionalRationing.at_level(divergent(0.0), LEVEL)
    exact = np.array([10.0, 6.0, 15.0]) * 11 / 31
    np.testing.assert_allclose(shares(continuous, stock, backlog)[0], exact, rtol=1e-12)


def test_units_short_for_certain_go_to_the_largest_backlog_by_mean_demand(divergent):
    """Backlogs of 9, 3 and 5 where 6, 3 and 10 are expected: 1.5, 1 and 0.5 of it.

    The first gets both units: after one of them its backlog is still 8 / 6 > 1.
    """
    backlog = np.array([[0.0, 0.0, 9.0, 3.0, 5.0]])
    stock = np.array([[0.0, 2.0, 0.0, 0.0, 0.0]])
    policy = MinShortageRationing.at_level(divergent(), LEVEL, DEMAND)
    assert shares(policy, stock, backlog)[0].tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", [ProportionalRationing, MinShortageRationing])
def test_plenty_leaves_echelon_base_stock_as_it_is(divergent, kind):
    """With enough stock every order is that of echelon base stock."""
    stock, backlog = random_states(20, 4)
    stock[:, 1] = 100.0
    more = (DEMAND,) if kind is MinShortageRationing else ()
    order = kind.at_level(divergent(), LEVEL, *more).decide(seen(stock, backlog), 0).order
    plain = EchelonBaseStock.at_level(divergent(), LEVEL).decide(seen(stock, backlog), 0).order
    assert torch.equal(order, plain)


@pytest.mark.parametrize("kind", [ProportionalRationing, MinShortageRationing])
def test_closed_and_full_lanes_get_no_share(divergent, kind):
    """Nothing goes to the closed lane, at most 2 to the one that takes 2; all 9 are sent."""
    instance = divergent(
        closed=frozenset({(1, 0)}), maximum_quantity=np.array([[np.inf, np.inf, 2.0, np.inf]])
    )
    more = (DEMAND,) if kind is MinShortageRationing else ()
    policy = kind.at_level(instance, LEVEL, *more)
    granted = shares(policy, np.array([[0.0, 9.0, 0.0, 0.0, 0.0]]), np.zeros((1, 5)))[0]
    assert granted[0] == 0
    assert granted[1] <= 2
    assert granted.sum() == 9


@pytest.mark.parametrize("kind", [ProportionalRationing, MinShortageRationing])
@pytest.mark.parametrize("unmet", ["lost", "backorder"])
def test_the_dynamics_have_no_stock_to_cut_on_random_networks(kind, unmet):
    """Several echelons, lots, calendars: nothing asked of a stocking node exceeds its stock."""
    scarce = 0
    for seed in range(6):
        instance = random_instance(
            np.random.default_rng(seed), items=4, unmet=unmet, resources=False, stocking=4,
            integers=seed % 2 == 0, horizon=10,
        )  # fmt: skip
        model = fit(instance)
        policy = kind.fit(instance, model)
        demand = model.sample(8, instance.start, 10, np.random.default_rng(seed))
        run = simulate(instance, policy, demand, seed=0, dtype=torch.float64)
        plain = EchelonBaseStock.fit(instance, model)
        loose = simulate(instance, plain, demand, seed=0, dtype=torch.float64)
        assert float(run.cut["stock"].sum()) < 1e-3
        scarce += float(loose.cut["stock"].sum()) > 1
    assert scarce


def test_items_with_different_suppliers_are_shared_apart(build_instance):
    """Item 0 comes from the first hub, item 1 from the second: each hub's stock goes to its own."""
    nodes = {"s": "supplier", "h": "stocking", "g": "stocking", "a": "stocking", "b": "stocking"}
    lanes = {
        ("s", "h"): 1, ("s", "g"): 1,
        ("h", "a"): 1, ("h", "b"): 1, ("g", "a"): 1, ("g", "b"): 1,
    }  # fmt: skip
    cost = np.zeros((2, 6))
    cost[0, 4:], cost[1, 2:4] = 5.0, 5.0
    instance = build_instance(
        nodes, lanes, ["a", "b"], items=2, lane_cost=cost, lot_size=np.ones((2, 6))
    )
    demand = Poisson(np.array([3, 4]), steady(np.full((2, 2), 4.0)))
    on_hand = torch.zeros(1, 2, 5, dtype=torch.float64)
    on_hand[..., 1], on_hand[..., 2] = 6.0, 2.0
    empty = torch.zeros_like(on_hand)
    state = Seen(on_hand, empty, empty, empty[..., None])
    for policy in (
        ProportionalRationing.at_level(instance, 20.0),
        MinShortageRationing.at_level(instance, 20.0, demand),
    ):
        order = policy.decide(state, 0).order[0]
        assert order[0, 2:].tolist() == [3.0, 3.0, 0.0, 0.0]
        assert order[1, 2:].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_what_arrives_at_once_is_shared_on(build_instance):
    """A hub without stock of its own passes on what its supplier grants it in the same period."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking", "hub": "stocking", "a": "stocking", "b": "stocking"},
        {("s", "w"): 1, ("w", "hub"): 0, ("hub", "a"): 1, ("hub", "b"): 1},
        ["a", "b"],
        lot_size=np.ones((1, 4)),
    )
    demand = Poisson(np.array([3, 4]), steady(np.full((1, 2), 4.0)))
    state = seen(np.array([[0.0, 7.0, 1.0, 0.0, 0.0]]))
    for policy in (
        ProportionalRationing.at_level(instance, 20.0),
        MinShortageRationing.at_level(instance, 20.0, demand),
    ):
        assert policy.decide(state, 0).order[0, 0].tolist() == [12.0, 7.0, 4.0, 4.0]


def test_handing_out_stops_where_nothing_is_left():
    """5 to rooms of 2, 4 and 3: in order 2, 3, 0; from the last on 0, 2, 3."""
    room, lot = torch.tensor([[2.0], [4.0], [3.0]]), torch.ones(3, 1)
    assert hand_out(torch.tensor([5.0]), room, lot)[:, 0].tolist() == [2.0, 3.0, 0.0]
    back = torch.tensor([[2], [1], [0]])
    assert hand_out(torch.tensor([5.0]), room, lot, back)[:, 0].tolist() == [0.0, 2.0, 3.0]


def test_steady_demand_is_tabulated_once(divergent):
    """Tables of later periods are those of the first; a part of the items has its own."""
    policy = MinShortageRationing.at_level(divergent(), LEVEL, DEMAND)
    assert policy._marginal.at(0) is policy._marginal.at(7)
    case = Scarcity(
        torch.tensor([[4.0], [4.0]]).double(), torch.tensor([3.0]).double(),
        torch.ones(2, 1).double(), torch.tensor([[0.0], [9.0]]).double(),
        np.array([1, 3]), torch.tensor([0]), 0,
    )  # fmt: skip
    # Windows of means 6 and 10: one unit at 0 saves P(D > 0) = 0.998, at 9 still 0.542; the
    # second and third at 0 save 0.983 and 0.938.
    assert policy.share(case)[:, 0].tolist() == [3.0, 0.0]


@pytest.mark.parametrize("kind", [ProportionalRationing, MinShortageRationing])
def test_a_part_of_the_items_decides_as_the_whole(kind):
    """Rationing item by item, in blocks or together, is the same."""
    instance = random_instance(
        np.random.default_rng(3), items=5, unmet="backorder", resources=False, stocking=4,
        integers=True, horizon=8,
    )  # fmt: skip
    policy = kind.fit(instance, fit(instance))
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    whole = policy.decide(state, instance.start).order
    for k in range(5):
        part = Seen(*(x[:, k : k + 1] for x in
                      (state.on_hand, state.in_transit, state.backlog, state.due)))  # fmt: skip
        mine = policy.for_items(slice(k, k + 1)).decide(part, instance.start).order
        assert torch.equal(mine[:, 0], whole[:, k])
