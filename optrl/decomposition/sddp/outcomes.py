"""Demand of a period as few outcomes, so that bounds stay bounds.

Outcomes are grouped and each group stands as its conditional mean with its probability. For a
cost-to-go that is convex in demand (demand moves right-hand sides only) Jensen's inequality in
each group makes the expected cost of the grouped demand at most the true one: the optimum of the
grouped problem, and every bound of it, bounds the true problem from below. It is no bound from
above, and where demand changes costs or coefficients it is none at all.

Source: Birge & Louveaux (2011), Introduction to Stochastic Programming, 2nd ed., section 8.2
(Jensen's bound on a partition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.sddp.errors import SddpError


@dataclass(frozen=True)
class DemandOutcomes:
    """Outcomes of one period's demand.

    Attributes:
        probability: Shape (n,), sums to 1.
        demand: Shape (n, K) for K pairs of item and node.
        deviation: Mean absolute deviation of the true demand from the outcome it is grouped
            into, summed over the pairs: what grouping leaves out; 0 where nothing is grouped.
    """

    probability: FloatArray
    demand: FloatArray
    deviation: float = 0.0

    def __post_init__(self) -> None:
        total = float(self.probability.sum())
        if self.demand.ndim != 2 or len(self.demand) != len(self.probability):
            raise SddpError(
                f"demand {self.demand.shape} must have shape ({len(self.probability)}, pairs)"
            )
        if (self.probability < 0).any() or abs(total - 1) > 1e-9:
            raise SddpError(f"probabilities of demand sum to {total:.12g}; they must sum to 1")
        if not np.isfinite(self.demand).all() or (self.demand < 0).any():
            raise SddpError("demand must be finite and not negative")


def group_by_means(
    probability: FloatArray, groups: int, values: FloatArray | None = None
) -> DemandOutcomes:
    """Group one demand's outcomes into runs of neighbours, each by its conditional mean.

    The runs are those that leave the least mean absolute deviation within groups, found by
    dynamic programming.

    Args:
        probability: Of each value, shape (n,), sums to 1.
        groups: At most so many outcomes.
        values: Ascending, shape (n,); None for 0, 1, 2, ...
    """
    values = np.arange(len(probability), dtype=float) if values is None else values
    if groups < 1 or (np.diff(values) <= 0).any():
        raise SddpError(
            f"{groups} groups of values {values[:4]}...: give one group at least and "
            "values that ascend"
        )
    keep = probability > 0
    p, v = probability[keep], values[keep]
    groups = min(groups, len(p))
    cost = _deviations(p, v)
    best = cost[0].copy()
    cut: list[IntArray] = []
    for _ in range(1, groups):
        # best[j]: least deviation of values 0..j in the groups so far; the next begins at i.
        begin = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        cut.append(begin.argmin(axis=0))
        best = begin.min(axis=0)
    edges, last = [len(p)], len(p) - 1
    for start in reversed(cut):
        edges.append(int(start[last]))
        last = edges[-1] - 1
    edges.append(0)
    runs = [slice(a, b) for a, b in zip(edges[1:], edges[:-1], strict=True) if a < b][::-1]
    mass = np.array([p[run].sum() for run in runs])
    mean = np.array([p[run] @ v[run] for run in runs]) / mass
    deviation = float(sum(p[r] @ np.abs(v[r] - m) for r, m in zip(runs, mean, strict=True)))
    return DemandOutcomes(mass / mass.sum(), mean[:, None], deviation)


def _deviations(p: FloatArray, v: FloatArray) -> FloatArray:
    """Mean absolute deviation within the run i..j, inf where j < i, shape (n, n)."""
    n = len(p)
    mass, first = np.append(0.0, np.cumsum(p)), np.append(0.0, np.cumsum(p * v))
    i, j = np.arange(n)[:, None], np.arange(n)[None, :]
    weight, total = mass[j + 1] - mass[i], first[j + 1] - first[i]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(weight > 0, total / weight, v[i])
    middle = np.clip(np.searchsorted(v, mean, side="right"), i, j + 1)
    below = mean * (mass[middle] - mass[i]) - (first[middle] - first[i])
    return np.where(j >= i, np.maximum(2 * below, 0.0), np.inf)


def independent_product(parts: Sequence[DemandOutcomes]) -> DemandOutcomes:
    """All combinations of outcomes of independent pairs: for few pairs with few outcomes."""
    probability, demand = np.ones(1), np.zeros((1, 0))
    for part in parts:
        count, more = len(probability), len(part.probability)
        probability = np.repeat(probability, more) * np.tile(part.probability, count)
        demand = np.hstack([np.repeat(demand, more, axis=0), np.tile(part.demand, (count, 1))])
    deviation = sum(part.deviation for part in parts)
    return DemandOutcomes(probability / probability.sum(), demand, float(deviation))
