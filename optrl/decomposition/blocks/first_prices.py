"""First prices: the duals of the whole program for a random sample of items.

Capacities are scaled by the share of items drawn, so that the sample is a small picture of the
whole; its duals estimate those of the whole with an error that falls with the sample. A few items
are no picture of the others, and their duals are worse than none: where items are so large that
only a few fit a program of moderate size, first prices are zero.
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_arrays import build_replenishment

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.solver import Model, NoSolutionError, Status

_COLUMNS = 60_000
"""Columns of the sample's program, at most."""

_FEWEST = 10
"""Items that are a picture of the others, at least."""

_LARGE = 20_000
"""Columns above which interior point beats the simplex method."""


def sample_size(problem: ReplenishmentItems, size: int) -> int:
    """Items to draw where `size` were asked for; 0 where too few fit the program."""
    wanted = min(size, len(problem))
    fit = min(wanted, int(_COLUMNS / max(problem.columns_per_item, 1.0)))
    return fit if fit >= min(_FEWEST, wanted) else 0


def draw(
    problem: ReplenishmentItems, count: int, generator: np.random.Generator
) -> ReplenishmentItems:
    """A sample of items without replacement, capacities scaled."""
    drawn = np.sort(generator.choice(len(problem), count, replace=False))
    return problem.select(drawn, count / len(problem))


def relaxed_prices(problem: ReplenishmentItems, seconds: float | None = None) -> FloatArray | None:
    """Duals of the capacity rows of the relaxed program of all its items, shape (R, P).

    Args:
        problem: The items.
        seconds: At most; None where that was not enough.

    Raises:
        optrl.solver.InfeasibleError: If the items cannot hold the capacities.
    """
    program = build_replenishment(problem.layout, problem.data)
    program.integrality[:] = False
    try:
        solution = Model(program).solve(
            time_limit=seconds, interior_point=len(program.cost) > _LARGE
        )
    except NoSolutionError:
        return None
    if solution.status is not Status.OPTIMAL:
        return None
    prices = problem.layout.resource_rows.scatter(
        -solution.duals("capacity"), problem.coupling.shape
    )
    return problem.coupling.clipped(prices)
