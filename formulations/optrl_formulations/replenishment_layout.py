"""Which variables and rows the replenishment formulation has, decided once for every builder.

Both builders (Pyomo in `replenishment`, numpy in `replenishment_arrays`) create the components
listed here in the order listed here, so that their results can be decoded by the same index
arrays and compared entry by entry.

Index arrays: i item, v node, a lane, n tree node where a decision is taken, m tree node that is
an outcome (see `scenario_tree`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optrl_formulations.network import (
    BoolArray,
    FloatArray,
    IntArray,
    Network,
    NodeKind,
    Resource,
)
from optrl_formulations.scenario_tree import ScenarioTree


@dataclass(frozen=True)
class Index:
    """Members of a component: up to three aligned index arrays."""

    columns: tuple[IntArray, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[IntArray]:
        return iter(self.columns)

    def scatter(self, values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        """Dense array of `shape` with the members' values and zeros elsewhere."""
        dense = np.zeros(shape)
        dense[self.columns] = values
        return dense

    def gather(self, dense: FloatArray) -> FloatArray:
        """The members' entries of a dense array."""
        return np.asarray(dense, dtype=float)[self.columns]

    def positions(self, shape: tuple[int, ...]) -> IntArray:
        """Dense array of member positions, -1 where there is no member."""
        dense = np.full(shape, -1, dtype=np.int64)
        dense[self.columns] = np.arange(len(self))
        return dense

    @classmethod
    def of(cls, mask: BoolArray) -> Index:
        """Members where `mask` is true, last axis running fastest."""
        return cls(tuple(np.asarray(c, dtype=np.int64) for c in np.nonzero(mask)))


