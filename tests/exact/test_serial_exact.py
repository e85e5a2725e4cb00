"""Clark and Scarf's recursion."""

import numpy as np
import pytest
from scipy import stats

from optrl.exact.errors import ExactError
from optrl.exact.serial import SerialSystem, solve


def test_one_stage_is_the_newsvendor():
    """A single stage has the closed form of the normal newsvendor."""
    solution = solve(SerialSystem(5.0, 1.0, (2.0,), 18.0, (4,)))
    ratio = 18 / 20
    level = 20 + 2 * stats.norm.ppf(ratio)
    assert solution.level[0] == pytest.approx(level, abs=1e-5)
    assert solution.cost == pytest.approx(20 * 2 * stats.norm.pdf(stats.norm.ppf(ratio)), rel=1e-9)


def test_the_cost_is_homogeneous_and_resolved():
    """Costs scale with money and units; halving the spacing changes nothing to 1e-8."""
    case = SerialSystem(5.0, 1.0, (7.0, 4.0, 2.0), 37.12, (1, 1, 2))
    cost = solve(case).cost
    assert solve(case, resolution=200).cost == pytest.approx(cost, rel=1e-8)
    scaled = SerialSystem(50.0, 10.0, (14.0, 8.0, 4.0), 74.24, (1, 1, 2))
    assert solve(scaled).cost == pytest.approx(20 * cost, rel=1e-8)


def test_a_free_warehouse_step_adds_its_lead_time():
    """With equal holding costs two stages are one with both lead times, pipeline charged."""
    two = solve(SerialSystem(5.0, 1.0, (3.0, 3.0), 20.0, (2, 3)))
    one = solve(SerialSystem(5.0, 1.0, (3.0,), 20.0, (5,)))
    assert two.cost == pytest.approx(one.cost + 3.0 * 5.0 * 2, rel=1e-7)
    assert np.isfinite(two.level).all()


def test_holding_costs_that_grow_upstream_are_refused():
    """Echelon holding costs must not be negative."""
    with pytest.raises(ExactError, match="not grow upstream"):
        SerialSystem(5.0, 1.0, (2.0, 3.0), 20.0, (1, 1))
