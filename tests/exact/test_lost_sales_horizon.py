"""Finite-horizon lost sales against a recursion written without any of its parts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError
from optrl.exact.lost_sales import LostSales
from optrl.exact.lost_sales_horizon import solve_horizon


def by_recursion(problem: LostSales, periods: int, state: tuple[int, ...], most: int) -> float:
    """Every order from 0 to `most`, every outcome, state by state."""
    probability = problem.demand.probability.tolist()

    @cache
    def value(left: int, x: tuple[int, ...]) -> float:
        if not left:
            return 0.0
        best = float("inf")
        for order in range(most + 1):
            cost = 0.0
            for demand, p in enumerate(probability):
                kept, lost = max(x[0] - demand, 0), max(demand - x[0], 0)
                arrives, *later = (*x[1:], order)
                cost += p * (
                    problem.holding_cost * kept
                    + problem.shortage_cost * lost
                    + value(left - 1, (kept + arrives, *later))
                )
            best = min(best, cost)
        return best

    return value(periods, state)


@pytest.mark.parametrize(("lead_time", "state"), [(1, (2,)), (2, (1, 1)), (2, (0, 2))])
@pytest.mark.parametrize("periods", [1, 2, 4])
def test_costs_equal_a_plain_recursion(lead_time, state, periods) -> None:
    """Truth: enumeration of all orders and outcomes."""
    problem = LostSales(DemandDistribution.uniform(0, 3), 1.0, 4.0, lead_time)
    found = solve_horizon(problem, periods).cost(np.array(state))
    assert found == pytest.approx(by_recursion(problem, periods, state, most=6), abs=1e-9)


def test_wider_limits_change_nothing() -> None:
    """Truth: the limits on orders lose nothing over a horizon either."""
    problem = LostSales(DemandDistribution.poisson(3.0), 1.0, 9.0, 2)
    costs = [solve_horizon(problem, 7, enlarge=more).cost(np.array([3, 3])) for more in (0, 1, 3)]
    assert costs == pytest.approx([costs[0]] * 3, abs=1e-9)


def test_states_beyond_the_table_are_refused() -> None:
    """A state of the wrong length, or beyond all orders, has no value here."""
    solved = solve_horizon(LostSales(DemandDistribution.uniform(0, 3), 1.0, 4.0, 2), 3)
    with pytest.raises(ExactError, match="entries"):
        solved.cost(np.array([1]))
    with pytest.raises(ExactError, match="beyond"):
        solved.cost(np.array([500, 0]))
    with pytest.raises(ExactError, match="horizon"):
        solve_horizon(solved.problem, 0)
