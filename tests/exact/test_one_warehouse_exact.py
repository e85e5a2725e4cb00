"""The lower bound for one warehouse: by enumeration, in special cases, and below what is played."""

import itertools

import numpy as np
import pytest

from optrl.exact.errors import ExactError
from optrl.exact.one_warehouse import allocation_bound
from optrl.testbeds.one_warehouse_multi_retailer import OneWarehouseMultiRetailer, classical
from optrl.testbeds.simulated import simulated_cost

COSTS = {"warehouse_holding_cost": 0.5, "holding_cost": 1.0, "shortage_cost": 9.0}


def test_equals_enumeration_of_all_allocations():
    """Two retailers with few demands: best level and, in each case, best of all allocations."""
    laws = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])
    found = allocation_bound(laws, np.array([0, 1]), 1, **COSTS)
    second = np.convolve(laws[1], laws[1])

    def charge(law, y):
        d = np.arange(len(law))
        return (np.maximum(y - d, 0) + 9.0 * np.maximum(d - y, 0)) @ law

    ahead = np.convolve(laws[0], laws[1])
    costs = {}
    for level in range(16):
        cost = 0.0
        for demand, probability in enumerate(ahead):
            have = level - demand
            cost += probability * min(
                charge(laws[0], a) + charge(second, b) + 0.5 * (have - a - b)
                for a, b in itertools.product(range(-6, 9), repeat=2)
                if a + b <= have
            )
        costs[level] = cost
    best = min(costs, key=costs.get)
    assert found.level == best
    assert found.cost == pytest.approx(costs[best], abs=1e-12)


def test_without_a_warehouse_lead_time_it_is_the_newsvendor():
    """Each retailer then is supplied as if by itself."""
    law = np.array([[0.2, 0.3, 0.3, 0.2]])
    total = np.convolve(law[0], law[0])
    d = np.arange(len(total))
    alone = min((np.maximum(y - d, 0) + 9.0 * np.maximum(d - y, 0)) @ total for y in d)
    laws = np.repeat(law, 3, axis=0)
    found = allocation_bound(laws, np.array([1, 1, 1]), 0, **COSTS)
    assert found.cost == pytest.approx(3 * alone)


def test_tuned_policies_cost_little_more_and_never_less():
    """On published instance 1 the best classical policy is within 1 % of the bound."""
    case, _ = next(OneWarehouseMultiRetailer.problems())
    bed = next(OneWarehouseMultiRetailer.cases())
    bound = allocation_bound(
        case.laws, np.array(case.retailer_lead_times), case.warehouse_lead_time, **COSTS
    )
    levels = np.array([[48.0, 10.0, 10.0, 10.0]])
    policy = classical("min_shortage_rationing", bed.instance, levels, bed.demand)
    cost = simulated_cost(bed, policy, scenarios=400, seed=3)
    assert cost.mean + cost.half_width > bound.cost
    assert cost.mean - cost.half_width < 1.01 * bound.cost
    assert bound.level == 48


def test_a_dearer_warehouse_is_refused():
    """Retailers would then hold what the warehouse should."""
    with pytest.raises(ExactError, match="dearer"):
        allocation_bound(
            np.array([[0.5, 0.5]]), np.array([1]), 1,
            warehouse_holding_cost=2.0, holding_cost=1.0, shortage_cost=9.0,
        )  # fmt: skip
