"""Paired differences on common random numbers, all pairs at once, at several looks.

Costs of K policies on the same S scenarios are a matrix (S, K). For each pair the difference is
taken scenario by scenario, which removes what the scenarios have in common, and has a t interval.

Three levels of care:

* each interval by itself: Student's t;
* all pairs at once: Bonferroni over the K (K - 1) / 2 pairs, valid whatever the dependence that
  common random numbers bring between pairs, and without equal variances;
* all looks at once: at each look at the data a part of the error alpha is spent, and the parts
  sum to alpha. By the union bound the probability that any interval of any look misses is at most
  alpha, so that a run may stop at any look for any reason. The part spent by S of N scenarios is
  alpha S / N (linear spending); no more is spent than that, and the last look of a doubling
  schedule has half of alpha.

The intervals rest on means of scenario costs being about normal, which 32 scenarios and more make
likely but do not prove for costs with heavy tails. A sample without variance says nothing of the
variance: where all differences of a pair are the same number and not 0, no interval is given (it is
infinite). A pair that did the same in all scenarios it met stops no run from ending, but is not
proven alike: `share_that_may_differ` bounds the scenarios in which the two may still differ.

Policies that take long may have met fewer scenarios than the others, the first of the same ones.
Their entries in the matrix are then not a number from there on. Their mean over these few would say
more about the scenarios than about the policy. Every policy is therefore held against an anchor,
the cheapest of those that met all scenarios, on the scenarios that it met; the cost of a policy is
the anchor's plus that difference, and the difference of two policies is that of their differences
to the anchor (`difference_estimate`). Where both met all scenarios this is the paired difference.

Source: Bonferroni paired t under common random numbers: Clark & Yang (1986), A Bonferroni
selection procedure when using common random numbers with unknown variances, WSC; Nelson &
Matejcik (1995), Using common random numbers for indifference-zone selection and multiple
comparisons in simulation, Management Science 41(12). Spending: Lan & DeMets (1983), Discrete
sequential boundaries for clinical trials, Biometrika 70(3); its increments are used here through
the union bound, which needs no joint distribution of the looks. Estimation by differences from a
larger sample: Cochran (1977), Sampling Techniques, 3rd edition, section 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from scipy import stats

_ROUNDING = 1e-12
"""Relative difference of two costs that summation in another order may bring."""


@dataclass(frozen=True)
class PairedDifferences:
    """Differences of the pairs (first, second), each of shape (P,); first before second.

    Attributes:
        first: Column of the first policy.
        second: Column of the second policy.
        scenarios: Scenarios that both have met; t has one degree of freedom less.
        mean: Mean of first less second.
        standard_error: Of the mean; not a number with one scenario.
        half_width: Half of each interval by itself.
        half_width_all: Half of each interval, all pairs and looks at once.
        same: Whether the costs were the same in every scenario that both met.
        may_differ: Share of scenarios in which a pair may differ that was the same in all it met,
            all pairs and looks at once; see `share_that_may_differ`.
    """

    first: IntArray
    second: IntArray
    scenarios: IntArray
    mean: FloatArray
    standard_error: FloatArray
    half_width: FloatArray
    half_width_all: FloatArray
    same: BoolArray
    may_differ: FloatArray


def looks(scenarios: int, first: int) -> tuple[int, ...]:
    """Numbers of scenarios at which to look: `first`, doubled until `scenarios`.

    A last step that would be shorter than half of the one before is left out.
    """
    steps = []
    size = min(first, scenarios)
    while size * 1.5 < scenarios:
        steps.append(size)
        size *= 2
    return (*steps, scenarios)


def spent(schedule: tuple[int, ...], look: int, alpha: float) -> float:
    """Part of `alpha` that look number `look` (from 0) of the schedule spends."""
    before = schedule[look - 1] if look else 0
    return alpha * (schedule[look] - before) / schedule[-1]


def t_half_width(standard_error: FloatArray, scenarios: IntArray | int, alpha: float) -> FloatArray:
    """Half-width of two-sided t intervals of level 1 - alpha; infinite with one scenario.

    Args:
        standard_error: Of each estimate.
        scenarios: That each estimate rests on, one number or as many as estimates.
        alpha: Error.
    """
    count = np.broadcast_to(np.asarray(scenarios), standard_error.shape)
    half = np.full(standard_error.shape, np.inf)
    enough = count >= 2
    half[enough] = standard_error[enough] * stats.t.ppf(1 - alpha / 2, count[enough] - 1)
    return half


def standard_error(values: FloatArray) -> FloatArray:
    """Standard error of the mean over the first axis; not a number with one scenario."""
    count = len(values)
    if count < 2:
        return np.full(values.shape[1:], np.nan)
    error: FloatArray = np.std(values, axis=0, ddof=1) / np.sqrt(count)
    return error


def difference_estimate(base: FloatArray, difference: FloatArray) -> tuple[float, float]:
    """Mean of base plus difference, where differences were seen on the first scenarios alone.

    Args:
        base: On all scenarios, shape (S,).
        difference: On the first n of them, shape (n,).

    Returns:
        Estimate and standard error, which is not a number with n of 1.
    """
    every, some = len(base), len(difference)
    mean = float(base.mean() + difference.mean())
    if some < 2:
        return mean, float("nan")
    shared = float(np.cov(base[:some], difference)[0, 1])
    variance = base.var(ddof=1) / every + difference.var(ddof=1) / some + 2 * shared / every
    return mean, float(np.sqrt(max(0.0, variance)))


def anchor_of(cost: FloatArray) -> int:
    """Column with the lowest mean of those that are numbers throughout."""
    every = np.flatnonzero(np.isfinite(cost).all(axis=0))
    return int(every[np.argmin(cost[:, every].mean(axis=0))])


def paired_differences(cost: FloatArray, alpha: float, alpha_all: float) -> PairedDifferences:
    """Compare all pairs of columns.

    Args:
        cost: Cost of each policy on each scenario, shape (S, K); not a number where a policy has
            not met a scenario, from some scenario on.
        alpha: Error of each interval by itself.
        alpha_all: Error that all pairs share at this look.
    """
    policies = cost.shape[1]
    first, second = np.triu_indices(policies, 1)
    difference = _difference(cost[:, first], cost[:, second])
    met = np.isfinite(cost).sum(axis=0)
    scenarios = np.minimum(met[first], met[second])
    mean, error = difference.mean(axis=0), standard_error(difference)
    limited = np.flatnonzero(scenarios < len(cost))
    if len(limited):
        excess = _difference(cost, cost[:, [anchor_of(cost)]])
    for pair in limited.tolist():
        i, j = int(first[pair]), int(second[pair])
        sign, longer, shorter = (1, i, j) if met[i] >= met[j] else (-1, j, i)
        found, error[pair] = difference_estimate(
            excess[: met[longer], longer], -excess[: met[shorter], shorter]
        )
        mean[pair] = sign * found
    pairs = max(1, len(first))
    seen = np.isfinite(difference)
    largest = np.where(seen, difference, -np.inf).max(axis=0, initial=-np.inf)
    smallest = np.where(seen, difference, np.inf).min(axis=0, initial=np.inf)
    same = (largest == 0) & (smallest == 0)
    error = np.where(_constant(smallest, largest) & ~same & (scenarios > 1), np.inf, error)
    return PairedDifferences(
        first,
        second,
        scenarios,
        mean,
        error,
        t_half_width(error, scenarios, alpha),
        t_half_width(error, scenarios, alpha_all / pairs),
        same,
        share_that_may_differ(scenarios, alpha_all / pairs),
    )


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    """Differences of costs.

    Policies that do the same may be summed in another order: what rounding leaves is no proof.
    """
    difference = one - other
    rounding = _ROUNDING * np.maximum(np.abs(one), np.abs(other))
    difference[np.abs(difference) <= rounding] = 0.0
    return difference


def _constant(smallest: FloatArray, largest: FloatArray) -> BoolArray:
    """Where all differences of a pair are one number, up to rounding."""
    size = np.maximum(np.abs(smallest), np.abs(largest))
    constant: BoolArray = (largest - smallest) <= _ROUNDING * size
    return constant


def share_that_may_differ(scenarios: IntArray, alpha: float) -> FloatArray:
    """Largest share of scenarios in which two policies may differ that were the same in all met.

    A larger share would have shown itself in one of them with probability 1 - alpha or more.

    Args:
        scenarios: Scenarios met, shape (P,).
        alpha: Error of each statement.
    """
    share: FloatArray = 1 - alpha ** (1 / np.maximum(scenarios, 1))
    return share


def dearer(differences: PairedDifferences, policies: int) -> IntArray:
    """Which policy is proven dearer than which, shape (K, K): 1 where row is dearer than column."""
    low = differences.mean - differences.half_width_all
    high = differences.mean + differences.half_width_all
    result = np.zeros((policies, policies), dtype=np.int64)
    result[differences.first[low > 0], differences.second[low > 0]] = 1
    result[differences.second[high < 0], differences.first[high < 0]] = 1
    return result


def rank_bounds(proven: IntArray) -> tuple[IntArray, IntArray]:
    """Best and worst rank that each policy can have, given what is proven, each of shape (K,)."""
    return 1 + proven.sum(axis=1), len(proven) - proven.sum(axis=0)


def settled(
    differences: PairedDifferences, indifference: float, among: BoolArray | None = None
) -> bool:
    """Whether every pair is proven different, or to differ by at most `indifference`, or the same.

    Pairs that were the same in all scenarios count as told, see `share_that_may_differ`.

    Args:
        differences: Of all pairs.
        indifference: Difference that does not matter.
        among: Policies (K,) whose pairs count; all when None.
    """
    low = differences.mean - differences.half_width_all
    high = differences.mean + differences.half_width_all
    apart = (low > 0) | (high < 0)
    alike = (low >= -indifference) & (high <= indifference)
    told = apart | alike
    if among is not None:
        told |= ~(among[differences.first] & among[differences.second])
    return bool(told.all())
