"""A plan made by one program over the whole horizon, on expected demand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from optrl_formulations.network import FloatArray, Network
from optrl_formulations.replenishment_data import StockValue

from optrl.policies.base import ProgramReport
from optrl.policies.planned import PlannedFlows
from optrl.solver.highs import Progress
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import StageProblem, StageSolution

PLANNED_AT_ONCE = 400_000
"""Flows (items, lanes and periods) up to which one program plans the horizon: a minute or two."""


def needs_whole_horizon(network: Network) -> bool:
    """Whether limits or costs reach over the horizon, so that no decision at a time keeps them.

    Service levels count over the horizon; storage that must not overflow may have to be kept free
    long before; fixed costs, least quantities and set-ups pay off over many periods.
    """
    storage = [r for r in network.resources if r.kind == "storage"]
    return bool(
        (network.service_level > 0).any()
        or any(np.isinf(r.overflow_cost) for r in storage)
        or (network.fixed_cost > 0).any()
        or (network.joint_fixed_cost > 0).any()
        or (network.minimum_quantity > 0).any()
        or (network.setup_time > 0).any()
    )


def plan_horizon(
    view: CoarseView,
    problem: StageProblem,
    path: FloatArray,
    values: tuple[StockValue, ...],
    prices: Callable[[StageProblem, StageSolution], FloatArray],
    *,
    method: str,
    time_limit: float | None,
    relative_gap: float,
    progress: Callable[[Progress], None] | None,
) -> tuple[PlannedFlows, ProgramReport]:
    """Solve once over the instance's horizon, service levels and storage limits kept.

    Args:
        view: The instance with customers merged.
        problem: The problem over a chain of the horizon's periods.
        path: Expected demand, shape (N, D, T).
        values: Values of stock.
        prices: Gives prices by tree node, shape (R, tree nodes), in true money.
        method: What the report says about how the plan was made.
        time_limit: Seconds.
        relative_gap: At which a MIP may stop.
        progress: Called with the state of a long MIP.
    """
    instance = view.instance
    solved = problem.solve(
        view.start(),
        instance.start,
        with_root(view.demand(path)),
        values,
        time_limit=time_limit,
        relative_gap=relative_gap,
        progress=progress,
    )
    flows = PlannedFlows(
        first_period=instance.start,
        order=view.orders(solved)[:, :, :-1],
        serve=view.serving(solved, path),
    )
    return flows, _report(solved, prices(problem, solved), method)


def _report(solved: StageSolution, by_node: FloatArray, method: str) -> ProgramReport:
    """What solving a chain gave, with prices by tree node, shape (R, tree nodes)."""
    solution, layout = solved.solution, solved.layout
    prices = np.zeros((by_node.shape[0], layout.tree.periods))
    for r, resource in enumerate(layout.network.resources):
        after = layout.is_seen_after_demand(resource)
        prices[r] = by_node[r, 1:] if after else by_node[r, :-1]
    return ProgramReport(
        method=method,
        programs=1,
        status=solution.status.name.lower(),
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        seconds=solution.seconds,
        columns=len(solution.program.cost),
        rows=len(solution.program.row_lower),
        prices=prices,
        warnings=tuple(solution.warnings),
    )
