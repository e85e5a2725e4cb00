"""Exact costs of policies that decide on simulator states."""

import pytest

from optrl.exact.errors import ExactError
from optrl.exact.lost_sales_policies import best_capped_base_stock
from optrl.policies.capped_base_stock import CappedBaseStock
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.lost_sales import LostSalesFamily


def test_a_policy_costs_what_its_rule_costs():
    """The best capped base stock, played as a policy, has the cost found by its own search."""
    bed = LostSalesFamily.case("poisson", 9.0, 3)
    best = best_capped_base_stock(bed.problem)
    policy = CappedBaseStock.at_level(bed.instance, *best.parameters)
    found = exact_cost(bed, policy)
    assert found.lower - 1e-6 <= best.cost.cost <= found.upper + 1e-6


def test_instances_without_lead_time_have_no_such_chain():
    """They are refused."""
    bed = LostSalesFamily.case("poisson", 9.0, 0)
    with pytest.raises(ExactError, match="no lead time"):
        exact_cost(bed, CappedBaseStock.at_level(bed.instance, 8.0, 8.0))
