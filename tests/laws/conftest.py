"""Solves an instance's chain problem and plays its decisions in the simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from optrl_formulations.network import FloatArray, NodeKind
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.instance import Instance
from optrl.policies.planned import PlannedDecisions, PlannedFlows
from optrl.simulation.rollout import simulate
from optrl.simulation.trajectory import Trajectory
from optrl.solver import Model, Solution
from optrl.stages.stage_problem import StageSolution


@dataclass(frozen=True)
class Solved:
    """A solved problem with its flows as dense arrays by tree node."""

    layout: ReplenishmentLayout
    data: ReplenishmentData
    model: Model
    solution: Solution

    def dense(self, name: str) -> FloatArray:
        """Values of a column block, shape (N, V or A, tree nodes), (A or R, tree nodes)."""
        layout = self.layout
        n, v, a, nodes = layout.shape
        shape = {
            **dict.fromkeys(("order", "serve", "used", "lots"), (n, a, nodes)),
            "lane_used": (a, nodes),
            "overflow": (len(layout.network.resources), nodes),
        }.get(name, (n, v, nodes))
        index = layout.demand if name == "unmet" else getattr(layout, name)
        return index.scatter(self.solution.values(name), shape)


class Laws:
    """What the law tests share."""

    @staticmethod
    def own_demand_first(instance: Instance) -> Instance:
        """Demand at stocking nodes made dearest: the simulator serves it first anyway."""
        network = instance.network
        stocking = (network.kind == NodeKind.STOCKING)[None, :]
        shortage = np.where(stocking, 500.0, network.shortage_cost)
        return replace(instance, network=replace(network, shortage_cost=shortage))

    @staticmethod
    def tree_demand(instance: Instance, tree: ScenarioTree, quantity: FloatArray) -> FloatArray:
        """Demand (N, D, tree nodes) at all nodes of the network."""
        network = instance.network
        dense = np.zeros((len(network.items), len(network.nodes), len(tree.parent)))
        dense[:, instance.demand.nodes] = quantity
        return dense

    @staticmethod
    def problem(
        instance: Instance,
        tree: ScenarioTree,
        demand: FloatArray,
        delivery: Delivery | None = None,
        **more: Any,
    ) -> tuple[ReplenishmentLayout, ReplenishmentData]:
        """Layout and data of an instance over a tree, demand (N, V, tree nodes)."""
        network = instance.network
        pairs = np.zeros((len(network.items), len(network.nodes)), dtype=bool)
        pairs[:, instance.demand.nodes] = True
        layout = ReplenishmentLayout(network, tree, instance.start, pairs)
        stocked = layout.stocked
        data = ReplenishmentData(
            on_hand=instance.on_hand * stocked,
            due=instance.due * stocked[:, :, None],
            backlog=instance.backlog,
            demand=demand,
            frozen=instance.frozen if instance.frozen.size else None,
            delivery=delivery,
            **more,
        )
        return layout, data

    @staticmethod
    def solve(layout: ReplenishmentLayout, data: ReplenishmentData) -> Solved:
        """Solve, MIPs to a gap of 1e-9."""
        model = Model(build_replenishment(layout, data))
        return Solved(layout, data, model, model.solve(relative_gap=1e-9))

    @staticmethod
    def play(instance: Instance, solved: Solved, path: FloatArray, seed: int = 0) -> Trajectory:
        """Play a chain's flows in the simulator on demand (N, D, T)."""
        network = instance.network
        decoded = StageSolution(solved.layout, solved.solution)
        flows = PlannedFlows(
            instance.start,
            decoded.order[:, network.replenishment_lanes, :-1],
            decoded.serve[:, network.serving_lanes, 1:],
        )
        return simulate(
            instance,
            PlannedDecisions(flows),
            path[None],
            seed=seed,
            dtype=torch.float64,
            record="full",
        )


@pytest.fixture(scope="session")
def laws() -> type[Laws]:
    """Helpers of the law tests."""
    return Laws
