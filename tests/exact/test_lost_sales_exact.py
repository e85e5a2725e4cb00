"""Relative value iteration for lost sales against the printed optima, and its bounds."""

import numpy as np
import pytest
import torch

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError
from optrl.exact.lost_sales import LostSales, solve
from optrl.exact.lost_sales_policies import (
    MyopicOrders,
    Projection,
    base_stock,
    best_capped_base_stock,
    best_projected_inventory_level,
    capped_base_stock,
    evaluate,
    myopic,
    projected_inventory_level,
)
from optrl.policies.base_stock import BaseStock
from optrl.simulation.rollout import simulate
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testbeds.simulated import simulated_cost

POISSON = DemandDistribution.poisson(5.0)


def test_bounds_enclose_and_the_order_table_costs_what_they_say():
    """The greedy policy, evaluated as a chain of its own, costs what the bounds enclose."""
    solution = solve(LostSales(POISSON, 1.0, 9.0, 3), tolerance=1e-8)
    assert solution.lower <= solution.upper <= solution.lower + 1e-8
    top = int(solution.problem.limits()[-1])
    found = evaluate(solution.problem, solution.orders, top, tolerance=1e-8)
    assert found.lower <= solution.upper + 1e-12
    assert found.upper >= solution.lower - 1e-12


@pytest.mark.parametrize("lead_time", [1, 2, 3])
@pytest.mark.parametrize(
    "law", [POISSON, DemandDistribution.geometric(3.0), DemandDistribution.uniform(0, 6)]
)
def test_enlarging_the_state_space_changes_nothing(law, lead_time):
    """Widening every limit by the largest position leaves the optimum within the proven bounds."""
    problem = LostSales(law, 1.0, 12.0, lead_time)
    small = solve(problem, tolerance=1e-8)
    large = solve(problem, tolerance=1e-8, enlarge=int(problem.limits()[-1]))
    assert large.states >= 1.9 * small.states
    assert large.lower <= small.upper + 1e-10
    assert small.lower <= large.upper + 1e-10


