"""First prices: the duals of the whole program for a random sample of items.

Capacities are scaled by the share of items drawn, so that the sample is a small picture of the
whole; its duals estimate those of the whole with an error that falls with the sample.
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_arrays import build_replenishment

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.solver import Model


def sampled_prices(
    problem: ReplenishmentItems, size: int, generator: np.random.Generator
) -> FloatArray:
    """Prices of a sample's program, integers relaxed, shape (R, P).

    Args:
        problem: All items.
        size: Items to draw without replacement; all where there are fewer.
        generator: Draws them.

    Raises:
        optrl.solver.InfeasibleError: If the sample cannot hold its capacities.
    """
    count = min(size, len(problem))
    drawn = np.sort(generator.choice(len(problem), count, replace=False))
    sample = problem.select(drawn, count / len(problem))
    return relaxed_prices(sample)


def relaxed_prices(problem: ReplenishmentItems) -> FloatArray:
    """Duals of the capacity rows of the relaxed program of all its items, shape (R, P)."""
    program = build_replenishment(problem.layout, problem.data)
    program.integrality[:] = False
    duals = Model(program).solve().duals("capacity")
    prices = problem.layout.resource_rows.scatter(-duals, problem.coupling.shape)
    return problem.coupling.clipped(prices)
