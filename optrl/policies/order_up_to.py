"""What classical policies share: inventory positions, orders passed up the network, rounding.

Tensors here are graph-first, (M stocking nodes, S, N), as the simulator lays out its memory.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.policies.levels import Levels
from optrl.policies.sourcing import NOWHERE, Sourcing
from optrl.simulation.rows import Rows, graph_first, items_first
from optrl.simulation.state import Decision, State

# A need below this share of the level is rounding error and starts no lot or minimum quantity.
_TOLERANCE = 1e-5


class PeriodTensor:
    """Levels as graph-first tensors (M, 1, N) of some items, converted once while they last.

    Args:
        levels: Levels of all items.
        items: Items wanted.
    """

    def __init__(self, levels: Levels, items: slice) -> None:
        self.levels = levels
        self._items = items
        self._last: tuple[FloatArray, Tensor] | None = None

    def at(self, period: int, like: Tensor) -> Tensor:
        """Levels of a period with the type of `like`."""
        values = self.levels.at(period)
        if self._last is None or self._last[0] is not values or self._last[1].dtype != like.dtype:
            self._last = values, row_tensor(values[self._items]).to(like.dtype)
        return self._last[1]


def row_tensor(values: FloatArray) -> Tensor:
    """From (N, rows) to a graph-first tensor (rows, 1, N)."""
    return torch.from_numpy(np.array(values.T, order="C"))[:, None]


class _ScaledLevels:
    """Levels multiplied by factors (M, S, N) of the scenarios at hand."""

    def __init__(self, levels: PeriodTensor | _ScaledLevels, factor: Tensor) -> None:
        self._levels, self._factor = levels, factor

    def at(self, period: int, like: Tensor) -> Tensor:
        return self._levels.at(period, like) * self._factor.to(like.dtype)


class _Feeding:
    """Orders of nodes below, added up at their suppliers.

    Args:
        sourcing: Primary lanes.
        rows: Supplying nodes.
    """

    def __init__(self, sourcing: Sourcing, rows: IntArray) -> None:
        parent = sourcing.parent
        pairs = [(v, u) for v in range(parent.shape[1]) for u in rows if (parent[:, v] == u).any()]
        child = np.array([v for v, _ in pairs], dtype=np.int64)
        above = np.array([u for _, u in pairs], dtype=np.int64)
        member = parent[:, child] == above
        self._child = Rows(child, parent.shape[1])
        self._above = Rows(np.searchsorted(rows, above), len(rows))
        self._mask = None if member.all() else row_tensor(member.astype(float))
        self.empty = not pairs

    def total(self, values: Tensor) -> Tensor:
        """Sum over the children of each supplying node, shape (rows, S, N)."""
        below = self._child.take(values)
        if self._mask is not None:
            below = below * self._mask.to(values.dtype)
        return self._above.total(below.expand(len(self._above), *below.shape[1:]))


class LevelPolicy(ABC):
    """A policy that brings each node's inventory position up to a level.

    A node's installation position is stock and pipeline, less the backlog of the demand nodes it
    owns and less what the nodes below ask of it in this period, whether their calendar is open
    or not; they will ask when it opens. Orders are rounded up to lots and minimum quantities and
    raised by the share that is expected not to arrive. Lanes closed in the period order nothing.
    What the stock of a supplying node does not suffice for is rationed by the dynamics.

    Args:
        sourcing: Primary lanes and serving nodes.
        levels: Level of each stocking node, by period.
    """

    def __init__(self, sourcing: Sourcing, levels: Levels) -> None:
        self._whole = sourcing
        self.levels = levels
        self._use(slice(None))

    def _use(self, items: slice) -> None:
        """Prepare for some of the items of `_whole`."""
        self.items = items
        sourcing = self.sourcing = self._whole.for_items(items)
        network = sourcing.network
        self._level: PeriodTensor | _ScaledLevels = PeriodTensor(self.levels, items)
        self._every = Rows(np.arange(len(sourcing.stocking)), len(sourcing.stocking))
        nodes = len(network.nodes)
        self._stocking = Rows(sourcing.stocking, nodes)
        self._demand = Rows(sourcing.demand_nodes, nodes) if network.unmet == "backorder" else None
        heights = [np.unique(sourcing.height[:, v]) for v in range(len(sourcing.stocking))]
        # A node on several heights is passed on each of them; the last pass has all its orders.
        self._rounds = []
        for height in range(int(sourcing.height.max(initial=0)) + 1):
            rows = np.array([v for v, h in enumerate(heights) if height in h], dtype=np.int64)
            feeding = _Feeding(sourcing, rows) if height else None
            self._rounds.append((Rows(rows, len(sourcing.stocking)), feeding))
        lanes = network.replenishment_lanes
        self._into = Rows(
            np.searchsorted(sourcing.stocking, network.destination[lanes]), len(sourcing.stocking)
        )
        primary = sourcing.lane[:, self._into.index] == lanes
        self._share = None if primary.all() else row_tensor(primary.astype(float))
        calendar = network.review_period[lanes] > 1
        self._always_open = not calendar.any() and not network.closed
        lot = sourcing.of_lane(network.lot_size[items])
        minimum = sourcing.of_lane(network.minimum_quantity[items])
        rounds_up = bool((lot > 0).any() or (minimum > 0).any())
        self._lots = (row_tensor(lot), row_tensor(minimum)) if rounds_up else None
        loses = bool((sourcing.arriving < 1).any())
        self._inflation = row_tensor(1 / sourcing.arriving) if loses else None

    def scaled(self, factor: Tensor) -> Self:
        """The policy with its levels multiplied, for as many scenarios as there are factors.

        Args:
            factor: By stocking node, scenario and item, shape (M, S, N).
        """
        part = copy.copy(self)
        part._level = _ScaledLevels(self._level, factor)
        return part

    def decide(self, state: State, period: int) -> Decision:
        """Order what is missing to the levels of `period`."""
        return self.release(self.orders(state, period), period)

    @abstractmethod
    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for on its primary lane, shape (M, S, N)."""

    def position(self, state: State) -> Tensor:
        """Stock and pipeline of each stocking node less backlog it owes, shape (M, S, N)."""
        position = self._stocking.take(graph_first(state.on_hand)) + self._stocking.take(
            graph_first(state.in_transit)
        )
        if self._demand is None:
            return position
        waiting = self._demand.take(graph_first(state.backlog))
        owner = torch.from_numpy(np.ascontiguousarray(self.sourcing.owner.T))[:, None]
        # Backlog that no stocking node owes goes to one row more, which is dropped.
        owner = torch.where(owner == NOWHERE, len(position), owner)
        owed = position.new_zeros(len(position) + 1, *position.shape[1:])
        shape = (len(owner), *position.shape[1:])
        owed = owed.scatter_add(0, owner.expand(shape), waiting.expand(shape))
        return position - owed[:-1]

    def echelon_position(self, state: State) -> Tensor:
        """Position of each node and all below it on primary lanes, shape (M, S, N)."""
        position = self.position(state)
        total = position.clone()
        for rows, feeding in self._rounds:
            if feeding is not None and not feeding.empty:
                total = rows.put_(total, rows.take(position) + feeding.total(total))
        return total

    def cascade(self, position: Tensor, period: int) -> Tensor:
        """Orders from the bottom of the network up, each node seeing those of the nodes below.

        Args:
            position: Stock and pipeline less backlog, shape (M, S, N).
            period: Absolute period.
        """
        asked = torch.zeros_like(position)
        for rows, feeding in self._rounds:
            net = rows.take(position)
            if feeding is not None and not feeding.empty:
                net = net - feeding.total(asked)
            asked = rows.put_(asked, self.round_up(self.want(net, rows, period), rows))
        return asked

    def want(self, position: Tensor, rows: Rows, period: int) -> Tensor:
        """What some nodes want to order at a position (rows, S, N), before rounding."""
        return (rows.take(self._level.at(period, position)) - position).clamp(min=0)

    def round_up(self, wanted: Tensor, rows: Rows) -> Tensor:
        """Quantities of some nodes with losses made up for, in lots, at least the minimum."""
        if self._inflation is not None:
            wanted = wanted * rows.take(self._inflation).to(wanted.dtype)
        if self._lots is None:
            return wanted
        lot, minimum = (rows.take(x).to(wanted.dtype) for x in self._lots)
        needed = wanted > _TOLERANCE
        raised = torch.where(needed, torch.maximum(wanted, minimum), 0.0)
        count = (raised / torch.where(lot > 0, lot, 1.0) - _TOLERANCE).ceil().clamp(min=0)
        return torch.where(lot > 0, count * lot, raised)

    def release(self, asked: Tensor, period: int) -> Decision:
        """Put what nodes ask for (M, S, N) on their primary lanes, where these are open."""
        order = self._into.take(asked).expand(len(self._into), *asked.shape[1:])
        if self._share is not None:
            order = order * self._share.to(asked.dtype)
        if not self._always_open:
            network = self.sourcing.network
            is_open = network.open_periods(period, 1)[network.replenishment_lanes, 0]
            order = order * torch.from_numpy(is_open)[:, None, None]
        return Decision(items_first(order))


class SeparableLevelPolicy(LevelPolicy):
    """A level policy that can be restricted to some items, see `optrl.simulation.simulate`."""

    def for_items(self, items: slice) -> Self:
        """The policy for some items; levels are shared with this one."""
        part = copy.copy(self)
        # A slice of a slice, in terms of all items.
        chosen = range(len(self._whole.lane))[self.items][items]
        part._use(slice(chosen.start, chosen.stop, chosen.step))
        return part