@dataclass(frozen=True)
class ReplenishmentLayout:
    """The components of a replenishment problem.

    Attributes:
        network: Graph, items, coefficients, resources.
        tree: What is known when.
        first_period: Absolute period of the tree's first decision (for calendar, capacities).
        demand_pairs: Which items have demand at which nodes, shape (N, V).
        held: Which items may lie at which nodes that none of their lanes touches, shape (N, V).
    """

    network: Network
    tree: ScenarioTree
    first_period: int
    demand_pairs: BoolArray
    held: BoolArray | None = None

    def __post_init__(self) -> None:
        network = self.network
        if self.demand_pairs.shape != (len(network.items), len(network.nodes)):
            raise ValueError(
                f"demand_pairs has shape {self.demand_pairs.shape}, expected "
                f"{(len(network.items), len(network.nodes))}"
            )
        serving = network.serving_lanes
        for name in ("fixed_cost", "lot_size", "minimum_quantity", "setup_time"):
            rows, columns = np.nonzero(getattr(network, name)[:, serving])
            if len(rows):
                item, lane = network.items[rows[0]], network.lanes[serving[columns[0]]]
                raise ValueError(
                    f"{name} of item {item!r} on serving lane {lane}: serving follows demand; "
                    "state it on a lane into a stocking node"
                )
        if (network.joint_fixed_cost[serving] > 0).any():
            raise ValueError("joint_fixed_cost on a serving lane: serving follows demand")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Items N, nodes V, lanes A and tree nodes."""
        network = self.network
        return len(network.items), len(network.nodes), len(network.lanes), len(self.tree.parent)

    @cached_property
    def period(self) -> IntArray:
        """Offset of each tree node's outcome period from `first_period`; -1 for roots."""
        return self.tree.depth - 1

    @cached_property
    def node_probability(self) -> FloatArray:
        """Probability of each tree node times the discount of its outcome period."""
        return self.tree.probability * self.network.discount ** np.maximum(self.period, 0)

    @cached_property
    def decision_weight(self) -> FloatArray:
        """Probability of each tree node times the discount of its decision period."""
        return self.tree.probability * self.network.discount**self.tree.depth

    @cached_property
    def _open(self) -> BoolArray:
        """Calendar by lane and tree node of decision, shape (A, tree nodes)."""
        calendar = self.network.open_periods(self.first_period, self.tree.periods)
        mask = np.zeros((len(self.network.lanes), len(self.tree.parent)), dtype=bool)
        mask[:, self.tree.decisions] = calendar[:, self.tree.depth[self.tree.decisions]]
        return mask

    @cached_property
    def order(self) -> Index:
        """(i, a, n): released before demand is seen, on replenishment lanes."""
        network = self.network
        lanes = np.zeros(len(network.lanes), dtype=bool)
        lanes[network.replenishment_lanes] = True
        mask = (network.allowed & lanes)[:, :, None] & self._open[None, :, :]
        return Index.of(mask)

    @cached_property
    def serve(self) -> Index:
        """(i, a, m): served over serving lanes when demand is seen."""
        network = self.network
        lanes = np.zeros(len(network.lanes), dtype=bool)
        lanes[network.serving_lanes] = True
        wanted = self.demand_pairs[:, network.destination]
        open_at = np.zeros((len(network.lanes), len(self.tree.parent)), dtype=bool)
        outcomes = self.tree.outcomes
        open_at[:, outcomes] = self._open[:, self.tree.parent[outcomes]]
        return Index.of((network.allowed & lanes & wanted)[:, :, None] & open_at[None, :, :])

    @cached_property
    def _outcome(self) -> BoolArray:
        mask = np.zeros(len(self.tree.parent), dtype=bool)
        mask[self.tree.outcomes] = True
        return mask

    @cached_property
    def stocked(self) -> BoolArray:
        """Which items may be at which stocking nodes, shape (N, V)."""
        network = self.network
        touched = np.zeros((len(network.items), len(network.nodes)), dtype=bool)
        for lane in range(len(network.lanes)):
            touched[:, network.origin[lane]] |= network.allowed[:, lane]
            touched[:, network.destination[lane]] |= network.allowed[:, lane]
        stocking: BoolArray = (network.kind == NodeKind.STOCKING)[None, :]
        if self.held is not None:
            touched |= self.held
        return (touched | self.demand_pairs) & stocking

    @cached_property
    def on_hand(self) -> Index:
        """(i, v, m): stock at the end of the period."""
        return Index.of(self.stocked[:, :, None] & self._outcome[None, None, :])

    @cached_property
    def demand(self) -> Index:
        """(i, v, m): demand, and what of it is unmet (lost) or waiting (backlog)."""
        return Index.of(self.demand_pairs[:, :, None] & self._outcome[None, None, :])

    @cached_property
    def sales(self) -> Index:
        """(i, v, m): demand at stocking nodes served from their own stock."""
        stocking = (self.network.kind == NodeKind.STOCKING)[None, :]
        return Index.of((self.demand_pairs & stocking)[:, :, None] & self._outcome)

    @cached_property
    def initial_on_hand(self) -> Index:
        """(i, v): stock that the first decision sees."""
        return Index.of(self.stocked)

    def initial_due(self, periods: int) -> Index:
        """(i, v, k): pipeline that arrives k + 1 periods after the first decision."""
        return Index.of(np.repeat(self.stocked[:, :, None], periods, axis=2))

    @cached_property
    def initial_backlog(self) -> Index:
        """(i, v): demand waiting when the first decision is taken."""
        return Index.of(self.demand_pairs)

    @cached_property
    def used(self) -> Index:
        """(i, a, n): whether the item is released on the lane at all (binary)."""
        network = self.network
        needs = (network.fixed_cost > 0) | (network.minimum_quantity > 0) | (network.setup_time > 0)
        return self._orders_where(needs)

    @cached_property
    def lots(self) -> Index:
        """(i, a, n): number of lots (integer)."""
        return self._orders_where(self.network.lot_size > 0)

    @cached_property
    def lane_used(self) -> Index:
        """(a, n): whether the lane is used at all (binary)."""
        mask = np.zeros((len(self.network.lanes), len(self.tree.parent)), dtype=bool)
        joint = self.network.joint_fixed_cost > 0
        _, lane, node = self.order
        mask[lane[joint[lane]], node[joint[lane]]] = True
        return Index.of(mask)

    @cached_property
    def joint_orders(self) -> Index:
        """(i, a, n): orders on lanes with a joint fixed cost."""
        return self._orders_where(
            (self.network.joint_fixed_cost > 0)[None, :].repeat(len(self.network.items), axis=0)
        )

    def _orders_where(self, needs: BoolArray) -> Index:
        item, lane, node = self.order
        keep = needs[item, lane]
        return Index((item[keep], lane[keep], node[keep]))

    def is_seen_after_demand(self, resource: Resource) -> bool:
        """Whether the resource limits something that follows demand (stock or serving)."""
        serves = np.isin(self.network.lanes_of(resource), self.network.serving_lanes).any()
        return resource.kind == "storage" or bool(serves)

    @cached_property
    def resource_rows(self) -> Index:
        """(r, tree node): outcomes where serving or stock counts, else decisions."""
        pairs = [
            np.stack([np.full(len(nodes), r), nodes])
            for r, resource in enumerate(self.network.resources)
            for nodes in [
                self.tree.outcomes if self.is_seen_after_demand(resource) else self.tree.decisions
            ]
        ]
        table = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
        return Index((table[0], table[1]))

    @cached_property
    def resource_capacity(self) -> FloatArray:
        """Capacity of each member of `resource_rows`."""
        resource, node = self.resource_rows
        depth = self.tree.depth[node]
        after = np.array([self.is_seen_after_demand(r) for r in self.network.resources], dtype=bool)
        offset = np.where(after[resource], depth - 1, depth) if len(resource) else depth
        calendar = [
            r.capacity_at(self.first_period, self.tree.periods) for r in self.network.resources
        ]
        return np.array([calendar[r][t] for r, t in zip(resource, offset, strict=True)])

    @cached_property
    def overflow(self) -> Index:
        """(r, m): storage used above capacity, where that has a price."""
        resource, node = self.resource_rows
        soft = np.array(
            [r.kind == "storage" and np.isfinite(r.overflow_cost) for r in self.network.resources],
            dtype=bool,
        )
        keep = soft[resource] if len(resource) else np.zeros(0, dtype=bool)
        return Index((resource[keep], node[keep]))

    @cached_property
    def supplier_serves(self) -> BoolArray:
        """Which nodes are origins of serving lanes, shape (V,)."""
        network = self.network
        return np.isin(np.arange(len(network.nodes)), network.origin[network.serving_lanes])

    @cached_property
    def supply_rows(self) -> Index:
        """(i, v, tree node): suppliers of limited capacity."""
        network = self.network
        limited = np.isfinite(network.supply_capacity) & (network.kind == NodeKind.SUPPLIER)
        serves = self.supplier_serves
        mask = np.zeros((*limited.shape, len(self.tree.parent)), dtype=bool)
        mask[:, :, self.tree.outcomes] |= (limited & serves)[:, :, None]
        mask[:, :, self.tree.decisions] |= (limited & ~serves)[:, :, None]
        return Index.of(mask)

    @cached_property
    def service_rows(self) -> Index:
        """(i, v): demand nodes with a service-level target."""
        return Index.of((self.network.service_level > 0) & self.demand_pairs)
