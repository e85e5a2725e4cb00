"""What dual-sourcing policies share: the faster lane, the two positions, orders on both lanes.

A node has two suppliers for an item when, beside its primary (cheapest) lane, an allowed lane from
a supplier has a shorter lead time; the cheapest of those is the expedited one. Nodes that supply
other stocking nodes, and nodes without such a lane, follow base stock.

The expedited position of a node is its stock, less backlog it owes, with what arrives within the
expedited lead time; its regular position counts all that is on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray, IntArray, NodeKind
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import Levels, mean_rate, quantile_levels
from optrl.policies.order_up_to import LevelPolicy, row_tensor
from optrl.policies.sourcing import NOWHERE, Sourcing
from optrl.simulation.rows import Rows, graph_first, items_first
from optrl.simulation.state import Decision, State


@dataclass(frozen=True)
class Expediting:
    """The expedited lane of each item and stocking node; all of shape (N, M).

    Attributes:
        lane: Lane index, `NOWHERE` without a second supplier.
        lead_time: Its lead time, 0 without one.
        premium: Its cost a unit above the primary lane's landed cost, 0 without one.
    """

    lane: IntArray
    lead_time: IntArray
    premium: FloatArray

    @property
    def dual(self) -> BoolArray:
        """Where there are two suppliers."""
        dual: BoolArray = self.lane != NOWHERE
        return dual

    @classmethod
    def of(cls, sourcing: Sourcing) -> Self:
        """Find the expedited lanes."""
        network = sourcing.network
        shape = sourcing.lane.shape
        lane = np.full(shape, NOWHERE, dtype=np.int64)
        price = np.full(shape, np.inf)
        alone = (sourcing.children == 0) & (sourcing.lane != NOWHERE)
        number = np.full(len(network.nodes), NOWHERE)
        number[sourcing.stocking] = np.arange(len(sourcing.stocking))
        cost = network.purchase_cost + network.lane_cost
        for a in network.replenishment_lanes:
            if network.kind[network.origin[a]] != NodeKind.SUPPLIER:
                continue
            m = number[network.destination[a]]
            faster = network.lead_time[a] < sourcing.lead_time[:, m]
            usable = network.allowed[:, a] & (network.maximum_quantity[:, a] > 0)
            usable &= network.supply_capacity[:, network.origin[a]] > 0
            better = faster & usable & alone[:, m] & (cost[:, a] < price[:, m])
            lane[better, m], price[better, m] = a, cost[better, a]
        found = lane != NOWHERE
        lead = np.where(found, network.lead_time[np.maximum(lane, 0)], 0)
        landed = np.where(found, sourcing.landed_cost, 0.0)
        return cls(lane, lead, np.where(found, price - landed, 0.0))


class MixedLevels:
    """Fixed levels where there are two suppliers, others elsewhere.

    Args:
        base: Levels of nodes with one supplier.
        fixed: Levels of nodes with two, shape (N, M).
        dual: Where there are two, shape (N, M).
    """

    def __init__(self, base: Levels, fixed: FloatArray, dual: BoolArray) -> None:
        self._base, self._fixed, self._dual = base, fixed, dual
        self._last: tuple[FloatArray, FloatArray] | None = None

    def at(self, period: int) -> FloatArray:
        """Levels of a period, shape (N, M)."""
        base = self._base.at(period)
        if self._last is None or self._last[0] is not base:
            self._last = base, np.where(self._dual, self._fixed, base)
        return self._last[1]


class TwoSupplierPolicy(LevelPolicy):
    """Expedites up to a level, then orders regularly up to another, or a constant.

    Args:
        sourcing: Primary lanes and serving nodes.
        expediting: Expedited lanes.
        levels: Regular levels; base-stock levels where there is one supplier.
        expedited: Expedited levels, shape (N, M).
        cap: Largest regular order, infinite for none, shape (N, M).
        constant: Constant regular order, negative where levels decide, shape (N, M).
        whole: Whether expediting looks at the regular position.
    """

    def __init__(
        self,
        sourcing: Sourcing,
        expediting: Expediting,
        levels: Levels,
        expedited: FloatArray,
        *,
        cap: FloatArray | None = None,
        constant: FloatArray | None = None,
        whole: bool = False,
    ) -> None:
        super().__init__(sourcing, levels)
        network, dual = sourcing.network, expediting.dual
        shape = dual.shape
        self._whole_position = whole
        self._dual = row_tensor(dual.astype(float))
        self._expedited = row_tensor(np.where(dual, expedited, 0.0))
        limit = np.inf if cap is None else np.where(dual, cap, np.inf)
        self._cap = row_tensor(np.broadcast_to(limit, shape).astype(float))
        fixed = -1.0 if constant is None else np.where(dual, constant, -1.0)
        self._constant = row_tensor(np.broadcast_to(fixed, shape).astype(float))
        lanes = network.replenishment_lanes
        self._on_lane = row_tensor((expediting.lane[:, self._into.index] == lanes).astype(float))
        longest = int(expediting.lead_time.max(initial=0))
        lead = expediting.lead_time
        self._soon = [row_tensor((lead > k).astype(float)) for k in range(longest)]
        picked = np.maximum(expediting.lane, 0)
        lot = np.where(dual, np.take_along_axis(network.lot_size, picked, axis=1), 0.0)
        minimum = np.where(dual, np.take_along_axis(network.minimum_quantity, picked, axis=1), 0.0)
        self._rush_lot, self._rush_minimum = row_tensor(lot), row_tensor(minimum)

    def decide(self, state: State, period: int) -> Decision:
        """Expedite first, then order regularly on the position with what was expedited."""
        position = self.position(state)
        near = position if self._whole_position else self._near(state, position)
        missing = (self._expedited.to(position.dtype) - near).clamp(min=0)
        rush = self._in_lots(missing * self._dual.to(position.dtype))
        rush = rush * self._open(period, position)
        decision = self.release(self.cascade(position + rush, period), period)
        on_lanes = self._into.take(rush).expand(len(self._into), *rush.shape[1:])
        on_lanes = on_lanes * self._on_lane.to(rush.dtype)
        return replace(decision, order=decision.order + items_first(on_lanes))

    def orders(self, state: State, period: int) -> Tensor:
        """Regular orders alone, nothing being expedited, shape (M, S, N)."""
        return self.cascade(self.position(state), period)

    def want(self, position: Tensor, rows: Rows, period: int) -> Tensor:
        """What is missing to the level, at most the cap, or the constant."""
        wanted = torch.minimum(
            super().want(position, rows, period), rows.take(self._cap).to(position.dtype)
        )
        constant = rows.take(self._constant).to(position.dtype)
        return torch.where(constant >= 0, constant, wanted)

    def _near(self, state: State, position: Tensor) -> Tensor:
        """Position without what arrives after the expedited lead time, shape (M, S, N)."""
        near = position - self._stocking.take(graph_first(state.in_transit))
        for k, soon in enumerate(self._soon[: state.due.shape[3]]):
            arriving = self._stocking.take(graph_first(state.due[..., k]))
            near = near + arriving * soon.to(position.dtype)
        return near

    def _in_lots(self, wanted: Tensor) -> Tensor:
        lot, least = self._rush_lot.to(wanted.dtype), self._rush_minimum.to(wanted.dtype)
        needed = wanted > 1e-5
        raised = torch.where(needed, torch.maximum(wanted, least), 0.0)
        count = (raised / torch.where(lot > 0, lot, 1.0) - 1e-5).ceil().clamp(min=0)
        return torch.where(lot > 0, count * lot, raised)

    def _open(self, period: int, like: Tensor) -> Tensor:
        """1 where the expedited lane is open in `period`, shape (M, 1, N)."""
        network = self.sourcing.network
        is_open = network.open_periods(period, 1)[network.replenishment_lanes, 0]
        lanes = self._on_lane.to(like.dtype) * torch.from_numpy(is_open)[:, None, None]
        total = like.new_zeros(len(self._every), *lanes.shape[1:])
        return total.index_add(0, self._into.tensor, lanes).clamp(max=1)


def base_levels(instance: Instance, sourcing: Sourcing, demand: DemandModel) -> Levels:
    """Base-stock levels, for nodes with one supplier."""
    rate = mean_rate(demand, instance.start, instance.horizon)
    ratio = UnitCosts.of(sourcing, rate).ratio(sourcing.review)
    return quantile_levels(sourcing, demand, "protection", ratio)
