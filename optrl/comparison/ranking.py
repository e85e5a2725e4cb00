"""The ranking of a comparison as a table: estimates, differences to the cheapest, gaps.

Policies that met fewer scenarios than the others (`Settings.limits`) stand beside them by
differences: cost and indicators of such a policy are those of the anchor, the cheapest policy that
met all scenarios, plus what the policy differs from the anchor on the scenarios that both met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray

from optrl.comparison.statistics import (
    dearer,
    difference_estimate,
    rank_bounds,
    standard_error,
    t_half_width,
)
from optrl.simulation.kpis import Indicators

if TYPE_CHECKING:
    from optrl.comparison.measurement import Measurement
    from optrl.comparison.result import Comparison

_INDICATORS = ("fill_rate", "cycle_service", "turns", "mean_stock")


def ranking_table(comparison: Comparison) -> pl.DataFrame:
    """One row a policy, cheapest first; see `Comparison.ranking`."""
    alpha = 1 - comparison.settings.confidence
    names, count = comparison.policies, comparison.counts
    mean, error = cost_estimates(comparison)
    half = t_half_width(error, count, alpha)
    best, worst = rank_bounds(dearer(comparison.differences, len(names)))
    order = np.lexsort((np.arange(len(mean)), mean))
    difference, width = _to(comparison, int(order[0]))
    gap, gap_half = _gaps(comparison)
    rows = []
    for position, k in enumerate(order.tolist()):
        name = names[k]
        rows.append(
            {
                "rank": position + 1,
                "policy": name,
                "scenarios": int(count[k]),
                "cost": mean[k],
                "standard_error": error[k],
                "half_width": half[k],
                "above_best": difference[k],
                "above_best_low": difference[k] - width[k],
                "above_best_high": difference[k] + width[k],
                "best_rank": int(best[k]),
                "worst_rank": int(worst[k]),
                "gap_percent": gap[k],
                "gap_half_width": gap_half[k],
                **_indicators(comparison, name),
                "seconds": comparison.measurements[name].seconds,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def cost_estimates(comparison: Comparison) -> tuple[FloatArray, FloatArray]:
    """Estimated mean cost of each policy and its standard error, each of shape (K,)."""
    cost, anchor = comparison.cost, comparison.policies.index(comparison.anchor)
    every = comparison.counts == comparison.scenarios
    mean, error = np.zeros(cost.shape[1]), np.zeros(cost.shape[1])
    mean[every] = cost[:, every].mean(axis=0)
    error[every] = standard_error(cost[:, every])
    for k in np.flatnonzero(~every).tolist():
        met = int(comparison.counts[k])
        difference = cost[:met, k] - cost[:met, anchor]
        mean[k], error[k] = difference_estimate(cost[:, anchor], difference)
    return mean, error


def _indicators(comparison: Comparison, policy: str) -> dict[str, float]:
    """Indicators of the table."""

    def means(measured: Measurement) -> FloatArray:
        found = Indicators.of(measured.trajectory)
        return np.array([getattr(found, which).mean for which in _INDICATORS])

    return dict(zip(_INDICATORS, comparison.estimate(policy, means).tolist(), strict=True))


def _to(comparison: Comparison, best: int) -> tuple[FloatArray, FloatArray]:
    """Difference of each policy to policy `best` and half-width for all pairs and looks."""
    found, count = comparison.differences, len(comparison.policies)
    mean, width = np.zeros(count), np.zeros(count)
    for own, other, sign in (
        (found.first, found.second, 1),
        (found.second, found.first, -1),
    ):
        here = other == best
        mean[own[here]] = sign * found.mean[here]
        width[own[here]] = found.half_width_all[here]
    return mean, width


def _gaps(comparison: Comparison) -> tuple[FloatArray, FloatArray]:
    """Excess over the reference in percent and its half-width, each of shape (K,)."""
    alpha = 1 - comparison.settings.confidence
    count = len(comparison.policies)
    gap, half = np.full(count, np.nan), np.full(count, np.nan)
    if comparison.optimum is not None:
        mean, error = cost_estimates(comparison)
        scale = 100 / abs(comparison.optimum) if comparison.optimum else np.nan
        return (
            (mean - comparison.optimum) * scale,
            t_half_width(error, comparison.counts, alpha) * scale,
        )
    bounds = len(comparison.bound)
    if not bounds:
        return gap, half
    excess = comparison.cost[:bounds] - comparison.bound[:, None]
    anchor = excess[:, comparison.policies.index(comparison.anchor)]
    level = float(comparison.bound.mean())
    scale = 100 / abs(level) if level else np.nan
    for k in range(count):
        met = min(int(comparison.counts[k]), bounds)
        if met == bounds:
            mean_k, error_k = float(excess[:, k].mean()), float(standard_error(excess[:, k]))
        else:
            mean_k, error_k = difference_estimate(anchor, excess[:met, k] - anchor[:met])
        gap[k] = mean_k * scale
        half[k] = float(t_half_width(np.array([error_k]), met, alpha)[0]) * scale
    return gap, half
