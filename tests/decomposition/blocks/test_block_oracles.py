"""Oracles beyond programs and flows: dynamic programs and learned responses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from optrl_formulations.network import FloatArray, Unmet

from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.driver import run
from optrl.decomposition.blocks.engines.in_process import InProcess
from optrl.decomposition.blocks.errors import BlockError, NotApplicableError
from optrl.decomposition.blocks.events import Stopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.masters import master_named
from optrl.decomposition.blocks.masters.dantzig_wolfe import DantzigWolfe
from optrl.decomposition.blocks.oracle import Plan
from optrl.decomposition.blocks.oracles.learned import LearnedRecipe
from optrl.decomposition.blocks.oracles.position_dp import PositionItems, PositionRecipe
from optrl.decomposition.blocks.oracles.scenario_lp import ScenarioLpRecipe
from optrl.testing import random_instance


def positions(unmet: Unmet, lead_time: int) -> PositionItems:
    """Two items, three periods, demand up to two."""
    return PositionItems(
        names=("a", "b"),
        unmet=unmet,
        lead_time=lead_time,
        periods=3,
        probability=np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]),
        position=np.array([0, 1]),
        unit_cost=np.array([0.5, 0.0]),
        holding_cost=np.array([1.0, 0.3]),
        shortage_cost=np.array([4.0, 2.5]),
        use=np.array([[1.0, 2.0]]),
        discount=0.9,
    )


def least_cost(items: PositionItems, n: int, prices: FloatArray) -> float:
    """By trying every order in every state, without a grid."""
    law = items.probability[n].tolist()
    outcomes = [(k, p) for k, p in enumerate(law)]
    sums = {0: 1.0}
    for _ in range(items.lead_time + 1):
        following: dict[int, float] = {}
        for total, chance in sums.items():
            for k, p in outcomes:
                following[total + k] = following.get(total + k, 0.0) + chance * p
        sums = following

    def period(y: int) -> float:
        h, p = items.holding_cost[n], items.shortage_cost[n]
        return float(sum(c * (h * max(y - d, 0) + p * max(d - y, 0)) for d, c in sums.items()))

    @cache
    def value(t: int, y: int) -> float:
        if t == items.periods:
            return 0.0
        weight = items.discount**t
        paid = weight * items.unit_cost[n] + prices[0, t] * items.use[0, n]
        best = math.inf
        for order in range(12):
            up = y + order
            cost = paid * order + weight * items.discount**items.lead_time * period(up)
            for k, p in outcomes:
                after = max(up - k, 0) if items.unmet == "lost" else up - k
                cost += p * value(t + 1, after)
            best = min(best, cost)
        return best

    return value(0, int(items.position[n]))


@pytest.mark.parametrize(("unmet", "lead_time"), [("lost", 0), ("backorder", 0), ("backorder", 2)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dynamic_program_is_exact(unmet: Unmet, lead_time: int, seed: int) -> None:
    """The bound is the least cost over all policies, and that of the policy answered."""
    items = positions(unmet, lead_time)
    prices = np.random.default_rng(seed).uniform(0, 2.5, (1, 3)) * (seed > 0)
    answer = PositionRecipe(items, parts=2).build().answer(prices, plan=True)
    expected = [least_cost(items, n, prices) for n in range(2)]
    assert answer.bound is not None
    np.testing.assert_allclose(answer.bound, expected, rtol=1e-10)
    paid = (answer.usage * prices).sum(axis=(1, 2))
    np.testing.assert_allclose(answer.cost + paid, expected, rtol=1e-10)
    assert answer.plan is not None
    used = np.einsum("rn,nt->nrt", items.use, answer.plan["order"][:, 0])
    np.testing.assert_allclose(answer.usage, used)


def test_dynamic_programs_share_a_budget() -> None:
    """Prices close the gap of a budget that holds on average, from both sides."""
    recipes = [PositionRecipe(positions("backorder", 1), parts=2)]
    free = recipes[0].build().answer(np.zeros((1, 3)))
    tight = np.full((1, 3), 0.7 * float(free.usage.sum()) / 3)
    columns = ("period 0", "period 1", "period 2")
    coupling = Coupling(("budget",), columns, tight, np.full((1, 3), np.inf))
    result = run(coupling, recipes, DantzigWolfe(), InProcess(), Stopping(gap=1e-6, iterations=80))
    assert result.stopped == "gap"
    assert result.lower > float(free.cost.sum())
    assert result.usage is not None
    assert (result.usage <= tight * (1 + 1e-6)).all()


def test_dynamic_program_refuses_what_has_a_larger_state() -> None:
    """Lost sales with a lead time are not a matter of the position."""
    with pytest.raises(NotApplicableError, match="lost sales with lead time 1"):
        positions("lost", 1)


@dataclass(frozen=True)
class Rule:
    """Stands for a network: the plan of the program at prices that are off by a factor."""

    factor: float
    spoil: float = 0.0

    def plan(self, block: ReplenishmentItems, prices: FloatArray) -> Plan:
        """See `PricedPlanner`."""
        plan = ScenarioLpRecipe(block).build().answer(self.factor * prices, plan=True).plan
        assert plan is not None
        return dict(plan) | {"on_hand": plan["on_hand"] + self.spoil}

    def __call__(self) -> Rule:
        """It is its own loader."""
        return self


def test_a_learned_response_gives_columns_but_no_bound() -> None:
    """Its plans are priced as the program prices them; a plan that breaks a row is named."""
    instance = random_instance(np.random.default_rng(3), items=4, horizon=4)
    demand = instance.demand.between(instance.start, instance.start + 4)
    problem = ReplenishmentItems.of(instance, demand)
    prices = problem.coupling.clipped(np.full(problem.coupling.shape, 0.7))
    exact = ScenarioLpRecipe(problem).build().answer(prices)
    told = LearnedRecipe(problem, Rule(1.0)).build().answer(prices)
    assert told.bound is None
    np.testing.assert_allclose(told.cost, exact.cost, atol=1e-9)
    np.testing.assert_allclose(told.usage, exact.usage, atol=1e-9)
    recipes = [LearnedRecipe(block, Rule(0.8)) for block in problem.blocks(2)]
    stopping = Stopping(gap=None, iterations=6)
    result = run(problem.coupling, recipes, master_named("level_bundle"), InProcess(), stopping)
    assert result.failure is None
    assert result.lower == -math.inf
    with pytest.raises(BlockError, match="the plan breaks balance"):
        LearnedRecipe(problem, Rule(1.0, spoil=1.0)).build().answer(prices)
    with pytest.raises(BlockError, match="guess"):
        master_named("guess")
    assert replace(recipes[0], parts=2).parts == 2
