"""Paths of expected demand."""

import numpy as np
import pytest

from optrl.demand.paths import DemandPeriodError, ScaledPath, SeasonalPath, TablePath, steady


def test_season_is_counted_in_absolute_periods():
    """Period t takes factor t mod P, wherever the window starts."""
    path = SeasonalPath(np.array([[2.0, 10.0]]), np.array([[0.5, 1.0, 1.5]]))
    np.testing.assert_allclose(path.at(4, 3)[0], [[2.0, 3.0, 1.0], [10.0, 15.0, 5.0]])


def test_growth_is_damped_and_starts_at_the_origin():
    """Growth after h periods is the sum of damping powers; it never turns demand negative."""
    path = SeasonalPath(
        np.ones((2, 1)), np.ones((2, 1)), np.array([0.1, -5.0]), damping=0.5, origin=10
    )
    np.testing.assert_allclose(path.at(8, 5)[0, 0], [1, 1, 1.05, 1.075, 1.0875])
    np.testing.assert_allclose(path.at(10, 3)[1, 0], 0.0)


def test_tables_repeat_their_last_season():
    """Beyond the table its last season repeats, or its last value without a whole season."""
    values = np.arange(5.0)[None, None, :]
    np.testing.assert_array_equal(
        TablePath(values, 100, season=3).at(103, 7)[0, 0], [3, 4, 2, 3, 4, 2, 3]
    )
    np.testing.assert_array_equal(TablePath(values, 100, season=6).at(103, 4)[0, 0], [3, 4, 4, 4])
    np.testing.assert_array_equal(TablePath(values, 100).at(120, 2)[0, 0], [4, 4])


def test_periods_before_a_table_are_refused():
    """A forecast knows nothing of periods before it."""
    with pytest.raises(DemandPeriodError, match="period 99"):
        TablePath(np.ones((1, 1, 2)), 100).at(99, 2)


def test_scaled_paths_multiply():
    """The factor of each pair multiplies every period."""
    path = ScaledPath(steady(np.array([[1.0, 2.0]])), np.array([[3.0, 0.5]]))
    assert path.shape == (1, 2)
    np.testing.assert_allclose(path.at(0, 2)[0], [[3.0, 3.0], [1.0, 1.0]])
