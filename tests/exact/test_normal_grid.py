"""Normal demand between two demands on a grid, by their loss functions."""

import numpy as np
import pytest
from scipy import stats

from optrl.exact.errors import ExactError
from optrl.exact.normal_grid import normal_below_grid, normal_on_grid


def normal_loss(mean: float, sd: float, k: np.ndarray) -> np.ndarray:
    """E max(D - k, 0)."""
    z = (k - mean) / sd
    return sd * (stats.norm.pdf(z) - z * stats.norm.sf(z))


def grid_loss(probability: np.ndarray, unit: float, k: np.ndarray) -> np.ndarray:
    """The same of demand on a grid."""
    values = unit * np.arange(len(probability))
    return np.maximum(values - k[:, None], 0) @ probability


@pytest.mark.parametrize("unit", [0.03, 0.11, 0.5, 0.97])
def test_loss_functions_enclose_the_normal_one(unit):
    """Truth: convex order is the order of loss functions, at all levels, with one mean."""
    mean, sd = 9.3, 1.0
    below, above = normal_below_grid(mean, sd, unit), normal_on_grid(mean, sd, unit)
    k = np.linspace(mean - 6 * sd, mean + 6 * sd, 4001)
    exact = normal_loss(mean, sd, k)
    assert (grid_loss(below.probability, unit, k) <= exact + 1e-12).all()
    assert (grid_loss(above.probability, unit, k) >= exact - 1e-12).all()
    for law in (below, above):
        assert unit * law.mean == pytest.approx(mean, abs=1e-12)
    between = unit**2 * (above.variance - below.variance)
    assert 0 < between < 0.65 * unit**2
    assert unit**2 * below.variance < sd**2 < unit**2 * above.variance


def test_coarse_grids_and_negative_demand_are_refused():
    """The bracket needs a grid finer than the spread, and demand away from zero."""
    with pytest.raises(ExactError, match="too coarse"):
        normal_below_grid(10.0, 1.0, 1.7)
    with pytest.raises(ExactError, match="clipped at zero"):
        normal_on_grid(3.0, 1.0, 0.1)
