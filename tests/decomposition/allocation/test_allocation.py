"""Scarce capacity shared out by prices, held against one program over everything."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrl.decomposition.allocation.curves import Curves
from optrl.decomposition.allocation.errors import AllocationError
from optrl.decomposition.allocation.ladder import Ladder
from optrl.decomposition.allocation.nearby import settle
from optrl.decomposition.allocation.prices import find_prices, solve_relaxed
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.recovery import (
    allocate,
    allocate_whole,
    displaced,
    recover,
)
from optrl.decomposition.allocation.terms import UNGROUPED, Terms
from optrl.decomposition.allocation.whole import respond_whole

SEEDS = st.integers(0, 10_000)
LASTING = {each.name for each in fields(Terms)}


def allocation_of(**parts):
    """An allocation from its parts and those of its terms."""
    terms = Terms(**{name: part for name, part in parts.items() if name in LASTING})
    return Allocation(terms, **{n: part for n, part in parts.items() if n not in LASTING})


def changed(allocation, **parts):
    """The allocation with other parts."""
    terms = {name: part for name, part in parts.items() if name in LASTING}
    others = {name: part for name, part in parts.items() if name not in LASTING}
    return replace(allocation, terms=replace(allocation.terms, **terms), **others)


def drawn(seed, *, columns=30, resources=2, integers=False, alike=False):
    """A random allocation, with zero widths, flat pieces, ungrouped columns and bounds."""
    g = np.random.default_rng(seed)
    groups = 6
    slope = np.sort(g.uniform(0, 10, (columns, 5)), axis=1)[:, ::-1]
    width = g.uniform(0, 3, (columns, 5)) * (g.random((columns, 5)) < 0.9)
    group = g.integers(-1, groups, columns)
    use = g.uniform(0.2, 2, (columns, resources)) * (g.random((columns, resources)) < 0.7)
    if alike:
        use = use[np.where(group == UNGROUPED, np.arange(columns), group)]
    return allocation_of(
        curves=Curves(width, slope),
        position=g.uniform(-2, 8, columns),
        cost=g.uniform(0, 3, columns),
        use=use,
        capacity=g.uniform(0.05, 0.8, resources) * use.sum(axis=0) * 4,
        largest=np.where(g.random(columns) < 0.2, g.uniform(0, 6, columns), np.inf),
        group=group,
        stock=g.uniform(0, 25, groups),
        lot=np.where(g.random(columns) < 0.5, g.integers(1, 4, columns), 0.0) * integers,
        smallest=np.where(g.random(columns) < 0.3, 2.0, 0.0) * integers,
        fixed_cost=np.where(g.random(columns) < 0.3, 3.0, 0.0) * integers,
        setup=g.uniform(0, 1, (columns, resources))
        * (g.random((columns, resources)) < 0.3)
        * integers,
    )


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 3), st.booleans())
def test_prices_and_recovery_equal_one_program_within_the_gap(seed, resources, alike):
    """The bound is above the optimum, the result below it, and both differ by the gap at most."""
    allocation = drawn(seed, resources=resources, alike=alike)
    best = allocate_whole(allocation)
    # So few may stay open that the program over them is not the whole one.
    found = recover(allocation, find_prices(allocation, enough=2))
    assert allocation.is_feasible(found.quantity)
    assert allocation.is_feasible(best.quantity)
    scale = 1e-6 * (1 + abs(best.repair.gain))
    assert found.repair.bound >= best.repair.gain - scale
    assert found.repair.gain <= best.repair.gain + scale
    assert best.repair.gain - found.repair.gain <= found.repair.gap * found.repair.bound + scale
    assert found.repair.gap < 1e-3


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 3))
def test_whole_quantities_keep_all_limits(seed, resources):
    """With lots, smallest quantities, fixed costs and set-ups nothing exceeds any limit."""
    allocation = drawn(seed, resources=resources, integers=True)
    found = allocate(allocation)
    assert allocation.is_feasible(found.quantity)
    assert found.repair.gain <= found.repair.bound
    # Ordering nothing is allowed and gains nothing.
    assert found.repair.gain >= 0
    near = settle(allocation, found.repair.prices)
    assert allocation.is_feasible(near.quantity)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 3), st.floats(0, 3))
def test_what_is_settled_near_any_prices_is_feasible(seed, resources, factor):
    """Even where prices are far off; at the right ones little is lost."""
    allocation = drawn(seed, resources=resources)
    exact = allocate(allocation)
    near = settle(allocation, factor * exact.repair.prices)
    assert allocation.is_feasible(near.quantity)
    assert allocation.gain(near.quantity) <= exact.repair.bound * (1 + 1e-9) + 1e-9
    assert near.passes <= 10


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_answers_are_best_at_their_prices(seed):
    """No program over all columns gains more at the same prices with capacity for free."""
    allocation = drawn(seed)
    prices = np.random.default_rng(seed + 1).uniform(0, 3, 2)
    paid = changed(
        allocation,
        cost=allocation.cost + allocation.use @ prices,
        capacity=np.full(2, 1e6),
    )
    answer = allocation.respond(prices)
    assert allocation.drawn(answer) == pytest.approx(
        np.minimum(allocation.drawn(answer), allocation.stock)
    )
    assert paid.gain(answer) == pytest.approx(allocate_whole(paid).repair.gain, rel=1e-7, abs=1e-7)


def test_columns_of_a_stock_that_use_the_same_are_shared_once_and_for_all():
    """The shares of a short stock are those of a program, at every price."""
    allocation = changed(drawn(5, alike=True), stock=np.full(6, 1.5))
    for price in (0.0, 1.0, 0.3, 2.5):
        prices = np.full(2, price)
        paid = changed(
            allocation,
            cost=allocation.cost + allocation.use @ prices,
            capacity=np.full(2, 1e6),
        )
        gained = paid.gain(allocation.respond(prices))
        assert gained == pytest.approx(allocate_whole(paid).repair.gain, rel=1e-8)


def test_a_ladder_shares_what_columns_on_one_rung_would_take():
    """Two columns that gain alike share what is left in proportion; others come first or last."""
    curves = Curves(np.array([[4.0], [2.0], [6.0], [5.0]]), np.array([[9.0], [7.0], [7.0], [1.0]]))
    group = np.array([1, 1, 1, UNGROUPED])
    ladder = Ladder(curves, np.zeros(4), group, 2)
    everything = np.full(4, np.inf)
    for stock, expected in ((3.0, [3, 0, 0]), (8.0, [4, 1, 3]), (11.0, [4, 1.75, 5.25])):
        columns, shares = ladder.share(
            np.array([1]), np.array([0.0, stock]), np.zeros(4), everything
        )
        assert columns.tolist() == [0, 1, 2]
        assert shares == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_prices_with_integers_are_those_of_the_relaxed_program(seed):
    """Few columns, one resource, lots: the bound is the relaxed optimum, not a bracket's end."""
    # Where columns of a stock use the same, those that answer alike on both sides stay settled.
    allocation = drawn(seed, resources=1, integers=True, alike=True)
    repair = allocate(allocation).repair
    relaxed, duals = solve_relaxed(allocation)
    best = changed(allocation, fixed_cost=np.zeros(30)).gain(relaxed.quantity)
    assert repair.bound == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert allocation.lagrangian(repair.prices)[1] == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert (repair.prices > 0).any() == (duals > 0).any()


