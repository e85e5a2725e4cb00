"""Compass search: it descends, keeps to bounds, and goes on where it stopped."""

import numpy as np
import pytest

from optrl.learning.compass import Compass


def bowl(point):
    """A quadratic whose smallest value within the bounds used here is at (1, 0)."""
    return float((point[0] - 1.0) ** 2 + 3.0 * (point[1] + 2.0) ** 2)


def moved(compass, trials):
    points = []
    for _ in range(trials):
        point = compass.propose()
        points.append(point)
        compass.tell(point, bowl(point))
    return points


def test_it_comes_to_the_cheapest_point_within_the_bounds():
    """The second number would be -2; it may not fall below 0."""
    compass = Compass(np.array([4.0, 1.5]), 0.5, 1e-3, np.array([-np.inf, 0.0]))
    points = moved(compass, 120)
    assert points[0] == pytest.approx([4.0, 1.5])
    assert min(point[1] for point in points) >= 0
    assert compass.best == pytest.approx([1.0, 0.0], abs=2e-3)
    assert compass.cost == pytest.approx(bowl(compass.best))


def test_the_first_point_is_no_step_in_a_direction():
    """It costs what it costs; after it both directions of the first number are tried."""
    compass = Compass(np.array([1.0, 0.0]), 0.5, 0.1)
    points = moved(compass, 3)
    assert points[1] == pytest.approx([1.5, 0.0])
    assert points[2] == pytest.approx([0.5, 0.0])


def test_a_factor_shortens_the_step():
    """In both directions, and not the first point."""
    compass = Compass(np.array([1.0, 0.0]), 0.5, 0.1)
    tried = []
    for _ in range(3):
        point = compass.propose(0.1)
        tried.append(point)
        compass.tell(point, bowl(point))
    assert np.array(tried) == pytest.approx(np.array([[1.0, 0.0], [1.05, 0.0], [0.95, 0.0]]))


@pytest.mark.parametrize("after", [0, 1, 7, 30])
def test_a_search_that_is_restored_goes_on_the_same(after):
    """From tensors and numbers alone."""
    one = Compass(np.array([4.0, 1.5]), 0.5, 1e-3)
    moved(one, after)
    other = Compass(np.array([9.0, 9.0]), 0.5, 1e-3)
    other.restore(one.tensors(), one.numbers())
    expected, found = moved(one, 20), moved(other, 20)
    assert np.array(found) == pytest.approx(np.array(expected))
