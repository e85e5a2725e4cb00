"""Grouped demand: conditional means, best runs, and Jensen's inequality."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrl.decomposition.sddp import SddpError, group_by_means, independent_product


def deviation(p: np.ndarray, edges: tuple[int, ...]) -> float:
    """Mean absolute deviation within the runs between edges."""
    total = 0.0
    for a, b in pairwise(edges):
        mass = p[a:b].sum()
        v = np.arange(a, b)
        mean = p[a:b] @ v / mass
        total += float(p[a:b] @ np.abs(v - mean))
    return total


@given(seed=st.integers(0, 9999), size=st.integers(2, 8), groups=st.integers(1, 6))
def test_runs_are_the_best_of_all(seed: int, size: int, groups: int) -> None:
    """Truth: every way to cut the values into runs."""
    p = np.random.default_rng(seed).dirichlet(np.ones(size))
    groups = min(groups, size)
    found = group_by_means(p, groups)
    best = min(
        deviation(p, (0, *inner, size)) for inner in combinations(range(1, size), groups - 1)
    )
    assert len(found.probability) == groups
    assert found.deviation == pytest.approx(best, abs=1e-9)
    assert found.probability @ found.demand[:, 0] == pytest.approx(p @ np.arange(size))


@given(seed=st.integers(0, 9999), groups=st.integers(1, 9))
def test_convex_functions_only_fall(seed: int, groups: int) -> None:
    """Truth: Jensen's inequality, for a random convex function of demand."""
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(12))
    slopes, kinks = np.sort(generator.normal(size=4)), np.sort(generator.uniform(0, 12, 3))

    def convex(d: np.ndarray) -> np.ndarray:
        rise = np.diff(slopes)
        return slopes[0] * d + (rise * np.maximum(d[:, None] - kinks, 0)).sum(axis=1)

    found = group_by_means(p, groups)
    assert found.probability @ convex(found.demand[:, 0]) <= p @ convex(np.arange(12.0)) + 1e-9


def test_independent_demands_multiply() -> None:
    """Truth: probabilities of pairs are products and means stay."""
    one = group_by_means(np.array([0.2, 0.5, 0.3]), 3)
    two = group_by_means(np.array([0.6, 0.4]), 2)
    both = independent_product([one, two])
    assert both.demand.shape == (6, 2)
    assert both.probability @ both.demand == pytest.approx([1.1, 0.4])
    k = int(np.flatnonzero((both.demand == [2.0, 1.0]).all(axis=1))[0])
    assert both.probability[k] == pytest.approx(0.12)


def test_nonsense_is_refused() -> None:
    """No groups, or values that do not ascend."""
    with pytest.raises(SddpError):
        group_by_means(np.array([1.0]), 0)
    with pytest.raises(SddpError, match="ascend"):
        group_by_means(np.array([0.5, 0.5]), 2, np.array([3.0, 1.0]))