def test_a_lead_time_of_one_is_the_known_two_point_problem():
    """Demand 0 or 2 alike, lead 1: brute force over all stationary tables of orders agrees."""
    law = DemandDistribution(np.array([0.5, 0.0, 0.5]))
    problem = LostSales(law, 1.0, 3.0, 1)
    solution = solve(problem, tolerance=1e-10)
    top = int(problem.limits()[-1])
    costs = []
    for code in range(3 ** (top + 1)):
        table = np.array([code // 3**x % 3 for x in range(top + 1)])
        table = np.minimum(table, top - np.arange(top + 1))
        following = np.zeros((top + 1, top + 1))
        for x in range(top + 1):
            for demand, chance in ((0, 0.5), (2, 0.5)):
                following[x, min(max(x - demand, 0) + table[x], top)] += chance
        # Cesaro limit from the empty system: periodic chains count too.
        lazy = np.linalg.matrix_power((following + np.eye(top + 1)) / 2, 4096)
        costs.append(float(lazy[0] @ problem.stage_cost(top + 1)))
    assert solution.cost == pytest.approx(min(costs), abs=1e-8)


def test_capped_and_projected_policies_are_above_the_optimum_and_below_base_stock():
    """Best of each kind keeps the order that the table shows."""
    problem = LostSales(POISSON, 1.0, 9.0, 2)
    optimum = solve(problem).cost
    capped = best_capped_base_stock(problem)
    projected = best_projected_inventory_level(problem)
    assert capped.parameters == (19.0, 6.0)
    plain = evaluate(problem, base_stock(19), 19)
    assert optimum < capped.cost.cost < plain.cost
    assert optimum < projected.cost.cost < plain.cost
    wide = evaluate(problem, capped_base_stock(19, 19), 19)
    assert wide.cost == pytest.approx(plain.cost, abs=1e-6)


def test_projection_is_the_expected_stock_at_arrival():
    """The table equals the mean over sampled demand paths within 4 standard errors."""
    problem = LostSales(POISSON, 1.0, 9.0, 3)
    table = Projection(problem, 30, 12)
    states = np.array([[4, 6, 3], [0, 0, 12], [15, 2, 0]])
    demand = np.random.default_rng(0).poisson(5.0, size=(40_000, 3))
    for state, expected in zip(states, table.at(states), strict=True):
        stock = np.full(len(demand), state[0])
        for t in range(3):
            stock = np.maximum(stock - demand[:, t], 0) + (state[t + 1] if t < 2 else 0)
        error = stock.std() / np.sqrt(len(demand))
        assert abs(stock.mean() - expected) < 4 * error + 1e-12


def test_exact_evaluation_agrees_with_the_simulator():
    """Base stock on a test bed costs in the simulator what its chain says, within the interval."""
    bed = LostSalesFamily.case("geometric", 9.0, 2)
    exact = evaluate(bed.problem, base_stock(22), 22)
    found = simulated_cost(bed, BaseStock.at_level(bed.instance, 22), scenarios=100, seed=4)
    assert abs(found.mean - exact.cost) < 2 * found.half_width
    assert found.half_width < 0.01 * exact.cost


class _Table:
    """The optimal orders as a policy of the simulator."""

    name = "optimal"

    def __init__(self, solution):
        self.solution = solution

    def decide(self, state, period):
        from optrl.simulation.state import Decision

        lead = self.solution.problem.lead_time
        due = state.due[:, 0, 1, : lead - 1]
        states = torch.cat([state.on_hand[:, 0, 1:], due], dim=1).round().long().numpy()
        order = torch.from_numpy(self.solution.orders(states)).double()
        return Decision(order[:, None, None])


def test_the_optimal_table_costs_the_optimum_in_the_simulator():
    """The test bed's order of events is that of the dynamic program."""
    bed = LostSalesFamily.case("poisson", 19.0, 2)
    solution = solve(bed.problem)
    found = simulated_cost(bed, _Table(solution), scenarios=100, seed=5)
    assert abs(found.mean - solution.cost) < 2 * found.half_width


def test_orders_beyond_the_bound_or_the_states_are_refused():
    """Rules that break their bound and states never reached are named."""
    problem = LostSales(POISSON, 1.0, 9.0, 2)
    with pytest.raises(ExactError, match=r"orders 5 in state \[0, 0\]"):
        evaluate(problem, lambda states: np.full(len(states), 5), 4)
    with pytest.raises(ExactError, match="never reach"):
        solve(problem).orders(np.array([[500, 0]]))
    with pytest.raises(ExactError, match="lead time 0"):
        LostSales(POISSON, 1.0, 9.0, 0)
    with pytest.raises(ExactError, match="more than"):
        solve(LostSales(DemandDistribution.poisson(60.0), 1.0, 39.0, 5))


def test_projected_rule_rounds_to_nearest():
    """What is missing from the projection is rounded half up, never negative."""
    problem = LostSales(POISSON, 1.0, 9.0, 1)
    projection = Projection(problem, 20, 10)
    states = np.array([[0], [20]])
    rule = projected_inventory_level(projection, 8.5)
    assert rule(states).tolist() == [9, 0]


def test_simulate_is_used_with_an_empty_first_system():
    """The bed starts empty and counts after its warm-up."""
    bed = LostSalesFamily.case("poisson", 4.0, 1)
    demand = bed.demand.sample(2, 0, bed.instance.horizon, np.random.default_rng(0))
    run = simulate(bed.instance, BaseStock.at_level(bed.instance, 12), demand, seed=0)
    assert bed.instance.on_hand.sum() == 0
    assert run.periods == bed.warm_up + bed.periods


def test_myopic_costs_what_zipkin_prints():
    """Poisson, p = 4, L = 4: 5.06 (Zipkin 2008, Table 3); above the optimum, and growing with L."""
    costs = [myopic(LostSales(POISSON, 1.0, 4.0, lead)).cost.cost for lead in (1, 2, 3, 4)]
    assert costs[-1] == pytest.approx(5.06, abs=0.005)
    optima = [4.04071, 4.39530, 4.59872, 4.72853]
    gaps = [cost / optimum - 1 for cost, optimum in zip(costs, optima, strict=True)]
    assert all(gap > 0.01 for gap in gaps)
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("law", [POISSON, DemandDistribution.uniform(0, 6)])
def test_myopic_orders_have_the_least_cost_in_their_period(law):
    """Brute force over orders and both demands until arrival, in every state reached."""
    problem = LostSales(law, 1.0, 9.0, 2)
    rule = MyopicOrders(problem)
    demand = np.arange(len(law.probability))
    size = rule.largest_position + int(problem.limits()[0]) + 1
    stage = problem.stage_cost(2 * size)
    for stock in range(14):
        for due in range(int(problem.limits()[0]) + 1):
            state = np.array([[stock, due]])
            left = np.maximum(np.maximum(stock - demand, 0)[:, None] + due - demand, 0)
            weight = law.probability[:, None] * law.probability
            costs = [(stage[left + z] * weight).sum() for z in range(int(problem.limits()[0]) + 2)]
            order = int(rule(state)[0])
            assert costs[order] <= min(costs) + 1e-9
            assert order == 0 or costs[order - 1] > costs[order] - 1e-9


@pytest.mark.parametrize("probability", [[np.nan, 1.0], [-0.5, 1.5], [0.5, 0.4], [[1.0]]])
def test_what_is_no_distribution_is_refused(probability):
    """Numbers that are missing, negative or do not sum to 1 never enter a dynamic program."""
    with pytest.raises(ExactError, match="demand probabilities"):
        DemandDistribution(np.array(probability))