def two_columns(**others):
    """Two columns worth 5 then 1, and 4 then 2, each over 3 units; one resource of 4."""
    plain = {
        "curves": Curves(np.full((2, 2), 3.0), np.array([[5.0, 1.0], [4.0, 2.0]])),
        "position": np.zeros(2),
        "cost": np.zeros(2),
        "use": np.ones((2, 1)),
        "capacity": np.array([4.0]),
        "largest": np.full(2, np.inf),
        "group": np.full(2, UNGROUPED),
        "stock": np.zeros(0),
        "lot": np.zeros(2),
        "smallest": np.zeros(2),
        "fixed_cost": np.zeros(2),
        "setup": np.zeros((2, 1)),
    }
    return allocation_of(**(plain | others))


def test_the_price_is_the_marginal_value_of_the_capacity():
    """Capacity 4 takes all that is worth 5 and one unit of what is worth 4: price 4."""
    found = allocate(two_columns())
    assert found.quantity == pytest.approx([3, 1])
    assert found.repair.gain == pytest.approx(19)
    assert found.repair.bound == pytest.approx(19)
    assert allocate_whole(two_columns()).repair.prices == pytest.approx([4])
    assert displaced(two_columns(), found.quantity) == pytest.approx([3, 5])


def test_one_program_in_lots_has_the_prices_of_its_relaxation():
    """A full capacity is worth what the relaxed problem pays for it, and not nothing."""
    found = allocate_whole(two_columns(lot=np.ones(2)))
    assert found.quantity == pytest.approx([3, 1])
    assert found.repair.prices == pytest.approx([4])
    assert found.repair.gain <= found.repair.bound <= 19 + 1e-6


