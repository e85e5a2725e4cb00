"""Dual sourcing: value iteration, heuristics and their bounds."""

import numpy as np
import pytest

from optrl.exact.distribution import DemandDistribution
from optrl.exact.dual_sourcing import DualSourcing, solve
from optrl.exact.dual_sourcing_policies import (
    base_surge_overshoot,
    best_capped_dual_index,
    best_dual_index,
    best_single_index,
    bounded_cost,
    dual_index_overshoot,
    single_index_overshoot,
)
from optrl.exact.errors import ExactError

LAW = DemandDistribution.uniform(0, 4)


def problem(lead=2, expedited=105.0, law=LAW):
    return DualSourcing(law, 5.0, 495.0, 100.0, expedited, lead)


def simulated(case, decide, periods=200_000, seed=0):
    """Average cost of a rule on (stock, pipeline) by plain simulation."""
    generator = np.random.default_rng(seed)
    chance = case.demand.probability
    demand = generator.choice(len(chance), p=chance, size=periods)
    stock, pipeline, total = 0, [0] * (case.regular_lead_time - 1), np.zeros(periods)
    for t in range(periods):
        rush, regular = decide(stock, pipeline)
        stock += rush
        left = stock - demand[t]
        total[t] = (
            case.expedited_unit_cost * rush
            + case.regular_unit_cost * regular
            + case.holding_cost * max(left, 0)
            - case.backorder_cost * min(left, 0)
        )
        pipeline = [*pipeline, regular]
        stock = left + pipeline.pop(0)
    batches = total[periods // 20 :].reshape(19, -1).mean(axis=1)
    return batches.mean(), batches.std(ddof=1) / np.sqrt(19)


def test_the_optimal_table_costs_the_optimum():
    """Played out, the tables cost what the bounds say, within 4 standard errors."""
    case = problem()
    solution = solve(case)

    def decide(stock, pipeline):
        place = (stock - solution.lowest, *pipeline)
        return solution.stock[place] - stock, solution.regular[place]

    mean, error = simulated(case, decide, 60_000)
    assert abs(mean - solution.cost) < 4 * error


@pytest.mark.parametrize("lead", [1, 2, 3])
def test_enlarging_the_box_changes_nothing(lead):
    """Larger limits on orders and backlog leave the optimum within the bounds."""
    small = solve(problem(lead))
    large = solve(problem(lead), largest_order=12, largest_backlog=6)
    assert large.states > small.states
    assert large.lower <= small.upper + 1e-9
    assert small.lower <= large.upper + 1e-9


def test_a_binding_limit_is_refused():
    """Orders at their limit are not taken for an optimum."""
    with pytest.raises(ExactError, match="largest_order"):
        solve(problem(), largest_order=1)


def test_lead_time_one_is_dual_index():
    """With lead times that differ by one period the dual-index policy is optimal (Fukuda 1964)."""
    case = problem(1, 103.0, DemandDistribution.uniform(0, 7))
    assert best_dual_index(case).cost == pytest.approx(solve(case).cost, abs=1e-6)


def test_at_equal_prices_the_fast_supplier_alone_is_optimal():
    """Without a premium the optimum is the newsvendor of one period."""
    case = problem(3, 100.0)
    newsvendor = case.stage_cost(np.arange(6)).min()
    assert solve(case).cost == pytest.approx(200.0 + newsvendor, abs=1e-6)


def test_waiting_without_limit_is_refused():
    """Where expediting never pays, the limit on backlog binds, and the answer is refused."""
    case = DualSourcing(DemandDistribution.uniform(0, 2), 1.0, 4.0, 0.0, 200.0, 2)
    with pytest.raises(ExactError, match="largest_backlog"):
        solve(case, largest_order=24)


@pytest.mark.parametrize("cap", [None, 1, 3])
def test_dual_index_costs_what_simulation_says(cap):
    """The overshoot's stationary cost equals that of the rule played out."""
    case, difference, level = problem(3), 5, 4
    overshoot = dual_index_overshoot(case, difference, cap)
    lower, upper = bounded_cost(case, overshoot, level)
    assert 0 <= upper - lower < 1e-6

    def decide(stock, pipeline):
        rush = max(level - stock, 0)
        missing = max(level + difference - stock - rush - sum(pipeline), 0)
        return rush, missing if cap is None else min(missing, cap)

    mean, error = simulated(case, decide, 40_000)
    assert abs(mean - (lower + upper) / 2) < 4 * error


def test_single_index_costs_what_simulation_says():
    """The closed form equals the rule played out."""
    case, difference, level = problem(2), 2, 8
    cost = bounded_cost(case, single_index_overshoot(case, difference), level)[0]

    def decide(stock, pipeline):
        position = stock + sum(pipeline)
        rush = max(level - difference - position, 0)
        return rush, max(level - position - rush, 0)

    mean, error = simulated(case, decide, 40_000)
    assert abs(mean - cost) < 4 * error


def test_heuristics_are_ordered():
    """Optimum <= capped dual index <= dual index <= single index."""
    case = problem(2, 110.0)
    costs = [
        solve(case).lower,
        best_capped_dual_index(case).cost,
        best_dual_index(case).cost,
        best_single_index(case).cost,
    ]
    assert costs == sorted(costs)


def test_constant_orders_above_mean_demand_are_refused():
    """Stock would grow without end."""
    with pytest.raises(ExactError, match="without end"):
        base_surge_overshoot(problem(), 2)
