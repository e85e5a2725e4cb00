"""Clark & Scarf's decomposition over a horizon against programs that know nothing of echelons."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.network import FloatArray

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError
from optrl.exact.normal_grid import normal_below_grid, normal_on_grid
from optrl.exact.serial import SerialSystem, solve
from optrl.exact.serial_horizon import ChainState, SerialChain, solve_horizon
from optrl.exact.serial_instance import chain_of
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rollout import simulate
from optrl.testbeds.serial import SerialFamily
from optrl.testbeds.simulated import mean_half_width


def by_enumeration(chain: SerialChain, periods: int, state: ChainState, most: int) -> float:
    """Two stages, every pair of orders, every outcome: installation stocks, state by state."""
    lead_1, lead_2 = chain.lead_time
    probability = chain.demand.probability.tolist()

    @cache
    def value(left: int, net: int, to_1: tuple[int, ...], stock: int, to_2: tuple[int, ...]):
        """`net` stock less backlog at stage 1, `stock` at stage 2, what is due at both."""
        if not left:
            return 0.0
        best = float("inf")
        for first, second in product(range(stock + 1), range(most + 1)):
            released = chain.release_cost[0] * first + chain.release_cost[1] * second
            cost = released + chain.holding_cost[1] * (stock - first)
            pipe_1, pipe_2 = (*to_1, first), (*to_2, second)
            there = net + (pipe_1[0] if lead_1 == 0 else 0)
            for demand, p in enumerate(probability):
                after = there - demand
                cost += p * (
                    chain.holding_cost[0] * max(after, 0) + chain.shortage_cost * max(-after, 0)
                )
                arrives = pipe_1[0] if lead_1 else 0
                cost += (
                    p
                    * chain.discount
                    * value(
                        left - 1, after + arrives, pipe_1[1:], stock - first + pipe_2[0], pipe_2[1:]
                    )
                )
            best = min(best, cost)
        return best

    due = state.due.astype(int).tolist()
    return value(
        periods,
        int(state.on_hand[0] - state.backlog),
        tuple(due[0][: max(lead_1 - 1, 0)]),
        int(state.on_hand[1]),
        tuple(due[1][: lead_2 - 1]),
    )


@pytest.mark.parametrize("lead_time", [(0, 1), (1, 1), (2, 1), (0, 2)])
@pytest.mark.parametrize(
    ("holding", "release", "discount"),
    [((2.0, 1.0), (1.0, 0.0), 1.0), ((1.0, 2.0), (0.3, 1.5), 0.9), ((2.0, 0.5), (0.0, 4.0), 1.0)],
)
def test_costs_equal_enumeration(lead_time, holding, release, discount) -> None:
    """Truth: all integer orders of both stages; stock dearer above, dear orders, discount, too."""
    demand = DemandDistribution(np.array([0.3, 0.3, 0.4]))
    chain = SerialChain(demand, 1.0, holding, 7.0, lead_time, release, discount)
    due = np.zeros((2, 2))
    due[0, : max(lead_time[0] - 1, 0)] = 1
    due[1, : lead_time[1] - 1] = 2
    for periods, backlog in ((1, 1.0), (4, 0.0)):
        state = ChainState(
            np.array([1.0, 2.0]) if not backlog else np.array([0.0, 2.0]), due, backlog
        )
        found = solve_horizon(chain, periods).cost(state)
        assert found == pytest.approx(by_enumeration(chain, periods, state, most=6), abs=1e-9)


class PeriodLevels:
    """Levels of stocking nodes from the supplier down, by period."""

    def __init__(self, level: FloatArray, start: int) -> None:
        # What is sent on or never ordered, in numbers that the simulator can count with.
        self._level, self._start = np.clip(level[::-1], -1e6, 1e6), start

    def at(self, period: int) -> FloatArray:
        return self._level[None, :, period - self._start]


def test_simulated_levels_cost_what_the_recursion_says() -> None:
    """Truth: the simulator, on three stages from off-grid stock, Poisson demand, discounted."""
    problem = SerialSystem(4.0, 2.0, (5.0, 3.0, 2.0), 30.0, (2, 1, 2))
    bed = SerialFamily.case(problem, "poisson")
    periods = 9
    on_hand, due = np.zeros_like(bed.instance.on_hand), np.zeros((1, 4, 1))
    on_hand[0, 1:] = 3.5, 2.25, 6.0
    due[0, 1] = 4.75
    network = replace(bed.instance.network, discount=0.97)
    instance = replace(
        bed.instance, on_hand=on_hand, due=due, horizon=periods, network=network, start=5
    )
    chain, state = chain_of(instance, DemandDistribution.poisson(4.0))
    assert chain.lead_time == (1, 1, 2)
    assert chain.release_cost == (6.0, 2.0, 0.0)
    solved = solve_horizon(chain, periods)
    policy = EchelonBaseStock(Sourcing.of(instance), PeriodLevels(solved.level, instance.start))
    model = Poisson(np.array([3]), steady(np.array([[4.0]])))
    demand = model.sample(40_000, instance.start, periods, np.random.default_rng(3))
    run = simulate(instance, policy, demand, seed=3, dtype=torch.float64)
    cost = run.period_cost.numpy() @ (0.97 ** np.arange(periods))
    assert abs(cost.mean() - solved.cost(state)) < mean_half_width(cost)
    assert mean_half_width(cost) < 0.005 * cost.mean()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_levels_cost_less(seed: int) -> None:
    """Truth: other echelon levels on the same paths of demand cost at least as much."""
    generator = np.random.default_rng(seed)
    holding = np.sort(generator.uniform(0.5, 4.0, 2))[::-1]
    problem = SerialSystem(3.0, 1.0, tuple(holding), float(generator.uniform(5, 30)), (1, 2))
    instance = replace(SerialFamily.case(problem, "random").instance, horizon=6)
    law = DemandDistribution.poisson(3.0)
    solved = solve_horizon(chain_of(instance, law)[0], 6)
    model = Poisson(np.array([2]), steady(np.array([[3.0]])))
    demand = model.sample(2_000, 0, 6, generator)

    def cost(level: FloatArray) -> FloatArray:
        policy = EchelonBaseStock(Sourcing.of(instance), PeriodLevels(level, 0))
        run = simulate(instance, policy, demand, seed=1, dtype=torch.float64)
        return run.period_cost.sum(dim=1).numpy()

    worse = cost(solved.level + generator.integers(-4, 5, solved.level.shape))
    saved = cost(solved.level) - worse
    assert saved.mean() <= 2 * mean_half_width(saved) + 1e-9


def test_a_period_more_costs_the_endless_average() -> None:
    """Truth: Clark & Scarf's average cost of an endless horizon, from another program."""
    problem = SerialSystem(6.0, 1.5, (4.1, 3.0, 1.9), 11.3, (1, 1, 2))
    instance = SerialFamily.case(problem, "long").instance
    unit, costs = problem.demand_sd / 12, []
    for law in (normal_below_grid, normal_on_grid):
        chain, state = chain_of(instance, law(6.0, 1.5, unit), unit)
        costs.append([solve_horizon(chain, periods).cost(state) for periods in (40, 41)])
    below, above = costs
    assert below[0] < above[0]
    assert above[0] < 1.001 * below[0]
    endless = solve(problem).cost
    assert below[1] - below[0] < endless < above[1] - above[0]