def test_repair_tells_what_was_moved_and_what_it_cost():
    """At price 4 nothing or all of the second column is asked; recovery moves it to one unit."""
    allocation = two_columns()
    search = find_prices(allocation)
    repair = recover(allocation, search).repair
    asked = search.low[0]
    assert repair.excess == pytest.approx(np.maximum(asked.sum() - 4, 0))
    assert repair.moved == pytest.approx(np.abs(asked - [3, 1]).sum())
    assert repair.moved > 0
    assert repair.cost == pytest.approx(allocation.gain(asked) - 19)


def test_lots_fill_the_capacity_with_what_gains_most():
    """Lots of 2 and 3 into 4: one lot of each does not fit, two of the first gain more."""
    found = allocate(two_columns(lot=np.array([2.0, 3.0])))
    assert found.quantity == pytest.approx([4, 0])
    assert found.repair.gain == pytest.approx(16)


def test_a_fixed_cost_is_paid_only_where_it_pays():
    """Three units worth 5 do not pay a fixed cost of 30, and do pay 10."""
    one = {"largest": np.array([3.0, 0.0])}
    assert respond_whole(two_columns(fixed_cost=np.full(2, 30.0), **one), np.zeros(1)).sum() == 0
    assert respond_whole(two_columns(fixed_cost=np.full(2, 10.0), **one), np.zeros(1))[0] == 3


def test_abundant_capacity_has_no_price():
    """One pass tells that prices are zero."""
    search = find_prices(two_columns(capacity=np.array([12.0])))
    assert search.prices == pytest.approx([0])
    assert search.passes == 1
    assert not search.open.any()


def test_no_capacity_at_all_orders_nothing():
    """Zero capacity is a limit like any other."""
    none = two_columns(capacity=np.zeros(1))
    assert allocate(none).quantity == pytest.approx([0, 0])
    assert settle(none, np.ones(1)).quantity == pytest.approx([0, 0])


def test_a_start_changes_the_way_and_not_the_result():
    """Warm prices, right or wrong, lead to the same bound; right ones faster."""
    allocation = drawn(3, columns=400, resources=1)
    free = allocation.load(allocation.respond(np.zeros(1)))
    allocation = changed(allocation, capacity=free / 3)
    cold = find_prices(allocation, enough=4)
    warm = find_prices(allocation, cold.prices, enough=4)
    wrong = find_prices(allocation, 7 * cold.prices, enough=4)
    assert cold.prices[0] > 0
    assert warm.bound == pytest.approx(cold.bound, rel=1e-4)
    assert wrong.bound == pytest.approx(cold.bound, rel=1e-4)
    assert warm.passes <= cold.passes


def test_curves_evaluate_and_invert():
    """Values between, below and beyond breakpoints; the last position above a price."""
    curves = Curves(np.array([[2.0, 0.0, 3.0]]), np.array([[4.0, 3.0, 1.0]]))
    at = [-1.0, 0.0, 1.0, 2.0, 3.5, 5.0, 9.0]
    values = [curves.value(np.array([x]))[0] for x in at]
    assert values == pytest.approx([-4, 0, 4, 8, 9.5, 11, 11])
    reached = [curves.target(np.array([p]))[0] for p in (0.5, 1.0, 3.5, 4.0)]
    assert reached == [5.0, 2.0, 2.0, -np.inf]
    assert curves.ahead(np.array([1.0])).tolist() == [[1.0, 0.0, 3.0]]


def test_numbers_that_do_not_fit_are_refused():
    """Rising slopes, negative use, shapes, starts."""
    with pytest.raises(AllocationError, match="slopes fall"):
        Curves(np.ones((1, 2)), np.array([[1.0, 2.0]]))
    with pytest.raises(AllocationError, match="nonnegative"):
        two_columns(use=-np.ones((2, 1)))
    with pytest.raises(AllocationError, match="cost has shape"):
        two_columns(cost=np.zeros(3))
    with pytest.raises(AllocationError, match="1 resources"):
        find_prices(two_columns(), np.zeros(2))


def test_out_of_time_the_answer_within_all_limits_stands():
    """No time for the program: the result is feasible, and the gap says what may be missed."""
    allocation = two_columns()
    search = find_prices(allocation)
    found = recover(allocation, search, time_limit=0.0)
    assert allocation.is_feasible(found.quantity)
    assert found.repair.gain >= allocation.gain(search.high)
    missed = found.repair.bound - found.repair.gain
    assert missed >= -1e-9
    assert found.repair.gap == pytest.approx(max(missed, 0) / found.repair.bound)
