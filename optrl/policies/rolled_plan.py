"""A plan made by stage programs, one period after the other, on expected demand.

Each period's program is solved from the state that the periods before it leave, its first decision
is taken and its prices are kept. Such a plan is what the policy does if demand comes as expected:
its first decision is the one to carry out, and what simulation says of the policy holds of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.instance import Instance
from optrl.policies.base import ProgramReport
from optrl.policies.planned import PlannedFlows
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision, State
from optrl.solver import Solution
from optrl.stages.stage_problem import StageSolution


@dataclass(frozen=True)
class StageDecision:
    """What one stage program decided.

    Attributes:
        order: On the instance's replenishment lanes, shape (N, lanes).
        prices: Of each resource in the program's first period, shape (R,).
        status: Whether it is proved to be optimal, and if not why.
        gap: Relative gap of the program.
        seconds: Solving time.
        columns: Size of the program.
        rows: Size of the program.
        warnings: Numerical trouble the solver reported.
    """

    order: FloatArray
    prices: FloatArray
    status: str
    gap: float
    seconds: float
    columns: int
    rows: int
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, order: FloatArray, prices: FloatArray, solution: Solution) -> StageDecision:
        """What one program in HiGHS decided."""
        return cls(
            order=order,
            prices=prices,
            status=solution.status.name.lower(),
            gap=solution.gap,
            seconds=solution.seconds,
            columns=len(solution.program.cost),
            rows=len(solution.program.row_lower),
            warnings=tuple(solution.warnings),
        )


def first_prices(solved: StageSolution, by_node: FloatArray) -> FloatArray:
    """Prices of the first period, shape (R,), from prices by tree node, shape (R, tree nodes).

    Where capacity limits what follows demand, the prices of the first period's outcomes add up:
    one more unit is there in each of them.
    """
    layout = solved.layout
    root, outcomes = layout.tree.depth == 0, layout.tree.depth == 1
    prices = np.zeros(by_node.shape[0])
    for r, resource in enumerate(layout.network.resources):
        nodes = outcomes if layout.is_seen_after_demand(resource) else root
        prices[r] = by_node[r, nodes].sum()
    return prices


def roll(
    instance: Instance,
    path: FloatArray,
    decide: Callable[[State, int], StageDecision],
    *,
    method: str,
) -> tuple[PlannedFlows, ProgramReport]:
    """Plan the instance's horizon by a decision after the other.

    Args:
        instance: What to plan.
        path: Expected demand, shape (N, D, T).
        decide: The stage program's decision in a state of one scenario and an absolute period.
        method: What the report says about how the plan was made.
    """
    player = _Player(decide)
    run = simulate(instance, player, path[None], seed=0, dtype=torch.float64, record="full")
    if run.detail is None:
        raise ValueError("a plan needs a rollout recorded in full")
    discount = instance.network.discount ** np.arange(instance.horizon)
    worst = max(player.made, key=lambda made: made.gap)
    report = ProgramReport(
        method=method,
        programs=len(player.made),
        status=worst.status,
        objective=None,
        bound=None,
        gap=worst.gap,
        seconds=sum(made.seconds for made in player.made),
        columns=worst.columns,
        rows=worst.rows,
        # In money of the plan's first period, as the plan's cost is.
        prices=np.stack([made.prices for made in player.made], axis=1) * discount,
        warnings=tuple(dict.fromkeys(text for made in player.made for text in made.warnings)),
    )
    flows = PlannedFlows(
        first_period=instance.start,
        order=run.detail.released[0].numpy(),
        serve=run.detail.served[0].numpy(),
    )
    return flows, report


@dataclass
class _Player:
    """Plays decisions and keeps what else they say."""

    name: ClassVar[str] = "rolled plan"
    make: Callable[[State, int], StageDecision]
    made: list[StageDecision] = field(default_factory=list)

    def decide(self, state: State, period: int) -> Decision:
        """The next decision."""
        self.made.append(self.make(state, period))
        order = torch.as_tensor(self.made[-1].order[None]).to(state.on_hand.dtype)
        return Decision(order=order)
