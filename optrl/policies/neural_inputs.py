"""What a policy network sees of an instance besides its state: scales and conditions.

Everything is a ratio, so that an item of ten times the volume is the same to the network and
orders ten times as much:

* the **scale** of an item at a node is the expected demand a period that passes the node;
* conditions of a **node**: cost ratio, whether unmet demand waits, variability, grain (the unit of
  demand or lot over the scale), lead times, base-stock levels over scale, its place in the
  network;
* conditions of a **lane**: lead time, what it costs above the cheapest way, prices.

Where demand changes with time, expected demand of the next periods over the scale can be added
(`forecast`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray, NodeKind
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.networks.graph_policy import LaneGraph
from optrl.policies.levels import mean_rate
from optrl.policies.neural_conditions import NODE_FEATURES, Conditions, InputSpace
from optrl.policies.sourcing import NOWHERE, Sourcing
from optrl.simulation.rows import Rows


@dataclass(frozen=True)
class NeuralInputs:
    """Scales and conditions of an instance.

    Attributes:
        space: Which inputs.
        sourcing: Primary lanes and serving nodes.
        lanes: Replenishment lanes, shape (R,).
        scale: Expected demand that passes a node, positive, shape (N, M).
        node: Conditions of nodes without the forecast, shape (N, M, F).
        lane: Conditions of lanes, shape (N, R, G).
        demand: Demand model of all items, for the forecast.
        items: Which of the instance's items.
    """

    space: InputSpace
    sourcing: Sourcing
    lanes: IntArray
    scale: FloatArray
    node: FloatArray
    lane: FloatArray
    demand: DemandModel
    items: slice

    @classmethod
    def of(
        cls,
        instance: Instance,
        demand: DemandModel,
        space: InputSpace,
        prices: FloatArray | None = None,
    ) -> Self:
        """Look at an instance.

        Args:
            instance: The instance.
            demand: What is believed about its demand.
            space: Which inputs.
            prices: What a unit on each replenishment lane is charged beside its cost, such as
                the price of a resource, shape (N, R); None for nothing.
        """
        sourcing = Sourcing.of(instance)
        lanes = instance.network.replenishment_lanes
        rate = mean_rate(demand, instance.start, instance.horizon)
        scale = np.einsum("nd,ndm->nm", rate, sourcing.supplies)
        # Nodes that primary lanes pass by could still be used: they count as an average node.
        used = scale > 0
        usual = scale.sum(axis=1) / np.maximum(used.sum(axis=1), 1)
        scale = np.where(used, scale, np.where(usual > 0, usual, 1.0)[:, None])
        view = Conditions(instance, demand, sourcing, rate, scale, space, lanes)
        if prices is None:
            prices = np.zeros((len(scale), len(lanes)))
        return cls(
            space,
            sourcing,
            lanes,
            scale,
            view.node_conditions(),
            view.lane_conditions(prices),
            demand,
            slice(0, len(scale)),
        )

    def for_items(self, items: slice) -> Self:
        """Those of some items."""
        return replace(
            self,
            sourcing=self.sourcing.for_items(items),
            scale=self.scale[items],
            node=self.node[items],
            lane=self.lane[items],
            items=_within(self.items, items),
        )

    def node_at(self, period: int) -> FloatArray:
        """Conditions of nodes in a period, shape (N, M, F)."""
        if not self.space.forecast:
            return self.node
        mean = self.demand.mean(period, self.space.forecast)[self.items]
        passing = np.einsum("ndt,ndm->nmt", mean, self.sourcing.supplies)
        return np.concatenate([self.node, passing / self.scale[:, :, None]], axis=2)

    @property
    def echelon_level(self) -> FloatArray:
        """Levels of echelon base stock over the scale, shape (N, M)."""
        return self.node[..., NODE_FEATURES.index("echelon_base_stock")] * self.space.slots

    def deviation(self, to: IntArray) -> FloatArray:
        """Standard deviation of a period's demand that passes nodes `to`, shape (N, len(to)).

        Where demand is certain, its mean.
        """
        variation = self.node[..., NODE_FEATURES.index("variation")]
        return (self.scale * np.where(variation > 0, variation, 1.0))[:, to]

    @cached_property
    def stocked(self) -> IntArray:
        """Positions of lanes that begin at a stocking node."""
        network = self.sourcing.network
        return np.flatnonzero(network.kind[network.origin[self.lanes]] == NodeKind.STOCKING)

    def graph(self, dtype: torch.dtype) -> LaneGraph:
        """Nodes and lanes for messages."""
        network, stocking = self.sourcing.network, self.sourcing.stocking
        to = np.searchsorted(stocking, network.destination[self.lanes])
        fed = self.stocked
        source = np.searchsorted(stocking, network.origin[self.lanes[fed]])
        allowed = network.allowed[self.items][:, self.lanes].astype(float)
        ways = np.zeros(self.scale.shape)
        np.add.at(ways.T, to, allowed.T)
        share = allowed[:, fed] / np.maximum(ways, 1)[:, to[fed]]
        down = share * self.scale[:, to[fed]] / self.scale[:, source]
        count, nodes = len(self.lanes), len(stocking)
        return LaneGraph(
            Rows(to, nodes),
            Rows(fed, count),
            Rows(source, nodes),
            Rows(to[fed], nodes),
            rows_tensor(down, dtype)[..., None],
            rows_tensor(share, dtype)[..., None],
        )

    def below(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Pairs of a node and one that it feeds, directly or not, on primary lanes.

        Returns:
            The upper and lower node of each pair and whether an item has it, shape (pairs,)
            twice and (N, pairs).
        """
        parent = self.sourcing.parent
        nodes = parent.shape[1]
        above = np.zeros((len(parent), nodes, nodes), dtype=bool)
        item = np.arange(len(parent))
        for v in range(nodes):
            ahead = parent[:, v]
            for _ in range(nodes):
                live = ahead != NOWHERE
                if not live.any():
                    break
                above[item[live], ahead[live], v] = True
                ahead = np.where(live, parent[item, np.maximum(ahead, 0)], NOWHERE)
        upper, lower = np.nonzero(above.any(axis=0))
        return upper, lower, above[:, upper, lower].astype(float)


def rows_tensor(values: FloatArray, dtype: torch.dtype) -> Tensor:
    """From (N, rows) to (rows, 1, N)."""
    return torch.from_numpy(np.ascontiguousarray(values.T)).to(dtype)[:, None]


def conditions(values: FloatArray, dtype: torch.dtype) -> Tensor:
    """From (N, rows, features) to contiguous (rows, N, features)."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(1, 0, 2))).to(dtype)


def _within(outer: slice, inner: slice) -> slice:
    """The items of `inner` among those of `outer`, as a slice of all."""
    chosen = range(outer.start, outer.stop)[inner]
    return slice(chosen.start, chosen.stop)
