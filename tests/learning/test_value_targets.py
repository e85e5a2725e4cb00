"""Targets of value functions: rollouts at the edge of what can be, programs' values and duals."""

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.learning.base import TrainingError
from optrl.learning.program_targets import ProgramTargets
from optrl.learning.rollout_targets import Afterwards, RolloutTargets
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.values.input_convex import InputConvex
from optrl.values.separable import Separable
from optrl.values.state_columns import KINDS, StateColumns

ON_HAND, DUE, _, BACKLOG = range(len(KINDS))
WAREHOUSE, STORES = 1, (2, 3)


def instance(unmet="lost"):
    """A warehouse (lead time 2) and two stores (lead time 1)."""
    return build(
        "tree",
        {"supplier": "supplier", "warehouse": "stocking", "a": "stocking", "b": "stocking"},
        {("supplier", "warehouse"): 2, ("warehouse", "a"): 1, ("warehouse", "b"): 1},
        ("a", "b"),
        unmet=unmet,
        horizon=40,
        holding_cost={"warehouse": 0.3, "a": 1.0, "b": 1.0},
        shortage_cost={"a": 9.0, "b": 9.0},
        on_hand={"warehouse": 12.0, "a": 8.0, "b": 8.0},
    )


DEMAND = Poisson(np.array(STORES), steady(np.array([[3.0, 5.0]])))


def states(count=3, backlog=0.0):
    """States off all kinks, with nothing left at the warehouse."""
    generator = np.random.default_rng(4)
    stock = torch.zeros(4, count, 1)
    stock[list(STORES)] = torch.from_numpy(generator.uniform(1.1, 6.4, (2, count, 1))).float()
    due = torch.zeros(2, 4, count, 1)
    due[0, 1:] = torch.from_numpy(generator.uniform(2.1, 8.4, (3, count, 1))).float()
    due[1, WAREHOUSE] = torch.from_numpy(generator.uniform(2.1, 8.4, (count, 1))).float()
    waiting = torch.zeros(4, count, 1)
    waiting[list(STORES)] = backlog
    return Afterwards(stock, due, waiting)


def moved(at, columns, column, step):
    """The states with one column moved."""
    parts = [part.clone() for part in (at.stock, at.due, at.backlog)]
    node, slot = int(columns.node[column]), int(columns.slot[column])
    kind = int(columns.kind[column])
    {ON_HAND: parts[0][node], DUE: parts[1][slot, node], BACKLOG: parts[2][node]}[kind].add_(step)
    return Afterwards(*parts)


def test_stock_where_there_is_none_is_worth_what_a_bit_more_is():
    """The rollout's gradient at an empty warehouse is the difference to a bit of stock there."""
    one = instance()
    columns = StateColumns.of(one)
    # Stores ask for more than there is, so that whatever is at the warehouse is shipped at once.
    levels = np.array([[30.3, 16.7, 22.9]])
    targets = RolloutTargets(
        one, DEMAND, BaseStock.at_level(one, levels), columns, periods=8, replicates=64
    )
    at = states()
    place = int(np.flatnonzero((columns.kind == ON_HAND) & (columns.node == WAREHOUSE))[0])
    _, gradient = targets(at, 0, np.random.default_rng(9))
    step = 0.05
    low, high = (
        targets(moved(at, columns, place, shift), 0, np.random.default_rng(9))[0]
        for shift in (0.01, 0.01 + step)
    )
    assert torch.allclose((high - low) / step, gradient[:, place], atol=0.1)
    assert float(gradient[:, place].abs().min()) > 0.3


def bowl(columns):
    """A separable convex function of the columns, with kinks off the states."""
    width = np.tile(np.array([2.7, 3.1, 4.3, np.inf]), (columns.size, 1))
    slope = np.array([-6.0, -2.0, 0.4, 1.1]) * np.linspace(0.5, 1.0, columns.size)[:, None]
    return Separable(width, slope, np.full(columns.size, -2.0), 5.0)


