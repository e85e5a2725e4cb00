"""Exact costs of policies that decide on simulator states."""

import numpy as np
import pytest

from optrl.exact.dual_sourcing import solve
from optrl.exact.dual_sourcing_policies import best_capped_dual_index
from optrl.exact.dual_sourcing_rules import StateBounds, evaluate
from optrl.exact.errors import ExactError
from optrl.exact.lost_sales_policies import best_capped_base_stock
from optrl.policies.capped_base_stock import CappedBaseStock
from optrl.policies.capped_dual_index import CappedDualIndex
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testbeds.serial import SerialFamily


def test_a_policy_costs_what_its_rule_costs():
    """The best capped base stock, played as a policy, has the cost found by its own search."""
    bed = LostSalesFamily.case("poisson", 9.0, 3)
    best = best_capped_base_stock(bed.problem)
    policy = CappedBaseStock.at_level(bed.instance, *best.parameters)
    found = exact_cost(bed, policy)
    assert found.lower - 1e-6 <= best.cost.cost <= found.upper + 1e-6


@pytest.mark.parametrize("lead", [1, 2, 3])
def test_capped_dual_index_costs_what_its_search_found(lead):
    """Two ways to one number: overshoot of the levels, and the policy played in every state."""
    bed = DualSourcingFamily.case(lead, 110.0)
    best = best_capped_dual_index(bed.problem)
    policy = CappedDualIndex.at_level(
        bed.instance, best.expedited_level, best.regular_level, best.cap
    )
    found = exact_cost(bed, policy)
    assert found.lower - 1e-6 <= best.cost <= found.upper + 1e-6


@pytest.mark.parametrize("lead", [1, 3])
def test_the_optimal_tables_cost_the_optimum(lead):
    """The dynamic program's own decisions, as a rule."""
    problem = DualSourcingFamily.case(lead, 105.0).problem
    solution = solve(problem)

    def rule(states):
        at = (states[:, 0] - solution.lowest, *states[:, 1:].T)
        return solution.stock[at] - states[:, 0], solution.regular[at]

    found = evaluate(problem, rule, StateBounds(-6, 20, 8))
    assert found.cost == pytest.approx(solution.cost, abs=1e-6)


def test_rules_that_leave_their_bounds_are_refused():
    """Negative orders, large ones, and stock beyond the bounds."""
    problem = DualSourcingFamily.case(2, 105.0).problem

    def constant(rushed, order):
        return lambda states: (np.full(len(states), rushed), np.full(len(states), order))

    for rule, message in (
        (constant(-1, 2), "-1 expedited"),
        (constant(0, 9), "at most 8"),
        (constant(2, 1), "beyond net stock"),
    ):
        with pytest.raises(ExactError, match=message):
            evaluate(problem, rule, StateBounds(-6, 20, 8))


def test_instances_without_such_a_chain_are_refused():
    """Lost sales without lead time, and serial systems, whose demand is continuous."""
    bed = LostSalesFamily.case("poisson", 9.0, 0)
    with pytest.raises(ExactError, match="no chain"):
        exact_cost(bed, CappedBaseStock.at_level(bed.instance, 8.0, 8.0))
    serial = next(iter(SerialFamily.cases()))
    with pytest.raises(ExactError, match="no chain"):
        exact_cost(serial, CappedBaseStock.at_level(serial.instance, 8.0, 8.0))
