"""Whole lots: the dynamic program is exact; a plan keeps lots and capacities, near the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray, Resource
from optrl_formulations.replenishment_arrays import build_replenishment

from optrl.building import build
from optrl.decomposition.blocks.choice import Choice
from optrl.decomposition.blocks.errors import BlockError, NotApplicableError
from optrl.decomposition.blocks.events import Stopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracles.block_program import BlockProgram
from optrl.decomposition.blocks.oracles.lots import LotsRecipe
from optrl.decomposition.blocks.replenishment import decompose, whole_plan
from optrl.solver import Model
from optrl.testing import random_instance


def behind_a_dock(
    items: int, *, seed: int = 0, lead: int = 1, periods: int = 6, tightness: float = 1.0
) -> ReplenishmentItems:
    """Items at one place behind one dock, with lots, smallest quantities and fixed costs."""
    generator = np.random.default_rng(seed)
    mean = generator.gamma(2.0, 2.0, items)
    volume, value = generator.uniform(0.5, 1.5, items), generator.uniform(0.5, 2.0, items)
    lot = generator.integers(2, 6, items).astype(float)
    lot[::4] = 0.0
    dock = Resource("dock", "inbound", volume, np.array([float(volume @ mean) / tightness]), node=1)
    instance = build(
        "lots",
        {"supplier": "supplier", "store": "stocking"},
        {("supplier", "store"): lead},
        ["store"],
        unmet="lost",
        horizon=periods,
        items=items,
        holding_cost={"store": value},
        shortage_cost={"store": generator.uniform(9.0, 39.0, items) * value},
        lane_cost={("supplier", "store"): generator.uniform(0.0, 2.0, items)},
        on_hand={"store": np.round(1.5 * mean)},
        resources_=(dock,),
    )
    network = replace(
        instance.network,
        lot_size=lot[:, None],
        minimum_quantity=np.where(generator.random((items, 1)) < 0.5, 3.0, 0.0),
        fixed_cost=(generator.uniform(0.0, 6.0, items) * value)[:, None],
    )
    demand = generator.poisson(mean[:, None], (items, periods)).astype(float)
    return ReplenishmentItems.of(replace(instance, network=network), demand[:, None, :])


def with_integers(problem: ReplenishmentItems, prices: FloatArray) -> LinearProgram:
    """The items' program at prices, capacity rows left out, nor used to limit an item alone."""
    problem = problem.select(np.arange(len(problem)), 100.0)
    block = BlockProgram(problem, 1)
    whole = build_replenishment(problem.layout, problem.data)
    cost = block.program.cost + block.charges(prices)
    return replace(block.program, integrality=whole.integrality, cost=cost)


@pytest.mark.parametrize(("seed", "lead"), [(0, 0), (1, 1), (2, 2), (3, 1)])
def test_dynamic_program_is_exact(seed: int, lead: int) -> None:
    """Its bound is the optimum of the integer program at these prices, and what its plan costs."""
    problem = behind_a_dock(6, seed=seed, lead=lead)
    generator = np.random.default_rng(seed)
    for prices in (np.zeros(problem.coupling.shape), generator.uniform(0, 6, (1, 7))):
        prices = problem.coupling.clipped(prices)
        answer = LotsRecipe(problem, 6).build().answer(prices, plan=True)
        optimum = Model(with_integers(problem, prices)).solve(relative_gap=0.0).objective
        assert answer.bound is not None
        assert answer.bound.sum() == pytest.approx(optimum, rel=1e-6)
        paid = (answer.usage * prices).sum(axis=(1, 2))
        np.testing.assert_allclose(answer.cost + paid, answer.bound, rtol=1e-9, atol=1e-9)


def planned(problem: ReplenishmentItems) -> Choice:
    """Bounded, then chosen."""
    stopping = Stopping(gap=1e-4, iterations=40)
    result = decompose(problem, oracle="lots", stopping=stopping, with_plan=False)
    assert result.failure is None
    return whole_plan(problem, result, time_limit=30.0)


def check(problem: ReplenishmentItems, chosen: Choice) -> None:
    """Lots, smallest quantities, balance and capacities hold; the cost is that of the plan."""
    network, order = problem.network, chosen.plan["order"][:, 0, :-1]
    lot, least = network.lot_size, network.minimum_quantity
    lots = order / np.where(lot > 0, lot, 1.0)
    np.testing.assert_allclose(lots, np.round(lots), atol=1e-9)
    assert (order[(order > 0)] >= np.broadcast_to(least, order.shape)[order > 0] - 1e-9).all()
    use = network.resources[0].use
    assert (use @ order <= network.resources[0].capacity[0] * (1 + 1e-9)).all()
    lead = int(network.lead_time[0])
    stock = problem.data.on_hand[:, 1].copy()
    demand = problem.data.demand[:, 1, 1:]
    cost = (network.fixed_cost * (order > 0) + network.lane_cost * order).sum()
    for t in range(demand.shape[1]):
        stock += order[:, t - lead] if t >= lead else 0.0
        sold = np.minimum(stock, demand[:, t])
        stock -= sold
        np.testing.assert_allclose(chosen.plan["on_hand"][:, 1, t + 1], stock)
        cost += network.holding_cost[:, 1] @ stock
        cost += network.shortage_cost[:, 1] @ (demand[:, t] - sold)
    assert chosen.cost == pytest.approx(cost)
    assert chosen.lower <= chosen.cost * (1 + 1e-9)


def test_plans_keep_all_limits_and_the_gap_falls_with_items() -> None:
    """Ten times the items, the same capacities: less than a third of the gap."""
    gaps = []
    for items in (30, 300):
        problem = behind_a_dock(items)
        chosen = planned(problem)
        check(problem, chosen)
        assert chosen.split <= problem.coupling.rows.sum()
        assert chosen.excess > 0
        gaps.append(chosen.gap)
    assert gaps[1] < gaps[0] / 3
    assert gaps[1] < 0.005


def test_bound_and_plan_hold_the_integer_optimum_between_them() -> None:
    """On few items, against the whole program with its integers."""
    problem = behind_a_dock(5, seed=4, periods=4, tightness=0.6)
    chosen = planned(problem)
    check(problem, chosen)
    whole = Model(build_replenishment(problem.layout, problem.data)).solve(relative_gap=1e-6)
    assert chosen.lower <= whole.objective * (1 + 1e-6)
    assert whole.objective <= chosen.cost * (1 + 1e-6)


def test_what_is_no_lot_at_one_place_is_refused() -> None:
    """Each thing the dynamic program leaves out is named; so is a run without a plan."""
    network = random_instance(np.random.default_rng(3), items=2, horizon=4)
    demand = network.demand.between(network.start, network.start + 4)
    with pytest.raises(NotApplicableError, match="more than one place"):
        LotsRecipe(ReplenishmentItems.of(network, demand)).build()
    problem = behind_a_dock(3)
    half = replace(problem, data=replace(problem.data, demand=problem.data.demand + 0.5))
    with pytest.raises(NotApplicableError, match="not whole"):
        LotsRecipe(half).build()
    first = decompose(
        behind_a_dock(40),
        oracle="lots",
        first_prices=np.zeros((1, 7)),
        stopping=Stopping(iterations=1),
        with_plan=False,
    )
    with pytest.raises(BlockError, match="no average"):
        whole_plan(behind_a_dock(40), first)
