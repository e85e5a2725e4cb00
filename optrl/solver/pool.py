"""Independent models solved side by side."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from optrl.solver.model import Model
from optrl.solver.solution import Solution


def solve_all(
    models: Sequence[Model],
    workers: int,
    *,
    time_limit: float | None = None,
    relative_gap: float | None = None,
) -> list[Solution]:
    """Solve models in a pool of threads, which run in parallel because HiGHS frees the GIL.

    Args:
        models: Different models; each keeps its basis for the next time.
        workers: Number of threads.
        time_limit: Seconds for each model.
        relative_gap: See `Model.solve`.

    Returns:
        Solutions in the order of the models.

    Raises:
        ValueError: If a model is listed twice.
        SolverError: The first failure in the order of the models, after all have ended.
    """
    if len({id(model) for model in models}) < len(models):
        raise ValueError("a model is listed twice: one model cannot be solved by two threads")

    def solve(model: Model) -> Solution:
        return model.solve(time_limit=time_limit, relative_gap=relative_gap)

    if workers <= 1:
        return [solve(model) for model in models]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(solve, models))
