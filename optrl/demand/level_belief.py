"""What demand seen so far says about an item's level, which multiplies its expected demand.

The level U is gamma with mean 1 before anything is seen. Given U, an item's totals over its nodes
are independent from period to period, and are taken as negative binomial of their exact mean U M
and their exact variance: with unit q and per-period shocks of variance s,

    Var(total | U) = q U M + U**2 (s M**2 + (1 + s) sum over nodes of m**2 / k),

a size that does not depend on U. Matching two moments is the only approximation; how a period's
total is split over nodes, which says little more about U, is not used. The posterior is summed on
a grid of log U and given by its mean and variance.

Source: Bühlmann & Gisler (2005), A Course in Credibility Theory and its Applications, chapter 2
(gamma-Poisson and other updates of a multiplicative level by Bayes' rule).
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray

# Levels from a fiftieth of what was expected to ten times it; steps of 2.5 %, no wider than the
# spread that a year of demand leaves.
_LOG_LEVELS = np.arange(np.log(0.02), np.log(10.0), 0.025)


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
    level = np.exp(_LOG_LEVELS)
    unsure = variance > 0
    shape = 1 / np.where(unsure, variance, 1.0)
    # In log U, so that the gamma density is multiplied by U.
    logarithm = shape[:, None] * (_LOG_LEVELS - level)
    counted = expected > 0
    observed = np.where(counted, observed, 0.0)[:, :, None]
    mean = np.where(counted, expected, 0.0)[:, :, None] * level
    over = np.where(np.isfinite(size), size, 1.0)[:, :, None]
    spread = np.where(
        np.isfinite(size)[:, :, None], (observed + over) * np.log1p(mean / over), mean
    )
    logarithm = logarithm + (observed * _LOG_LEVELS - spread).sum(axis=1)
    weight = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    center = weight @ level
    width = weight @ level**2 - center**2
    return np.where(unsure, center, 1.0), np.where(unsure, np.maximum(width, 0.0), 0.0)