@pytest.mark.parametrize(("unmet", "periods"), [("lost", 1), ("lost", 3), ("backorder", 1)])
def test_duals_of_programs_are_finite_differences_of_their_values(unmet, periods):
    """Moving stock, pipeline or backlog moves the programs' mean value as the duals say."""
    one = instance(unmet)
    columns = StateColumns.of(one)
    targets = ProgramTargets(one, DEMAND, bowl(columns), columns, periods=periods, replicates=6)
    at = states(backlog=0.7 if unmet == "backorder" else 0.0)
    at.stock[WAREHOUSE] = 4.21
    _, gradient = targets(at, 0, np.random.default_rng(9))
    step = 1e-3
    for k in range(columns.size):
        low, high = (
            targets(moved(at, columns, k, shift), 0, np.random.default_rng(9))[0].double()
            for shift in (-step, step)
        )
        # At a kink of one of the programs the dual lies between the slopes on both sides.
        assert torch.allclose((high - low) / (2 * step), gradient[:, k].double(), atol=0.25), k


def test_a_program_of_one_period_is_the_best_order_after_each_demand():
    """Against a search over orders, one place, demand enumerated by hand."""
    one = build(
        "one",
        {"supplier": "supplier", "place": "stocking"},
        {("supplier", "place"): 1},
        ("place",),
        unmet="lost",
        horizon=10,
        holding_cost={"place": 1.0},
        shortage_cost={"place": 9.0},
        on_hand={"place": 5.0},
        lane_cost={("supplier", "place"): 0.25},
    )
    columns = StateColumns.of(one)
    demand = Poisson(np.array([1]), steady(np.array([[4.0]])))
    value = bowl(columns)
    targets = ProgramTargets(one, demand, value, columns, periods=1, replicates=5)
    stock, due = 3.2, 2.3
    at = Afterwards(
        torch.tensor([0.0, stock]).view(2, 1, 1),
        torch.tensor([0.0, due]).view(1, 2, 1, 1),
        torch.zeros(2, 1, 1),
    )
    found, _ = targets(at, 0, np.random.default_rng(2))
    drawn = demand.sample(5, 0, 1, np.random.default_rng(2)).ravel()
    orders = np.linspace(0, 20, 20_001)
    expected = []
    for d in drawn:
        left = max(stock - d, 0.0)
        paid = left + 9.0 * max(d - stock, 0.0)
        after = np.stack([np.full_like(orders, left + due), orders], axis=1)
        expected.append(paid + (0.25 * orders + value(after)).min())
    assert float(found) == pytest.approx(np.mean(expected), abs=2e-3)


def test_any_convex_network_may_stand_at_the_end_of_the_programs():
    """A linear function gives the same as a separable one and as an input-convex network."""
    one = instance()
    columns = StateColumns.of(one)
    flat = np.linspace(0.2, 1.5, columns.size)
    linear = Separable(
        np.full((columns.size, 1), np.inf), flat[:, None], np.zeros(columns.size), 0.0
    )
    network = InputConvex.of_arrays(
        {
            "argument_weight.0": np.eye(columns.size),
            "bias.0": np.zeros(columns.size),
            "output_hidden": np.zeros(columns.size),
            "output_argument": flat,
            "output_bias": np.zeros(1),
        }
    )
    found = [
        ProgramTargets(one, DEMAND, value, columns, periods=2, replicates=4)(
            states(), 0, np.random.default_rng(1)
        )[0]
        for value in (linear, network)
    ]
    assert torch.allclose(found[0], found[1], atol=1e-4)


def test_rollouts_of_programs_are_refused():
    """Their decisions have no derivative: gradients would hold later orders fixed."""
    one = instance()
    targets = RolloutTargets(
        one,
        DEMAND,
        CostToGo.fit(one, DEMAND),
        StateColumns.of(one),
        periods=2,
        replicates=1,
    )
    with pytest.raises(TrainingError, match="no derivative"):
        targets(states(1), 0, np.random.default_rng(1))
