"""Scarce stock of a node shared out among the nodes that ask for it, as a decision.

Base-stock policies ask for more than a supplying node holds and leave it to the dynamics to cut
(`optrl.simulation.feasibility`: in proportion to what is asked, rounded down to lots, what is
left over by rounding stays). Here the policy decides who gets what, and asks for no more than
there is.

A supplying node shares its stock in the period together with what reaches it at once, nodes
nearer to the source first. Lanes that are closed, or take no more, get no share; capacities of
resources are not looked at, and the dynamics cut what exceeds them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import IntArray
from torch import Tensor

from optrl.policies.order_up_to import SeparableLevelPolicy, row_tensor
from optrl.policies.sourcing import NOWHERE
from optrl.simulation.fulfilment import levels_of
from optrl.simulation.rows import graph_first
from optrl.simulation.state import Decision, State

# What is short by less than this share of the stock is rounding error.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Scarcity:
    """P cases in which one node holds less than the C nodes below it ask for.

    Attributes:
        asked: What each node asks for, in whole lots, shape (C, P).
        have: What there is, shape (P,).
        lot: Lot sizes, 0 where quantities are continuous, shape (C, P).
        position: Echelon inventory positions before the order, shape (C, P).
        node: The nodes that ask, among the stocking nodes, shape (C,).
        item: Item of each case, among the policy's items, shape (P,).
        period: Absolute period.
    """

    asked: Tensor
    have: Tensor
    lot: Tensor
    position: Tensor
    node: IntArray
    item: Tensor
    period: int


def whole_lots(quantity: Tensor, lot: Tensor) -> Tensor:
    """Quantities rounded down to lots, a lot not being lost to rounding error."""
    count = (quantity / torch.where(lot > 0, lot, 1.0) + _TOLERANCE).floor()
    return torch.where(lot > 0, count * lot, quantity)


def hand_out(left: Tensor, room: Tensor, lot: Tensor, rank: Tensor | None = None) -> Tensor:
    """Give what is left to one after the other, each as much as it has room for.

    Args:
        left: What is left, shape (P,).
        room: Most that each takes, shape (C, P).
        lot: Lot sizes, shape (C, P). Where they differ, less than a lot may remain untaken.
        rank: Who comes first, as the order of the rows, shape (C, P); first rows first if None.
    """
    if rank is not None:
        room, lot = room.gather(0, rank), lot.gather(0, rank)
    before = room.cumsum(0) - room
    taken = torch.minimum((left - before).clamp(min=0), room)
    taken = whole_lots(taken, lot)
    return taken if rank is None else torch.empty_like(taken).scatter_(0, rank, taken)


def largest_remainders(exact: Tensor, have: Tensor, lot: Tensor) -> Tensor:
    """Quantities in whole lots, those cut most getting one more while there is stock for it.

    Args:
        exact: Quantities, in sum no more than there is but for rounding, shape (C, P).
        have: What there is, shape (P,).
        lot: Lot sizes, 0 where quantities are continuous, shape (C, P).

    Source: Balinski & Young (2001), Fair Representation, 2nd ed. (largest remainders).
    """
    lots = whole_lots(exact, lot)
    cut = exact - lots
    room = torch.where(cut > 1e-6 * lot, lot, 0.0)
    fraction = torch.where(room > 0, cut / room.clamp(min=1e-12), 0.0)
    # Stable: who is named first comes first among equals.
    rank = fraction.sort(dim=0, descending=True, stable=True).indices
    return lots + hand_out(have - lots.sum(0), room, lot, rank)


class RationedBaseStock(SeparableLevelPolicy):
    """Echelon base stock whose supplying nodes ration what is scarce by a rule of their own.

    Args:
        sourcing: Primary lanes and serving nodes.
        levels: Echelon level of each stocking node, by period.
    """

    def _use(self, items: slice) -> None:
        super()._use(items)
        sourcing, network = self.sourcing, self.sourcing.network
        zero = network.replenishment_lanes[network.lead_time[network.replenishment_lanes] == 0]
        depth = levels_of(network, zero)[sourcing.stocking]
        parent = sourcing.parent
        # What arrives at once passes on in the same period, unless how it arrives is random.
        certain = (sourcing.lead_time == 0) & (sourcing.lead_time_variance == 0)
        certain &= sourcing.arriving == 1
        self._at_once = row_tensor((certain & (sourcing.lane != NOWHERE)).astype(float))
        self._lot = row_tensor(sourcing.of_lane(network.lot_size[items]))
        most = sourcing.of_lane(np.where(network.allowed, network.maximum_quantity, 0.0)[items])
        self._most = None if np.isinf(most[parent != NOWHERE]).all() else row_tensor(most)
        self._suppliers: list[tuple[int, IntArray, Tensor | None]] = []
        for node in sorted(set(parent[parent != NOWHERE].tolist()), key=lambda v: int(depth[v])):
            below = np.flatnonzero((parent == node).any(axis=0))
            member = parent[:, below] == node
            mask = None if member.all() else row_tensor(member.astype(float))
            self._suppliers.append((node, below, mask))

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        position = self.echelon_position(state)
        return self.round_up(self.want(position, self._every, period), self._every)

    def decide(self, state: State, period: int) -> Decision:
        """Order what is missing to the levels of `period`, as far as there is stock to send."""
        asked = self.orders(state, period)
        return self.release(self.rationed(asked, state, period), period)

    def rationed(self, asked: Tensor, state: State, period: int) -> Tensor:
        """What each node gets of what it asks for, shape (M, S, N)."""
        granted = self._shippable(asked, period)
        stock = self._stocking.take(graph_first(state.on_hand))
        position: Tensor | None = None
        for node, below, member in self._suppliers:
            rows = torch.from_numpy(below)
            request = granted.index_select(0, rows)
            mine = request if member is None else request * member.to(request.dtype)
            at_once = self._at_once[node].to(stock.dtype)
            have = stock[node] + granted[node] * at_once
            short = mine.sum(0) > have * (1 + _TOLERANCE) + _TOLERANCE
            if not short.any():
                continue
            if position is None:
                position = self.echelon_position(state)
            scenario, item = short.nonzero(as_tuple=True)
            cases = Scarcity(
                mine[:, scenario, item].double(),
                have[scenario, item].double(),
                self._lot[rows][:, 0, item],
                position.index_select(0, rows)[:, scenario, item].double(),
                below,
                item,
                period,
            )
            change = torch.zeros_like(request)
            share = self.share(cases) - cases.asked
            change[:, scenario, item] = share.to(change.dtype)
            granted = granted.index_add(0, rows, change)
        return granted.clamp(min=0)

    @abstractmethod
    def share(self, scarcity: Scarcity) -> Tensor:
        """What each node gets: at most what it asks for, in sum what there is, shape (C, P)."""

    def _shippable(self, asked: Tensor, period: int) -> Tensor:
        """What is asked on lanes that are open, at most what they take, shape (M, S, N)."""
        network, lane = self.sourcing.network, self.sourcing.lane
        if self._most is not None:
            most = torch.minimum(asked, self._most.to(asked.dtype))
            asked = whole_lots(most, self._lot.to(asked.dtype))
        if not self._always_open:
            opens = np.append(network.open_periods(period, 1)[:, 0], False)
            asked = asked * row_tensor(opens[lane].astype(float)).to(asked.dtype)
        return asked
