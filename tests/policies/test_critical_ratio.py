import numpy as np
import pytest

from optrl.policies.critical_ratio import LARGEST_RATIO, UnitCosts
from optrl.policies.sourcing import Sourcing

NODES = {"s": "supplier", "w": "stocking", "c": "customer"}
LANES = {("s", "w"): 0, ("w", "c"): 0}


def ratio(instance):
    sourcing = Sourcing.of(instance)
    weights = np.ones((1, len(instance.demand.nodes)))
    return UnitCosts.of(sourcing, weights).ratio(sourcing.review).item()


def test_lost_sales_without_lead_time(build_instance):
    """(p - c) / (p - g c + h) with c purchase, transport and the serving lane saved."""
    instance = build_instance(
        NODES,
        LANES,
        ["c"],
        holding={"w": 0.5},
        unit_cost=np.array([2.0]),
        lane_cost=np.array([[1.0, 0.5]]),
        discount=0.9,
    )
    # H = h + (1 - g) * 3 and b = 9 - 3.5.
    assert ratio(instance) == pytest.approx(5.5 / (5.5 + 0.5 + 0.1 * 3.0))


def test_backorders_pay_only_for_buying_earlier(build_instance):
    """(p - (1 - g) c) / (p + h) at a node with demand of its own."""
    instance = build_instance(
        {"s": "supplier", "w": "stocking"},
        {("s", "w"): 3},
        ["w"],
        unmet="backorder",
        holding={"w": 0.5},
        unit_cost=np.array([2.0]),
        discount=0.9,
    )
    assert ratio(instance) == pytest.approx((9 - 0.1 * 2) / (9 + 0.5))


def test_targets_raise_the_ratio_and_nothing_makes_it_one(build_instance):
    """A service level above the ratio counts; without holding cost the ratio is bounded."""
    level = np.array([[0.0, 0.0, 0.97]])
    dear = build_instance(NODES, LANES, ["c"], holding={"w": 9.0}, service_level=level)
    assert ratio(dear) == pytest.approx(0.97)
    assert ratio(build_instance(NODES, LANES, ["c"])) == LARGEST_RATIO


def test_echelon_ratios_credit_the_supplier_only_in_series(build_instance):
    """In series the shop's ratio is (b + H hub) / (b + H shop); beside a sister b / (b + H)."""
    nodes = {"s": "supplier", "hub": "stocking", "x": "stocking", "y": "stocking"}
    lanes = {("s", "hub"): 1, ("hub", "x"): 1, ("hub", "y"): 1}
    holding = {"hub": 1.0, "x": 3.0, "y": 3.0}
    for demand_at, allowed, expected in (
        (["x"], [[True, True, False]], (9 + 1) / (9 + 3)),
        (["x", "y"], [[True, True, True]], 9 / (9 + 3)),
    ):
        instance = build_instance(
            nodes, lanes, demand_at, unmet="backorder", holding=holding, allowed=np.array(allowed)
        )
        sourcing = Sourcing.of(instance)
        costs = UnitCosts.of(sourcing, np.ones((1, len(demand_at))))
        lower, upper = costs.echelon_ratios(sourcing)
        assert lower[0, 1] == upper[0, 1] == pytest.approx(expected)
        assert lower[0, 0] == pytest.approx(9 / 12)
        assert upper[0, 0] == pytest.approx(9 / 10)
