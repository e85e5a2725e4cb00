"""An instance seen through merged customers: translates state, demand and decisions both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, Network
from optrl_formulations.replenishment_data import Delivery
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.aggregation import Aggregation, aggregate_customers
from optrl.instance import Instance
from optrl.simulation.state import State
from optrl.stages.stage_problem import FrozenRule, StageProblem, StageSolution, StageState


@dataclass(frozen=True)
class CoarseView:
    """An instance and its network with merged customers.

    Attributes:
        instance: The instance on its full network.
        aggregation: Network with zones in place of customers.
        demand_pairs: Which items have demand at which nodes of the coarse network.
    """

    instance: Instance
    aggregation: Aggregation
    demand_pairs: BoolArray

    @classmethod
    def of(
        cls,
        instance: Instance,
        weight: FloatArray,
        *,
        merge: bool = True,
        ranks: int | None = None,
    ) -> CoarseView:
        """Merge customers that are alike.

        Under backorders what waits at each customer matters later, so customers stay as they are.

        Args:
            instance: The instance.
            weight: Typical demand, shape (N, D); pairs of zero weight have no demand at all.
            merge: Whether to merge customers at all.
            ranks: See `aggregate_customers`.
        """
        network = instance.network
        dense = np.zeros((len(network.items), len(network.nodes)))
        dense[:, instance.demand.nodes] = weight
        aggregation = aggregate_customers(
            network, dense, merge=merge and network.unmet == "lost", ranks=ranks
        )
        pairs = aggregation.merge_nodes(dense) > 0
        return cls(instance, aggregation, pairs)

    def demand(self, path: FloatArray) -> FloatArray:
        """Demand (N, D, T) on the coarse network, shape (N, coarse V, T)."""
        return self.aggregation.merge_nodes(self.dense(path))

    def dense(self, path: FloatArray) -> FloatArray:
        """Demand (N, D, T) at all nodes of the full network, shape (N, V, T)."""
        network = self.instance.network
        result = np.zeros((len(network.items), len(network.nodes), path.shape[2]))
        result[:, self.instance.demand.nodes] = path
        return result

    def start(self) -> StageState:
        """The instance's first state."""
        instance = self.instance
        parts = (instance.on_hand, instance.due, instance.backlog)
        return StageState(*(self.aggregation.merge_nodes(part) for part in parts))

    def with_shortage_cost(self, network: Network) -> Network:
        """The coarse network with the shortage costs of another network of the same nodes."""
        coarse = self.aggregation.network
        cost = np.zeros_like(coarse.shortage_cost)
        cost[:, self.aggregation.node] = network.shortage_cost
        return replace(coarse, shortage_cost=cost)

    def held(self) -> BoolArray:
        """Which items lie at, or are on their way to, which nodes at the start."""
        start = self.start()
        held: BoolArray = (start.on_hand > 0) | (start.due > 0).any(axis=2)
        return held

    def states(self, state: State) -> list[StageState]:
        """The state of each scenario."""
        on_hand, due, backlog = (
            part.detach().double().numpy() for part in (state.on_hand, state.due, state.backlog)
        )
        merge = self.aggregation.merge_nodes
        # Float32 rollouts leave dust below zero.
        return [
            StageState(*(merge(np.maximum(part[s], 0.0)) for part in (on_hand, due, backlog)))
            for s in range(on_hand.shape[0])
        ]

    def frozen(self) -> FloatArray:
        """Frozen orders on coarse lanes, shape (N, coarse A, F)."""
        fine = self.instance.frozen
        if not fine.size:
            return np.zeros((0, 0, 0))
        lanes = self.instance.network.replenishment_lanes
        coarse = np.zeros((fine.shape[0], len(self.aggregation.network.lanes), fine.shape[2]))
        coarse[:, self.aggregation.lane[lanes]] = fine[:, lanes]
        return coarse

    def delivery(self, tree: ScenarioTree) -> Delivery | None:
        """What orders on lanes with random arrivals bring in expectation."""
        profiles = self.instance.arrivals
        if not profiles:
            return None
        items, longest = (
            len(self.instance.network.items),
            max(p.fraction.shape[1] for p in profiles),
        )
        share = np.zeros((len(profiles), longest))
        for row, profile in enumerate(profiles):
            share[row, : profile.fraction.shape[1]] = profile.probability @ profile.fraction
        later = tree.depth[:, None] + np.arange(longest)[None, :] >= tree.periods
        pending = share @ later.T
        lanes = self.aggregation.lane[np.array([p.lane for p in profiles])]
        return Delivery(
            lanes=lanes,
            fraction=np.broadcast_to(
                share[None, :, None, :], (items, len(profiles), len(tree.parent), longest)
            ),
            pending=np.broadcast_to(pending[None], (items, *pending.shape)),
        )

    def problem(
        self,
        tree: ScenarioTree,
        network: Network | None = None,
        frozen_as: FrozenRule = "fixed_if_possible",
    ) -> StageProblem:
        """The stage problem over a tree, with what the instance has frozen, on its way and held.

        Args:
            tree: What is known when.
            network: The coarse network, or one of the same shape in its place.
            frozen_as: See `StageProblem`.
        """
        return StageProblem(
            self.aggregation.network if network is None else network,
            tree,
            self.demand_pairs,
            frozen=self.frozen(),
            frozen_as=frozen_as,
            frozen_start=self.instance.start,
            delivery=self.delivery(tree),
            held=self.held(),
        )

    def orders(self, solved: StageSolution) -> FloatArray:
        """Orders on the instance's replenishment lanes by tree node, shape (N, lanes, nodes)."""
        lanes = self.instance.network.replenishment_lanes
        return solved.order[:, self.aggregation.lane[lanes]]

    def serving(self, solved: StageSolution, path: FloatArray) -> FloatArray:
        """Serving flows of a chain split over customers, shape (N, serving lanes, T).

        Args:
            solved: A solution over a chain.
            path: Demand (N, D, T) to split by.
        """
        split = self.aggregation.split_serve(solved.serve[:, :, 1:], self.dense(path))
        return split[:, self.instance.network.serving_lanes]


def with_root(path: FloatArray) -> FloatArray:
    """Demand by period as demand by tree node of a chain: nothing at the root, (N, V, T + 1)."""
    return np.concatenate([np.zeros((*path.shape[:2], 1)), path], axis=2)
