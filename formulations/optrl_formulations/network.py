"""The network every formulation is stated over: graph, items and their coefficients as arrays.

A fulfilment network is a `networkx.DiGraph` of suppliers, stocking nodes and customers.
Coefficients that depend on the item live in arrays beside the graph, aligned with the order
in which the graph lists its nodes and lanes, so that a million items are a few arrays.

Shapes: N items, V nodes, A lanes, T periods of the capacity calendar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

Unmet = Literal["lost", "backorder"]
ResourceKind = Literal["storage", "inbound", "outbound", "lane", "budget"]


_BY_LANE = (
    "allowed",
    "lane_cost",
    "fixed_cost",
    "lot_size",
    "minimum_quantity",
    "maximum_quantity",
    "setup_time",
)
_BY_NODE = ("holding_cost", "shortage_cost", "terminal_value", "service_level", "supply_capacity")


class NodeKind(IntEnum):
    """What a node does: suppliers never run out, customers hold no stock."""

    SUPPLIER = 0
    STOCKING = 1
    CUSTOMER = 2


@dataclass(frozen=True)
class Resource:
    """A capacity that all items share in each period.

    The left side of its limit in period t is, by `kind`:

    * ``storage``: stock at `node` at the end of t;
    * ``inbound``: quantity released in t on lanes into `node`;
    * ``outbound``: quantity released or served in t on lanes out of `node`;
    * ``lane``: quantity released or served in t on `lane`;
    * ``budget``: quantity released in t on lanes out of suppliers.

    Attributes:
        name: Unique name.
        kind: Which flows or stocks it limits.
        use: Consumption of each item, shape (N,), capacity units per item unit.
        capacity: Capacity of each period of the calendar, shape (T,). Periods beyond the
            calendar keep its last value.
        node: Index of the node (storage, inbound, outbound), else None.
        lane: Index of the lane (kind ``lane``), else None.
        takes_setup_time: Whether set-up time of an order on its lanes consumes it too.
        overflow_cost: Money per capacity unit and period above a storage capacity; infinite
            means that a plan must hold it.
    """

    name: str
    kind: ResourceKind
    use: FloatArray
    capacity: FloatArray
    node: int | None = None
    lane: int | None = None
    takes_setup_time: bool = False
    overflow_cost: float = float("inf")

    def capacity_at(self, first: int, periods: int) -> FloatArray:
        """Capacity of periods first, ..., first + periods - 1, shape (periods,)."""
        index = np.minimum(np.arange(first, first + periods), len(self.capacity) - 1)
        return self.capacity[index]


@dataclass(frozen=True)
class Network:
    """Graph, items and coefficients.

    Item arrays have shape (N,), item-lane arrays (N, A), item-node arrays (N, V). Money and
    quantities are in the instance's own units; costs are per unit, holding and (for
    backorders) shortage costs per unit and period.

    Attributes:
        graph: Nodes carry ``kind``; lanes carry ``lead_time`` and the scalars below.
        items: Item names.
        unmet: Whether unmet demand is lost or backordered.
        unit_cost: Purchase price, paid for what is released on lanes out of suppliers.
        volume: Volume per unit.
        weight: Weight per unit.
        time: Processing time per unit.
        allowed: Which item may use which lane.
        lane_cost: Transport cost, paid for what is released.
        fixed_cost: Cost of each period in which the item is released on the lane.
        joint_fixed_cost: Cost of each period in which the lane is used at all, shape (A,).
        lot_size: Quantities are multiples of it; 0 leaves them continuous.
        minimum_quantity: Smallest quantity if any is released; 0 for none.
        maximum_quantity: Largest quantity of a period, infinite for none.
        setup_time: Capacity taken by releasing the item on the lane at all.
        review_period: Releases are allowed in periods t with
            t mod review_period = review_offset, shape (A,).
        review_offset: See `review_period`, shape (A,).
        closed: Periods in which a lane releases nothing, as (lane index, period).
        holding_cost: Cost of stock at the end of a period.
        shortage_cost: Cost of unmet demand, per unit lost, or per unit and period waiting.
        terminal_value: Value of a unit left at, or on its way to, a node when the horizon ends.
        service_level: Smallest share of demand met over the horizon (fill rate), 0 for none.
        supply_capacity: Largest quantity a supplier releases of an item in a period.
        resources: Shared capacities.
        discount: Factor by which a period's costs count against the period before.
        transit_cost: Cost of a unit on its way: ``[..., k]`` falls at the end of the period k
            after its release, shape (N, A, K), zero on serving lanes; None where it costs nothing.
    """

    graph: nx.DiGraph[str]
    items: tuple[str, ...]
    unmet: Unmet
    unit_cost: FloatArray
    volume: FloatArray
    weight: FloatArray
    time: FloatArray
    allowed: BoolArray
    lane_cost: FloatArray
    fixed_cost: FloatArray
    joint_fixed_cost: FloatArray
    lot_size: FloatArray
    minimum_quantity: FloatArray
    maximum_quantity: FloatArray
    setup_time: FloatArray
    review_period: IntArray
    review_offset: IntArray
    holding_cost: FloatArray
    shortage_cost: FloatArray
    terminal_value: FloatArray
    service_level: FloatArray
    supply_capacity: FloatArray
    closed: frozenset[tuple[int, int]] = frozenset()
    resources: tuple[Resource, ...] = ()
    discount: float = 1.0
    transit_cost: FloatArray | None = None

    def __post_init__(self) -> None:
        n, v, a = len(self.items), self.graph.number_of_nodes(), self.graph.number_of_edges()
        shapes: Mapping[str, tuple[int, ...]] = {
            **dict.fromkeys(("unit_cost", "volume", "weight", "time"), (n,)),
            **dict.fromkeys(("joint_fixed_cost", "review_period", "review_offset"), (a,)),
            **dict.fromkeys(_BY_LANE, (n, a)),
            **dict.fromkeys(_BY_NODE, (n, v)),
        }
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"Network.{name} has shape {found}, expected {shape}")
        transit = self.transit_cost
        if transit is not None and (transit.ndim != 3 or transit.shape[:2] != (n, a)):
            raise ValueError(
                f"Network.transit_cost has shape {transit.shape}, expected ({n}, {a}, periods)"
            )

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Node names in graph order."""
        return tuple(self.graph.nodes)

    @cached_property
    def lanes(self) -> tuple[tuple[str, str], ...]:
        """Lanes as (origin, destination) in graph order."""
        return tuple(self.graph.edges)

    @cached_property
    def kind(self) -> IntArray:
        """`NodeKind` of each node, shape (V,)."""
        return np.array(
            [NodeKind[self.graph.nodes[v]["kind"].upper()] for v in self.nodes], dtype=np.int64
        )

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Index of each node name."""
        return {name: index for index, name in enumerate(self.nodes)}

    @cached_property
    def origin(self) -> IntArray:
        """Node index where each lane starts, shape (A,)."""
        return np.array([self.node_index[u] for u, _ in self.lanes], dtype=np.int64)

    @cached_property
    def destination(self) -> IntArray:
        """Node index where each lane ends, shape (A,)."""
        return np.array([self.node_index[v] for _, v in self.lanes], dtype=np.int64)

    @cached_property
    def lead_time(self) -> IntArray:
        """Periods from release to usable, shape (A,)."""
        return np.array([self.graph.edges[e]["lead_time"] for e in self.lanes], dtype=np.int64)

    @cached_property
    def longest_lead_time(self) -> int:
        """Largest lead time of any lane, 0 without lanes."""
        return int(self.lead_time.max(initial=0))

    @cached_property
    def replenishment_lanes(self) -> IntArray:
        """Lanes that end at a stocking node, in graph order: decided before demand is seen."""
        return np.flatnonzero(self.kind[self.destination] == NodeKind.STOCKING)

    @cached_property
    def serving_lanes(self) -> IntArray:
        """Lanes that end at a customer, in graph order: used when demand is seen."""
        return np.flatnonzero(self.kind[self.destination] == NodeKind.CUSTOMER)

    @cached_property
    def purchase_cost(self) -> FloatArray:
        """Purchase price on each lane, zero on lanes that leave no supplier, shape (N, A)."""
        from_supplier = self.kind[self.origin] == NodeKind.SUPPLIER
        return np.where(from_supplier[None, :], self.unit_cost[:, None], 0.0)

    def is_open(self, lane: int, period: int) -> bool:
        """Whether the order calendar lets `lane` release in `period`."""
        on_cycle = period % self.review_period[lane] == self.review_offset[lane]
        return bool(on_cycle) and (lane, period) not in self.closed

    def open_periods(self, first: int, periods: int) -> BoolArray:
        """Order calendar of periods first, ..., first + periods - 1, shape (A, periods)."""
        t = np.arange(first, first + periods)
        result: BoolArray = t[None, :] % self.review_period[:, None] == self.review_offset[:, None]
        for lane, period in self.closed:
            if first <= period < first + periods:
                result[lane, period - first] = False
        return result

    def lanes_of(self, resource: Resource) -> IntArray:
        """Lanes whose flow the resource limits; empty for storage."""
        match resource.kind:
            case "storage":
                return np.zeros(0, dtype=np.int64)
            case "inbound":
                return np.flatnonzero(self.destination == resource.node)
            case "outbound":
                return np.flatnonzero(self.origin == resource.node)
            case "lane":
                return np.array([resource.lane], dtype=np.int64)
            case "budget":
                return np.flatnonzero(self.kind[self.origin] == NodeKind.SUPPLIER)

    @cached_property
    def has_integers(self) -> bool:
        """Whether fixed costs, lots, minimum quantities or set-up times ask for integers."""
        return bool(
            (self.fixed_cost[self.allowed] > 0).any()
            or (self.joint_fixed_cost > 0).any()
            or (self.lot_size[self.allowed] > 0).any()
            or (self.minimum_quantity[self.allowed] > 0).any()
            or (self.setup_time[self.allowed] > 0).any()
        )
