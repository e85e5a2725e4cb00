"""What demand seen so far says about an item's level, which multiplies its expected demand.

The level U is gamma with mean 1 before anything is seen. Given U, an item's totals over its nodes
are independent from period to period, and are taken as negative binomial of their exact mean U M
and their exact variance: with unit q and per-period shocks of variance s,

    Var(total | U) = q U M + U**2 (s M**2 + (1 + s) sum over nodes of m**2 / k),

a size that does not depend on U. Matching two moments is the only approximation; how a period's
total is split over nodes, which says little more about U, is not used. The posterior is summed on
grids of log U, each laid closer around what the one before found, and given by its mean and
variance.

Source: Bühlmann & Gisler (2005), A Course in Credibility Theory and its Applications, chapter 2
(gamma-Poisson and other updates of a multiplicative level by Bayes' rule).
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray

# Wide enough for any level, then as wide as the posterior, narrow or not.
_FIRST = np.linspace(np.log(1e-6), np.log(1e3), 100)
_FINER = np.linspace(-1.0, 1.0, 100)
_PASSES = 3
_DEVIATIONS = 8.0


def level_posterior(
    observed: FloatArray, expected: FloatArray, size: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of each item's level given its totals, both of shape (N,).

    Args:
        observed: Total demand of each period, in units, shape (N, T).
        expected: What was expected of it at level 1, in units, shape (N, T); periods of which
            nothing was expected do not count.
        size: Size of the negative binomial, infinite for Poisson, shape (N, T).
        variance: Variance of the level before, shape (N,); zero where it is known to be 1.
    """
    unsure = variance > 0
    shape = 1 / np.where(unsure, variance, 1.0)
    counted = expected > 0
    observed, expected = np.where(counted, observed, 0.0), np.where(counted, expected, 0.0)
    grid = np.broadcast_to(_FIRST, (len(observed), len(_FIRST)))
    for _ in range(_PASSES):
        weight = _weights(grid, observed, expected, size, shape)
        middle = (weight * grid).sum(axis=1)
        spread = np.sqrt((weight * (grid - middle[:, None]) ** 2).sum(axis=1))
        # Where one level has all the weight, the posterior lies between it and those next to it.
        half = np.maximum(_DEVIATIONS * spread, 2 * (grid[:, 1] - grid[:, 0]))
        grid = middle[:, None] + half[:, None] * _FINER
    weight, level = _weights(grid, observed, expected, size, shape), np.exp(grid)
    center = (weight * level).sum(axis=1)
    width = (weight * (level - center[:, None]) ** 2).sum(axis=1)
    return np.where(unsure, center, 1.0), np.where(unsure, width, 0.0)


def _weights(
    grid: FloatArray,
    observed: FloatArray,
    expected: FloatArray,
    size: FloatArray,
    shape: FloatArray,
) -> FloatArray:
    """What the posterior gives to each logarithm of a level, shape (N, levels) as the grid."""
    level = np.exp(grid)
    # In log U, so that the gamma density is multiplied by U.
    logarithm = shape[:, None] * (grid - level)
    mean = expected[:, :, None] * level[:, None, :]
    finite = np.isfinite(size)[:, :, None]
    over = np.where(np.isfinite(size), size, 1.0)[:, :, None]
    spread = np.where(finite, (observed[:, :, None] + over) * np.log1p(mean / over), mean)
    logarithm = logarithm + observed.sum(axis=1)[:, None] * grid - spread.sum(axis=1)
    weight = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    normed: FloatArray = weight / weight.sum(axis=1, keepdims=True)
    return normed
