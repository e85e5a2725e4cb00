"""Items of a replenishment problem, cut into blocks that are free of each other but for prices.

A block is the same problem for some of the items. What belongs to no single item must be a
resource, since only resources have prices: joint fixed costs are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData, StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.errors import BlockError, NotApplicableError
from optrl.instance import Instance
from optrl.stages.coarse import CoarseView, with_root

_BY_ITEM = (
    *("unit_cost", "volume", "weight", "time", "allowed", "lane_cost", "fixed_cost", "lot_size"),
    *("minimum_quantity", "maximum_quantity", "setup_time", "holding_cost", "shortage_cost"),
    *("terminal_value", "service_level", "supply_capacity"),
)

_LOOKED_AT = 16


@dataclass(frozen=True)
class ReplenishmentItems:
    """A replenishment problem of any number of items; can be pickled.

    Attributes:
        network: Network.
        tree: What is known when.
        first_period: Absolute period of the first decision.
        demand_pairs: Which items have demand at which nodes, shape (N, V).
        data: State and demand.
        held: See `ReplenishmentLayout`.
    """

    network: Network
    tree: ScenarioTree
    first_period: int
    demand_pairs: BoolArray
    data: ReplenishmentData
    held: BoolArray | None = None

    def __post_init__(self) -> None:
        joint = np.flatnonzero(self.network.joint_fixed_cost > 0)
        if len(joint):
            lane = self.network.lanes[joint[0]]
            raise NotApplicableError(
                f"lane {lane} has a joint fixed cost, which couples items without a price: set "
                "joint_fixed_cost to 0 there, or solve the items together"
            )

    def __len__(self) -> int:
        return len(self.network.items)

    @cached_property
    def layout(self) -> ReplenishmentLayout:
        """Components of the problem of all its items."""
        return ReplenishmentLayout(
            self.network, self.tree, self.first_period, self.demand_pairs, self.held
        )

    @cached_property
    def columns_per_item(self) -> float:
        """Columns of the program, on average over a few items."""
        count = min(len(self), _LOOKED_AT)
        if not count:
            return 0.0
        some = self.select(np.arange(count) * len(self) // count).layout
        parts = (some.order, some.serve, some.sales, some.demand, some.on_hand)
        return sum(len(part) for part in parts) / count

    @cached_property
    def coupling(self) -> Coupling:
        """The shared capacities."""
        empty = self.select(np.zeros(0, dtype=np.int64))
        return Coupling.of(empty.layout)

    def select(self, items: IntArray, capacity_scale: float = 1.0) -> ReplenishmentItems:
        """The same problem for some of the items, capacities multiplied by a factor."""
        data = self.data
        network = network_of(self.network, items)
        resources = tuple(
            replace(r, capacity=r.capacity * capacity_scale) for r in network.resources
        )
        return ReplenishmentItems(
            network=replace(network, resources=resources),
            tree=self.tree,
            first_period=self.first_period,
            demand_pairs=self.demand_pairs[items],
            data=replace(
                data,
                on_hand=data.on_hand[items],
                due=data.due[items],
                backlog=data.backlog[items],
                demand=data.demand[items],
                frozen=None if data.frozen is None else _of(data.frozen, items),
                stock_values=tuple(_stock_value(v, items) for v in data.stock_values),
                delivery=None if data.delivery is None else _delivery(data.delivery, items),
                largest_order=None if data.largest_order is None else data.largest_order[items],
            ),
            held=None if self.held is None else self.held[items],
        )

    def blocks(self, size: int) -> list[ReplenishmentItems]:
        """Runs of at most `size` items.

        Raises:
            BlockError: If `size` is below 1.
        """
        if size < 1:
            raise BlockError(f"blocks of {size} items: give at least 1")
        starts = range(0, len(self), size)
        return [self.select(np.arange(k, min(k + size, len(self)))) for k in starts]

    @classmethod
    def of(
        cls, instance: Instance, demand: FloatArray, tree: ScenarioTree | None = None
    ) -> ReplenishmentItems:
        """The items of an instance.

        Args:
            instance: The instance, all customers kept.
            demand: By period, shape (N, D, T), for a chain; or with `tree` by tree node of its
                outcome, (N, D, tree nodes), roots ignored.
            tree: What is known when; None for a chain of the T periods.

        Raises:
            NotApplicableError: If a joint fixed cost couples items.
        """
        if tree is None:
            tree = ScenarioTree.chain(demand.shape[2])
            demand = with_root(demand)
        view = CoarseView.of(instance, demand.sum(axis=2), merge=False)
        start, frozen = view.start(), view.frozen()
        data = ReplenishmentData(
            on_hand=start.on_hand,
            due=start.due,
            backlog=start.backlog,
            demand=view.demand(demand),
            frozen=frozen if frozen.size else None,
            delivery=view.delivery(tree),
        )
        return cls(
            view.aggregation.network, tree, instance.start, view.demand_pairs, data, view.held()
        )


def network_of(network: Network, items: IntArray) -> Network:
    """The same graph for some of the items; capacities stay."""
    names: Sequence[str] = network.items
    arrays = {name: getattr(network, name)[items] for name in _BY_ITEM}
    return replace(
        network,
        items=tuple(names[k] for k in items.tolist()),
        resources=tuple(replace(r, use=r.use[items]) for r in network.resources),
        transit_cost=None if network.transit_cost is None else network.transit_cost[items],
        **arrays,
    )


def _of(array: FloatArray, items: IntArray) -> FloatArray:
    return array[items] if array.size else array


def _stock_value(value: StockValue, items: IntArray) -> StockValue:
    return StockValue(
        value.on_hand_nodes[items],
        value.transit_nodes[items],
        value.width[items],
        value.marginal_value[items],
    )


def _delivery(delivery: Delivery, items: IntArray) -> Delivery:
    return Delivery(delivery.lanes, delivery.fraction[items], delivery.pending[items])
