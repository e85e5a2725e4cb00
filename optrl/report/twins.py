"""Policies that decide the same on an instance, so that a page shows one of them."""

from __future__ import annotations

import numpy as np

from optrl.comparison.result import Comparison
from optrl.comparison.statistics import dearer, rank_bounds

_SAME = 1e-6
"""Largest difference of cost in any scenario, as a share of it, that counts as none: levels of
different formulas are rounded differently."""


def twins(comparison: Comparison) -> dict[str, str]:
    """Policies that cost the same as another in every scenario both met, with that other.

    The one shown is the first given of those that met most scenarios, or the cheapest of all.
    """
    cost, names = comparison.cost, comparison.policies
    cheapest = comparison.ranking["policy"][0]
    order = sorted(
        range(len(names)), key=lambda k: (names[k] != cheapest, -comparison.counts[k], k)
    )
    shown: list[int] = []
    result: dict[str, str] = {}
    for k in order:
        met = int(comparison.counts[k])
        for other in shown:
            both = min(met, int(comparison.counts[other]))
            apart = np.abs(cost[:both, k] - cost[:both, other])
            if (apart <= _SAME * np.abs(cost[:both, other])).all():
                result[names[k]] = names[other]
                break
        else:
            shown.append(k)
    return result


def told_apart(comparison: Comparison) -> list[str]:
    """Policies without twins, cheapest first."""
    left_out = twins(comparison)
    return [p for p in comparison.ranking["policy"].to_list() if p not in left_out]


def ranks(comparison: Comparison) -> dict[str, str]:
    """Ranks not ruled out, among policies without twins, such as ``2 to 4``."""
    shown = told_apart(comparison)
    places = [comparison.policies.index(policy) for policy in shown]
    proven = dearer(comparison.differences, len(comparison.policies))
    best, worst = rank_bounds(proven[np.ix_(places, places)])
    return {
        policy: " to ".join(str(x) for x in sorted({int(low), int(high)}))
        for policy, low, high in zip(shown, best, worst, strict=True)
    }
