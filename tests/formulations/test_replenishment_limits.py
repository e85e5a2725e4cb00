"""Bounds on orders that integers need must not cut off the optimum."""

import numpy as np
import pytest

SERIAL = {("S", "dc"): 0, ("dc", "st"): 0}


def test_upstream_can_supply_a_smallest_quantity_beyond_demand(small, optimum):
    """Two units asked, the store takes 10 at least: the DC must be able to buy 10."""
    network = small(
        SERIAL,
        unit_cost=1.0,
        fixed_cost={("S", "dc"): 1.0},
        minimum_quantity={("dc", "st"): 10.0},
        shortage_cost={"st": 100.0},
    )
    solved = optimum(network, {"st": [1.0, 1.0]})
    assert solved.solution.objective == pytest.approx(10 * 1.0 + 1.0)


def test_upstream_can_supply_a_lot_beyond_demand(small, optimum):
    """The same with lots of 10 into the store."""
    network = small(
        SERIAL,
        unit_cost=1.0,
        fixed_cost={("S", "dc"): 1.0},
        lot_size={("dc", "st"): 10.0},
        shortage_cost={"st": 100.0},
    )
    solved = optimum(network, {"st": [1.0, 1.0]})
    assert solved.solution.objective == pytest.approx(10 * 1.0 + 1.0)


def test_stock_moves_to_where_holding_is_cheap(small, optimum):
    """All 50 units leave the dear node although nobody asks for them."""
    network = small(
        {("S", "dc"): 0, ("dc", "st"): 0},
        fixed_cost={("dc", "st"): 2.0},
        holding_cost={"dc": 1.0, "st": 0.1},
        shortage_cost={"st": 9.0},
    )
    solved = optimum(network, {"st": [1.0, 0.0]}, on_hand={"dc": 50.0})
    assert solved.solution.objective == pytest.approx(2.0 + 0.1 * (49 + 49))


def test_frozen_orders_may_exceed_demand(small, optimum):
    """Frozen orders of 20 in the second period go through whatever is asked."""
    network = small(
        SERIAL,
        unit_cost=1.0,
        fixed_cost={("S", "dc"): 5.0},
        shortage_cost={"st": 100.0},
    )
    frozen = np.zeros((1, 2, 2))
    frozen[0, :, 1] = 20.0
    solved = optimum(network, {"st": [0.0, 2.0]}, frozen=frozen)
    assert solved.solution.objective == pytest.approx(20 + 5)
