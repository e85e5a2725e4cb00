"""What a state after a decision costs when programs with a value function decide from then on.

A linear program of the next periods, given a path of demand, ends in the value function at its last
decisions; its value and the duals of its state (stock, pipeline and backlog are data of the
program, pushed from state to state) are averaged over paths. With one period that is what
follows the best decision of a program of one period: a step of policy improvement over the
policy that the value function counts for. Programs of several periods know their path beforehand,
so that their values are too low where waiting for demand is what stock is kept for.

Where the optimal value has a kink, the duals are one of its subgradients.

Source: Powell (2011), Approximate Dynamic Programming, 2nd ed., sections 8.4 and 13.4 (duals of
stage programs as slopes of value functions); Pereira & Pinto (1991), Multi-stage stochastic
optimization applied to energy planning, Mathematical Programming 52.
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.scenario_tree import ScenarioTree
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.rollout_targets import Afterwards
from optrl.policies.lookahead import elastic
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import StageSolution, StageState
from optrl.stages.valued_stage import ValuedStageProblem
from optrl.values.base import ValueFunction
from optrl.values.state_columns import StateColumns


class ProgramTargets:
    """Values and gradients of states after a decision.

    What is found depends on the states and draws of a call and on those of the calls before, since
    programs start from the last basis and duals need not be unique.

    Args:
        instance: The instance, with continuous quantities.
        demand: Its demand.
        value: What stands after the last decision of a program, convex.
        columns: The state that it takes, after a decision; also that of the gradients.
        periods: Periods of a program, the decision's own included.
        replicates: Demand paths of each state.

    Raises:
        optrl.values.base.ValueFunctionError: If value, columns and instance do not fit.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        value: ValueFunction,
        columns: StateColumns,
        *,
        periods: int,
        replicates: int,
    ) -> None:
        self._demand, self._columns = demand, columns
        self._periods, self._replicates = periods, replicates
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        self._view = CoarseView.of(instance, weight)
        network = self._view.aggregation.network
        tree = ScenarioTree.chain(periods + 1)
        # The decision is in the state already: nothing is ordered before the first demand.
        nothing = np.zeros((len(network.items), len(network.lanes), 1))
        self._stage = ValuedStageProblem(
            elastic(network),
            tree,
            self._view.demand_pairs,
            value,
            columns,
            frozen=nothing,
            delivery=self._view.delivery(tree),
        )

    def __call__(
        self, states: Afterwards, period: int, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean value of the programs that follow, and its gradient.

        Args:
            states: S states after a decision.
            period: Absolute period of that decision.
            generator: Of demand.

        Returns:
            Shapes (S,) and (S, K).
        """
        count = len(states) * self._replicates
        drawn = self._demand.sample(count, period, self._periods, generator)
        # The last period's demand is the value function's own.
        drawn = np.concatenate([drawn, np.zeros((*drawn.shape[:3], 1))], axis=3)
        paths = drawn.reshape(len(states), self._replicates, *drawn.shape[1:])
        self._stage.frozen_start = period
        found = [
            self._averaged(state, period, mine)
            for state, mine in zip(self._states(states), paths, strict=True)
        ]
        values = np.array([value for value, _ in found])
        gradients = np.stack([gradient for _, gradient in found])
        return torch.from_numpy(values).float(), torch.from_numpy(gradients).float()

    def _averaged(
        self, state: StageState, period: int, paths: FloatArray
    ) -> tuple[float, FloatArray]:
        value, total = 0.0, np.zeros(self._columns.size)
        for path in paths:
            solved = self._stage.solve(state, period, with_root(self._view.demand(path)))
            value += solved.solution.objective / len(paths)
            total += self._gradient(solved, state) / len(paths)
        return value, total

    def _gradient(self, solved: StageSolution, state: StageState) -> FloatArray:
        """Duals of the state by column, shape (K,)."""
        layout = solved.layout
        node = self._view.aggregation.node
        periods = state.due.shape[2]
        blocks = {
            "initial_on_hand": (layout.initial_on_hand, state.on_hand.shape),
            "initial_due": (layout.initial_due(periods), state.due.shape),
            "initial_backlog": (layout.initial_backlog, state.backlog.shape),
        }
        parts = []
        for name, (index, shape) in blocks.items():
            known = name in solved.solution.program.data
            dense = (
                index.scatter(solved.solution.gradient(name), shape) if known else np.zeros(shape)
            )
            parts.append(torch.from_numpy(dense[:, node]))
        return np.asarray(self._columns.gather(*parts).numpy())

    def _states(self, states: Afterwards) -> list[StageState]:
        """The states on the network of the program."""
        merge = self._view.aggregation.merge_nodes
        on_hand = states.stock.double().permute(1, 2, 0).numpy()
        due = states.due.double().permute(2, 3, 1, 0).numpy()
        backlog = states.backlog.double().permute(1, 2, 0).numpy()
        # Float32 rollouts leave dust below zero.
        return [
            StageState(*(merge(np.maximum(part[s], 0.0)) for part in (on_hand, due, backlog)))
            for s in range(len(states))
        ]
