"""Numbers a replenishment problem is solved for, and the coefficients that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optrl_formulations.network import BoolArray, FloatArray, IntArray
from optrl_formulations.replenishment_layout import ReplenishmentLayout


@dataclass(frozen=True)
class StockValue:
    """A concave value of stock held: decreasing marginal values over successive widths.

    The stock measure of a member is the item's stock at the end of the period over
    ``on_hand_nodes`` plus what is on its way into ``transit_nodes``. Held stock y is credited
    with sum_s marginal_value_s * min(width_s, max(0, y - width_1 - ... - width_{s-1})). With
    marginal values (h + p) P(error > y) this is the expected shortage that a safety stock saves
    (Porteus, Foundations of Stochastic Inventory Theory, 2002, chapter 1: the derivative of the
    newsvendor's loss function).

    Attributes:
        on_hand_nodes: Nodes whose stock counts, shape (N, V).
        transit_nodes: Nodes towards which orders count from release to arrival, shape (N, V).
        width: Shape (N, M, S) for the outcomes of the tree in order, in item units.
        marginal_value: Shape (N, M, S), falling along the last axis, money per unit (not yet
            discounted nor weighted with probability).
    """

    on_hand_nodes: BoolArray
    transit_nodes: BoolArray
    width: FloatArray
    marginal_value: FloatArray

    def __post_init__(self) -> None:
        if self.width.shape != self.marginal_value.shape or self.width.ndim != 3:
            raise ValueError(
                f"width {self.width.shape} and marginal_value {self.marginal_value.shape} must "
                "both have shape (items, outcomes, segments)"
            )
        if (np.diff(self.marginal_value, axis=2) > 1e-12).any() or (self.marginal_value < 0).any():
            raise ValueError("marginal values must be nonnegative and fall from segment to segment")
        if (self.width < 0).any():
            raise ValueError("widths must be nonnegative")


@dataclass(frozen=True)
class Delivery:
    """How orders on lanes with random arrivals come in, where that is known or expected.

    Attributes:
        lanes: Lane indices, shape (P,).
        fraction: Share of an order released at a tree node that is usable l periods later,
            shape (N, P, tree nodes, longest + 1).
        pending: Share of an order that the terminal value credits as still on its way when the
            horizon ends, shape (N, P, tree nodes).
    """

    lanes: IntArray
    fraction: FloatArray
    pending: FloatArray

    def position(self, lanes: int) -> IntArray:
        """Position of each lane in `lanes`, -1 for lanes that deliver after their lead time."""
        result = np.full(lanes, -1, dtype=np.int64)
        result[self.lanes] = np.arange(len(self.lanes))
        return result


@dataclass(frozen=True)
class ReplenishmentData:
    """State at the first decision and what may come.

    Attributes:
        on_hand: Stock that the first decision sees, shape (N, V).
        due: Pipeline, [..., k] arrives k + 1 periods after the first decision, shape (N, V, K).
        backlog: Demand waiting, shape (N, V).
        demand: Demand by tree node of its outcome, shape (N, V, tree nodes); roots are ignored.
        frozen: Orders fixed for the first F periods, shape (N, A, F).
        stock_values: Value of stock beyond `Network.terminal_value`, for uncertainty that the
            tree leaves out.
        delivery: Orders that come late, in parts, or in part; other lanes deliver everything
            after their lead time. Stock values do not count such orders as on their way.
        largest_order: Bound on an order where integers need one, shape (N, A), or None to derive
            it from demand. It must be given when demand is pushed later.
    """

    on_hand: FloatArray
    due: FloatArray
    backlog: FloatArray
    demand: FloatArray
    frozen: FloatArray | None = None
    stock_values: tuple[StockValue, ...] = ()
    delivery: Delivery | None = None
    largest_order: FloatArray | None = None

    def check(self, layout: ReplenishmentLayout) -> None:
        """Raise ValueError where shapes or signs do not fit."""
        n, v, a, nodes = layout.shape
        expected = {"on_hand": (n, v), "backlog": (n, v), "demand": (n, v, nodes)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        for k, value in enumerate(self.stock_values):
            if value.on_hand_nodes.shape != (n, v) or value.transit_nodes.shape != (n, v):
                raise ValueError(f"stock value {k}: node masks must have shape {(n, v)}")
            if value.width.shape[:2] != (n, len(layout.tree.outcomes)):
                raise ValueError(
                    f"stock value {k}: width has shape {value.width.shape}, expected "
                    f"({n}, {len(layout.tree.outcomes)}, segments)"
                )
        if self.due.ndim != 3 or self.due.shape[:2] != (n, v):
            raise ValueError(f"due has shape {self.due.shape}, expected ({n}, {v}, periods)")
        for name in ("on_hand", "due", "backlog", "demand"):
            values = getattr(self, name)
            if not np.isfinite(values).all() or (values < 0).any():
                raise ValueError(f"{name} must be finite and nonnegative")
        if (self.on_hand[~layout.stocked] > 0).any():
            item, node = np.argwhere((self.on_hand > 0) & ~layout.stocked)[0]
            raise ValueError(
                f"item {layout.network.items[item]!r} has stock at node "
                f"{layout.network.nodes[node]!r}, which no lane of the item touches"
            )
        if self.delivery is not None:
            expected_shape = (n, len(self.delivery.lanes), nodes)
            if (
                self.delivery.fraction.shape[:3] != expected_shape
                or self.delivery.pending.shape != expected_shape
            ):
                raise ValueError(f"delivery must have shape {expected_shape}")
            if self.stock_values and any(
                v.transit_nodes[:, layout.network.destination[self.delivery.lanes]].any()
                for v in self.stock_values
            ):
                raise ValueError("stock values cannot count lanes with random arrivals")
        if self.frozen is not None and self.frozen.size and self.frozen.shape[:2] != (n, a):
            raise ValueError(f"frozen has shape {self.frozen.shape}, expected ({n}, {a}, periods)")


def column_costs(
    layout: ReplenishmentLayout, delivery: Delivery | None = None
) -> Mapping[str, Mapping[str, FloatArray]]:
    """Objective coefficients by column block and kind of cost (expected, discounted)."""
    network, tree = layout.network, layout.tree
    end = network.discount**tree.periods
    item, lane, node = layout.order
    weight = layout.decision_weight[node]
    late = (tree.depth[node] + network.lead_time[lane] >= tree.periods).astype(float)
    if delivery is not None:
        position = delivery.position(len(network.lanes))[lane]
        random = position >= 0
        late[random] = delivery.pending[item[random], position[random], node[random]]
    order = {
        "transport": network.lane_cost[item, lane] * weight,
        "purchase": network.purchase_cost[item, lane] * weight,
        "terminal": -network.terminal_value[item, network.destination[lane]]
        * (tree.probability[node] * end * late),
        "transit": _transit_cost(layout),
    }
    item, lane, node = layout.serve
    weight = layout.node_probability[node]
    serve = {
        "transport": network.lane_cost[item, lane] * weight,
        "purchase": network.purchase_cost[item, lane] * weight,
    }
    item, place, node = layout.on_hand
    leaf = tree.depth[node] == tree.periods
    on_hand = {
        "holding": network.holding_cost[item, place] * layout.node_probability[node],
        "terminal": -network.terminal_value[item, place] * (tree.probability[node] * end * leaf),
    }
    item, place, node = layout.demand
    unmet = {"shortage": network.shortage_cost[item, place] * layout.node_probability[node]}
    resource, node = layout.overflow
    price = np.array([r.overflow_cost for r in network.resources])
    overflow = {"overflow": price[resource] * layout.node_probability[node]}
    item, lane, node = layout.used
    used = {"fixed": network.fixed_cost[item, lane] * layout.decision_weight[node]}
    lane, node = layout.lane_used
    lane_used = {"joint_fixed": network.joint_fixed_cost[lane] * layout.decision_weight[node]}
    return {
        "order": order,
        "serve": serve,
        "sales": {},
        "unmet": unmet,
        "on_hand": on_hand,
        "overflow": overflow,
        "used": used,
        "lots": {},
        "lane_used": lane_used,
    }


def _transit_cost(layout: ReplenishmentLayout) -> FloatArray:
    """Cost on the way within the horizon of a unit released, by `layout.order` member.

    sum_k transit_cost_k * discount**(d + k) over periods d + k before the horizon's end, for a
    release at depth d.
    """
    network, tree = layout.network, layout.tree
    item, lane, node = layout.order
    total = np.zeros(len(item))
    if network.transit_cost is None:
        return total
    for k in range(network.transit_cost.shape[2]):
        within = tree.depth[node] + k < tree.periods
        total += within * network.transit_cost[item, lane, k] * network.discount**k
    return total * layout.decision_weight[node]


def pipeline_credit(layout: ReplenishmentLayout, periods: int) -> FloatArray:
    """Terminal value of pipeline that arrives after the horizon, by `initial_due` member."""
    item, place, k = layout.initial_due(periods)
    end = layout.network.discount**layout.tree.periods
    return -layout.network.terminal_value[item, place] * (end * (k + 1 >= layout.tree.periods))


def order_bounds(
    layout: ReplenishmentLayout, data: ReplenishmentData
) -> tuple[FloatArray, FloatArray]:
    """Column bounds of `layout.order`: frozen orders are fixed, others up to their maximum."""
    item, lane, node = layout.order
    upper = layout.network.maximum_quantity[item, lane].copy()
    lower = np.zeros(len(upper))
    if data.frozen is not None and data.frozen.size:
        depth = layout.tree.depth[node]
        fixed = depth < data.frozen.shape[2]
        lower[fixed] = upper[fixed] = data.frozen[item[fixed], lane[fixed], depth[fixed]]
        _refuse_frozen_without_order(layout, data.frozen)
    return lower, upper


def _refuse_frozen_without_order(layout: ReplenishmentLayout, frozen: FloatArray) -> None:
    n, _, a, nodes = layout.shape
    exists = layout.order.positions((n, a, nodes)) >= 0
    root = int(np.flatnonzero(layout.tree.parent < 0)[0])
    for item, lane, period in np.argwhere(frozen > 0):
        if period >= layout.tree.periods:
            continue
        at_depth: IntArray = np.flatnonzero(layout.tree.depth == period)
        node = at_depth[0] if len(at_depth) else root
        if not exists[item, lane, node]:
            raise ValueError(
                f"frozen order of item {layout.network.items[item]!r} on lane "
                f"{layout.network.lanes[lane]} in period {layout.first_period + period}: the lane "
                "does not carry it then (allowed, order calendar)"
            )
