"""A stage problem that ends in a value function: its horizon is short, its sight is not.

After the last decisions a convex or ReLU value function of stock, pipeline and backlog stands for
everything that is to come; it is embedded exactly (`optrl.values.embedding`), once for each of
these decisions, and moves with the stage's data. After each solve the embedded value is compared
with the float64 forward pass.

Two moments are possible. With ``next_decision`` the function sees the state that follows the last
period's demand. With ``after_decision`` it stands before that demand: costs and demand of the last
period are the function's own, so that a stage of one decision needs no demand at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, Network
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData, StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver.highs import Progress
from optrl.stages.stage_problem import FrozenRule, StageProblem, StageSolution, StageState
from optrl.values.base import ValueFunction, ValueFunctionError
from optrl.values.embedding import Embedding, embed
from optrl.values.program_state import program_columns
from optrl.values.state_columns import StateColumns

_AFTER_DEMAND = ("serve", "unmet", "on_hand", "overflow")


class ValuedStageProblem(StageProblem):
    """See the module's docstring.

    Args:
        network: As for `StageProblem`; its terminal values are replaced by the value function.
        tree: What is known when.
        demand_pairs: Which items have demand at which nodes, shape (N, V).
        value: The value function, in money.
        columns: The state that it takes.
        frozen: As for `StageProblem`, like all that follow.
        frozen_as: See there.
        frozen_start: See there.
        delivery: See there.
        held: See there.

    Raises:
        ValueFunctionError: If sizes differ, or stock on its way costs something, which no state
            column counts.
    """

    def __init__(
        self,
        network: Network,
        tree: ScenarioTree,
        demand_pairs: BoolArray,
        value: ValueFunction,
        columns: StateColumns,
        *,
        frozen: FloatArray | None = None,
        frozen_as: FrozenRule = "fixed",
        frozen_start: int = 0,
        delivery: Delivery | None = None,
        held: BoolArray | None = None,
    ) -> None:
        """See the class."""
        if value.size != columns.size:
            raise ValueFunctionError(
                f"the value function has {value.size} arguments, its state {columns.size} columns"
            )
        if network.transit_cost is not None:
            raise ValueFunctionError(
                "stock on its way costs something here, which the state of a value function does "
                "not count: put that cost into the lane's"
            )
        super().__init__(
            replace(network, terminal_value=np.zeros_like(network.terminal_value)),
            tree,
            demand_pairs,
            frozen=frozen,
            frozen_as=frozen_as,
            frozen_start=frozen_start,
            delivery=delivery,
            held=held,
        )
        self.value = value
        self.columns = columns
        self.difference = 0.0
        """Largest relative difference of embedded and forward value seen so far."""
        self._after = columns.moment == "after_decision"
        self._embedding: Embedding | None = None

    @property
    def valued_nodes(self) -> list[int]:
        """Tree nodes at which the value function stands."""
        last = self.tree.periods - 1 if self._after else self.tree.periods
        return [int(node) for node in np.flatnonzero(self.tree.depth == last)]

    def solve(
        self,
        state: StageState,
        period: int,
        demand: FloatArray,
        stock_values: tuple[StockValue, ...] = (),
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> StageSolution:
        """As `StageProblem.solve`; demand of a last period that the function covers is ignored.

        Raises:
            optrl.values.base.EmbeddingError: If the embedded value is not the forward pass's.
        """
        if self._after:
            demand = demand.copy()
            demand[:, :, self.tree.leaves] = 0.0
        solved = super().solve(
            state,
            period,
            demand,
            stock_values,
            time_limit=time_limit,
            relative_gap=relative_gap,
            progress=progress,
        )
        if self._embedding is not None and self._model is not None:
            found = self._embedding.check(self._model, solved.solution)
            self.difference = max(self.difference, found)
        return solved

    def _program(self, layout: ReplenishmentLayout, data: ReplenishmentData) -> LinearProgram:
        program = build_replenishment(layout, data)
        tree = self.tree
        weight = tree.probability * layout.network.discount**tree.depth
        if self._after:
            cost = program.cost.copy()
            for name in _AFTER_DEMAND:
                index = layout.demand if name == "unmet" else getattr(layout, name)
                last = tree.depth[tuple(index)[-1]] == tree.periods
                cost[program.columns[name].slice][last] = 0.0
            program = replace(program, cost=cost)
        nodes = self.valued_nodes
        arguments = program_columns(
            self.columns, layout, data.due.shape[2], nodes, delivery=data.delivery
        )
        self._embedding = embed(program, self.value, arguments, weight[nodes])
        return self._embedding.program
