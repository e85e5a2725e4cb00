"""How demand spreads about its expectation, from one-step residuals by the method of moments.

The model behind the moments: given the common shocks Z (new each period, the same for all demand
nodes of an item, mean 1, variance s) and U (drawn once, mean 1, variance u), demand of item i at
node j in period t is ``unit[i]`` times a negative binomial with mean Z U m / unit and size k, so

    Var D[j, t] = unit m + (1 + c) m**2 / k + c m**2,       1 + c = (1 + s)(1 + u),
    Cov(D[j, t], D[l, t]) = c m[j] m[l],                    j != l,
    Cov(D[j, t], D[l, r]) = u m[j, t] m[l, r],              t != r.

One-step residuals show s; u shows in errors of totals over many periods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray

from optrl.demand.rates import RateOptions, estimate_rates

SMALLEST_SIZE = 1e-2


@dataclass(frozen=True)
class Dispersion:
    """Parameters of the spread about expected demand.

    Attributes:
        unit: Demand comes in multiples of it, item units, shape (N,).
        size: Negative binomial size k, infinite for Poisson, shape (N, D).
        shock_variance: Variance s of the shock that an item's nodes share in a period, shape (N,).
    """

    unit: FloatArray
    size: FloatArray
    shock_variance: FloatArray


def estimate_dispersion(
    quantity: FloatArray,
    one_step: FloatArray,
    active: BoolArray,
    unit: FloatArray | None = None,
    shrinkage: float = 100.0,
) -> Dispersion:
    """Estimate unit, size and common shock from history and its one-step expectations.

    The squared residual of an item's total, less the squared residuals of its nodes, shows the
    shock. What the nodes' squared residuals hold beyond the unit's part shows the size. It is
    pooled over the item's nodes whose mean lies in the same octave, because large nodes vary
    relatively less than a common size says, and a node's own value counts against that by its
    periods over `shrinkage`. Where history shows less than Poisson variance (in units) the size
    is infinite.

    Args:
        quantity: History, shape (N, D, H).
        one_step: Expected demand given the periods before, shape (N, D, H).
        active: Periods that count, shape (N, H).
        unit: Known unit of each item, shape (N,); estimated when None.
        shrinkage: Periods that the pooled size counts against the node's own.
    """
    mean = one_step * active[:, None, :]
    residual = np.where(active[:, None, :], quantity - mean, 0.0)
    square, first, second = (residual**2).sum(axis=2), mean.sum(axis=2), (mean**2).sum(axis=2)
    shared = (residual.sum(axis=1) ** 2).sum(axis=1) - square.sum(axis=1)
    exposed = (mean.sum(axis=1) ** 2).sum(axis=1) - second.sum(axis=1)
    # One node cannot tell its own variance from a shared one: all of it stays in the size.
    several = (first > 0).sum(axis=1) > 1
    shock = np.where(several, np.maximum(_ratio(shared, exposed), 0.0), 0.0)
    if unit is None:
        unit = typical_unit(square, (quantity * active[:, None, :]).sum(axis=2))

    excess = square - unit[:, None] * first - shock[:, None] * second
    value = _shrunk(excess, second, first, active, shrinkage) / (1 + shock[:, None])
    return Dispersion(unit, size_of(value), shock)


def size_of(relative: FloatArray) -> FloatArray:
    """Negative binomial size of a relative variance beyond the unit's; infinite for none."""
    bounded = np.minimum(relative, 1 / SMALLEST_SIZE)
    return np.divide(1.0, bounded, out=np.full_like(bounded, np.inf), where=bounded > 0)


def relative_variance(
    quantity: FloatArray, one_step: FloatArray, active: BoolArray, shrinkage: float = 100.0
) -> FloatArray:
    """Variance over squared mean of each item and node, all causes together, shape (N, D).

    Pooled and shrunk as in `estimate_dispersion`; zero for items without demand.
    """
    mean = one_step * active[:, None, :]
    residual = np.where(active[:, None, :], quantity - mean, 0.0)
    first, second = mean.sum(axis=2), (mean**2).sum(axis=2)
    return _shrunk((residual**2).sum(axis=2), second, first, active, shrinkage)