def test_finer_grids_narrow_the_bracket() -> None:
    """Truth: convex order; each bracket lies in the coarser one, a quarter as wide."""
    problem = SerialSystem(5.0, 1.0, (7.0, 4.0), 37.0, (1, 2))
    instance = SerialFamily.case(problem, "grid").instance
    brackets = []
    for points in (4, 8, 16):
        pair = []
        for law in (normal_below_grid, normal_on_grid):
            chain, state = chain_of(instance, law(5.0, 1.0, 1 / points), 1 / points)
            pair.append(solve_horizon(chain, 8).cost(state))
        brackets.append(pair)
    lower, upper = np.array(brackets).T
    assert (np.diff(lower) > 0).all()
    assert (np.diff(upper) < 0).all()
    assert lower[-1] < upper[-1]
    assert (upper - lower)[1:] == pytest.approx((upper - lower)[:-1] / 4, rel=0.15)


def test_nonsense_is_refused() -> None:
    """No horizon, lanes that take no time above, earnings without limit, other states."""
    demand = DemandDistribution.uniform(0, 2)
    chain = SerialChain(demand, 1.0, (2.0, 1.0), 5.0, (0, 1), (0.0, 0.0))
    with pytest.raises(ExactError, match="at least 1"):
        solve_horizon(chain, 0)
    with pytest.raises(ExactError, match="only the lane into the first"):
        replace(chain, lead_time=(1, 0))
    with pytest.raises(ExactError, match="one of each a stage"):
        replace(chain, holding_cost=(2.0,))
    with pytest.raises(ExactError, match="without limit"):
        solve_horizon(replace(chain, release_cost=(0.0, -9.0)), 3)
    solved = solve_horizon(chain, 3)
    with pytest.raises(ExactError, match="overtake"):
        solved.cost(ChainState(np.zeros(2), np.array([[0.0, 0.0], [0.0, 2.0]])))
    with pytest.raises(ExactError, match="2 stages"):
        solved.cost(ChainState(np.zeros(3), np.zeros((3, 0))))
    with pytest.raises(ExactError, match="negative"):
        solved.cost(ChainState(np.array([0.0, -1.0]), np.zeros((2, 0))))
