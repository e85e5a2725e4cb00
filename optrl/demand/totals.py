"""Sums over groups of demand nodes, and blocks of scenarios, shared by the models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from optrl_formulations.network import FloatArray

BLOCK_CELLS = 4_000_000
"""Cells drawn at once: bounds temporary memory to some tens of megabytes an array."""


def independent_total(groups: FloatArray, variance: FloatArray) -> FloatArray:
    """Variance of group totals when all nodes and periods are independent.

    Args:
        groups: Weights, shape (N, D, G).
        variance: Shape (N, D, periods).

    Returns:
        Shape (N, G).
    """
    return group_sum(groups**2, variance.sum(axis=2, keepdims=True))[:, :, 0]


def group_sum(groups: FloatArray, values: FloatArray) -> FloatArray:
    """Sum over demand nodes of weight times value, shapes (N, D, G), (N, D, T) -> (N, G, T)."""
    total: FloatArray = np.matmul(groups.transpose(0, 2, 1), values)
    return total


def scenario_blocks(scenarios: int, cells: int) -> Iterator[slice]:
    """Slices of scenarios whose draws, `cells` each, fit into one block."""
    step = max(1, BLOCK_CELLS // max(cells, 1))
    for start in range(0, scenarios, step):
        yield slice(start, min(start + step, scenarios))