def _shrunk(
    excess: FloatArray, second: FloatArray, first: FloatArray, active: BoolArray, shrinkage: float
) -> FloatArray:
    """``excess`` over ``second``, a node's own value drawn to its octave's, shape (N, D)."""
    periods = np.maximum(active.sum(axis=1), 1)[:, None]
    pooled = _pooled_by_octave(excess, second, first / periods)
    own = _ratio(excess, second)
    value: FloatArray = (periods * own + shrinkage * pooled) / (periods + shrinkage)
    return value


def typical_unit(square: FloatArray, observed: FloatArray) -> FloatArray:
    """Quantity in which rarely ordering nodes order, item units, shape (N,).

    Where orders are rare they hardly ever coincide, and squared residuals over demand are the
    (size-biased) mean order, whatever else varies. The quarter of an item's nodes that ordered
    least shows it. 1 for items without demand.

    Args:
        square: Sums of squared residuals, shape (N, D).
        observed: Sums of demand over the same periods, shape (N, D).
    """
    order = np.argsort(np.where(observed > 0, observed, np.inf), axis=1)
    known = (observed > 0).sum(axis=1, keepdims=True)
    taken = np.arange(observed.shape[1]) < np.ceil(known / 4)
    least = np.take_along_axis(observed, order, axis=1) * taken
    spread = np.take_along_axis(square, order, axis=1) * taken
    unit = _ratio(spread.sum(axis=1), least.sum(axis=1))
    return np.where(unit > 0, unit, 1.0)


def _pooled_by_octave(excess: FloatArray, second: FloatArray, mean: FloatArray) -> FloatArray:
    """Ratio of sums over an item's nodes whose mean lies in the same octave, shape (N, D)."""
    octaves = 64
    octave = np.clip(np.log2(np.maximum(mean, 1e-12)) + octaves / 2, 0, octaves - 1)
    key = np.arange(len(mean))[:, None] * octaves + octave.astype(np.int64)
    length = len(mean) * octaves
    above: FloatArray = np.bincount(key.ravel(), excess.ravel(), length).astype(np.float64)
    below: FloatArray = np.bincount(key.ravel(), second.ravel(), length).astype(np.float64)
    pooled: FloatArray = _ratio(above, below)[key]
    return pooled


def level_variance(
    quantity: FloatArray,
    first_period: int,
    season: int,
    horizon: int,
    noise: FloatArray,
    options: RateOptions | None = None,
    origins: int = 4,
) -> FloatArray:
    """Variance u of an item's level over `horizon` periods about its forecast, shape (N,).

    History is cut at up to `origins` points and the rest forecast. The squared relative errors of
    the item's totals, averaged over cuts and less `noise`, count half; the other half is the
    average item's, weighted by the square root of volume. Items too young at a cut do not count
    there. Zeros where history is too short to cut.

    Args:
        quantity: History, shape (N, D, H).
        first_period: Absolute period of the first column.
        season: Periods of a season, 0 for none.
        horizon: Periods of each total, at least 1.
        noise: Variance over squared mean of such a total were its level known, shape (N,).
        options: Memory and pooling of the rates.
        origins: Number of cuts.
    """
    items, _, periods = quantity.shape
    step = max(1, horizon // origins)
    cuts = [periods - horizon - k * step for k in range(origins)]
    cuts = [cut for cut in cuts if cut >= max(2 * horizon, season) // 2 and cut > 0]
    if not cuts:
        return np.zeros(items)
    error: FloatArray = np.zeros(items)
    count: FloatArray = np.zeros(items)
    for cut in cuts:
        rates = estimate_rates(quantity[:, :, :cut], first_period, season, options)
        expected = rates.path.at(first_period + cut, horizon).sum(axis=(1, 2))
        observed = quantity[:, :, cut : cut + horizon].sum(axis=(1, 2))
        known = (rates.active.sum(axis=1) >= horizon / 2) & (expected > 0)
        relative = np.divide(observed, expected, out=np.ones(items), where=known)
        error += np.where(known, np.minimum((relative - 1) ** 2, 4.0), 0.0)
        count += known
    weight = np.sqrt(quantity.sum(axis=(1, 2))) * (count > 0)
    own = np.maximum(_ratio(error, count) - noise, 0.0)
    average = float((weight * own).sum() / max(weight.sum(), 1e-12))
    return (count * own + len(cuts) * average) / (count + len(cuts))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(
        numerator, denominator, out=np.zeros_like(numerator, dtype=float), where=denominator > 0
    )
    return ratio
