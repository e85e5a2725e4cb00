"""Plans made period by period: what the policy itself does, with prices of its own programs."""

import numpy as np
import pytest
import torch
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.fit import fit
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.program_endings import PositionEnding
from optrl.policies.rolled_plan import first_prices
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance


@pytest.fixture(scope="module")
def scarce():
    """An instance whose resources bind, and the policy that plans it period by period."""
    instance = random_instance(np.random.default_rng(8), items=3, customers=3, horizon=8)
    demand = fit(instance)
    ending = PositionEnding(instance, demand, 4)
    return instance, demand, CostToGo(ending, demand, horizon=4, at_once=0)


def test_the_plan_is_what_the_policy_does_on_expected_demand(scarce):
    """Flows and number of programs."""
    instance, demand, policy = scarce
    flows, report = policy.plan()
    path = demand.mean(instance.start, instance.horizon)
    run = simulate(instance, policy, path[None], seed=0, dtype=torch.float64, record="full")
    assert np.allclose(flows.order, run.detail.released[0], atol=1e-6)
    assert np.allclose(flows.serve, run.detail.served[0], atol=1e-6)
    assert report.programs == instance.horizon
    assert report.objective is None
    assert report.status == "optimal"
    assert "4 periods" in report.method
    assert "not trained" in report.method


def test_small_horizons_are_planned_at_once(scarce):
    """By one program, unless told otherwise."""
    instance, demand, _ = scarce
    _, report = CostToGo.fit(instance, demand).plan()
    assert report.programs == 1
    assert report.objective is not None


def test_prices_are_those_of_the_first_period(scarce):
    """They equal what the program itself loses with a little less capacity in that period.

    Without raised shortage costs: the program that is priced then is the one that was solved.
    """
    instance, demand, policy = scarce
    ending = policy.ending
    start = instance.start
    problem = ending.view.problem(ScenarioTree.chain(4), ending.view.aggregation.network)
    path = ending.view.demand(demand.mean(start, 4))
    seen = np.concatenate([np.zeros((*path.shape[:2], 1)), path], axis=2)
    solved = problem.solve(ending.view.start(), start, seen)
    prices = first_prices(solved, solved.prices())
    model = problem._model
    rows = solved.layout.resource_rows
    capacity = solved.layout.resource_capacity
    used = np.flatnonzero(prices > 1e-6)
    assert used.size
    for r in used:
        after = solved.layout.is_seen_after_demand(instance.network.resources[r])
        row, node = (np.array(part) for part in rows)
        tight = (row == r) & (node == int(after))
        step = 1e-4 * capacity[tight][0]
        found = []
        for sign in (-1, 1):
            moved = np.where(tight, capacity + sign * step, capacity)
            model.push_row_bounds("capacity", np.full(len(capacity), -np.inf), moved)
            found.append(model.solve().objective)
        left, right = (
            (found[0] - solved.solution.objective) / step,
            (solved.solution.objective - found[1]) / step,
        )
        assert right - 1e-5 <= prices[r] <= left + 1e-5
        model.push_row_bounds("capacity", np.full(len(capacity), -np.inf), capacity)


def test_pricing_leaves_the_programs_as_they_were(scarce):
    """After pricing, the next decision is that of a problem that was never priced."""
    instance, demand, policy = scarce
    ending = policy.ending
    tree = ScenarioTree.chain(4)
    priced, fresh = ending.problem(tree), ending.problem(tree)
    view = ending.view
    for period in (instance.start, instance.start + 1):
        path = view.demand(demand.mean(period, 4))
        seen = np.concatenate([np.zeros((*path.shape[:2], 1)), path], axis=2)
        values = ending.stock_values(period)
        one = priced.solve(view.start(), period, seen, values)
        other = fresh.solve(view.start(), period, seen, values)
        assert one.solution.objective == pytest.approx(other.solution.objective, rel=1e-9)
        ending.prices(priced, one)
