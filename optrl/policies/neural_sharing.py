"""Scarce stock that a policy network's levels ask for in vain: shared evenly, in whole lots.

A node that feeds several others and holds less than they ask for cuts every one of them by the same
number of standard deviations of demand, nobody below nothing: what they are short of their levels
is as likely to be missed everywhere. As the network moves the levels with the state, it decides who
gets what. The dynamics' own way, in proportion to what is asked, favours whoever asks for most.

Rounded to the nearest lots, shares may add up to more or less than there is, which costs some
percent where demand is a few units a period: they are rounded by largest remainders instead.

Nodes that feed one other leave the cut to the dynamics. What reaches a node at once is shared out
with its stock; limits of lanes and resources are not looked at, and the dynamics cut what exceeds
them.

Source: Federgruen & Zipkin (1984), Approximations of dynamic, multilocation production and
inventory problems, Management Science 30(1) (equal fractiles); Michelot (1986), A finite algorithm
for finding the projection of a point onto the canonical simplex of R^n, Journal of Optimization
Theory and Applications 50(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import IntArray, Network, NodeKind
from torch import Tensor

from optrl.policies.rationing import largest_remainders
from optrl.simulation.fulfilment import levels_of
from optrl.simulation.rows import Rows

_TOLERANCE = 1e-5
_SMALLEST = 1e-9


@dataclass(frozen=True)
class _Stage:
    """Nodes that ship once the stages before have shipped.

    Attributes:
        lanes: Their lanes that share stock, among all lanes.
        node: Node that each of these draws on, among the nodes of the stage.
        holder: Nodes of the stage, among the stocking nodes.
        members: Lanes of each node, among those of the stage.
        at_once: Lanes that deliver at once once the stage has shipped, among all lanes.
        receiver: Where they deliver, among the stocking nodes.
    """

    lanes: Rows
    node: Rows
    holder: Rows
    members: tuple[Tensor, ...]
    at_once: Rows
    receiver: Rows


class SharedStock:
    """Cuts orders to the stock of nodes that feed several others.

    Args:
        network: The network.
        lanes: Replenishment lanes, shape (R,).
        spread: Standard deviation of a period's demand at the end of each lane, (R, 1, N).
    """

    def __init__(self, network: Network, lanes: IntArray, spread: Tensor) -> None:
        self._spread = spread.clamp(min=_SMALLEST)
        stocking: IntArray = np.flatnonzero(network.kind == NodeKind.STOCKING)
        origin, nodes = network.origin[lanes], len(stocking)
        zero = network.lead_time[lanes] == 0
        depth = levels_of(network, lanes[zero])[origin]
        feeds = np.bincount(origin, minlength=len(network.nodes))
        several = np.isin(origin, stocking) & (feeds[origin] > 1)
        to = np.searchsorted(stocking, network.destination[lanes])
        self._stages: list[_Stage] = []
        for value in np.unique(depth):
            some = np.flatnonzero(several & (depth == value))
            direct = np.flatnonzero(zero & (depth == value))
            holder, node = np.unique(np.searchsorted(stocking, origin[some]), return_inverse=True)
            members = tuple(torch.from_numpy(np.flatnonzero(node == k)) for k in range(len(holder)))
            self._stages.append(
                _Stage(
                    Rows(some, len(lanes)),
                    Rows(node, len(holder)),
                    Rows(holder, nodes),
                    members,
                    Rows(direct, len(lanes)),
                    Rows(to[direct], nodes),
                )
            )
        self.any = bool(several.any())

    def share(self, asked: Tensor, stock: Tensor) -> Tensor:
        """Orders that the stock suffices for, with gradients.

        Args:
            asked: Orders, not negative, shape (R, S, N); overwritten where gradients are off.
            stock: Of the stocking nodes, shape (M, S, N).
        """
        for stage in self._stages:
            if len(stage.lanes):
                request = stage.lanes.take(asked)
                have = stage.holder.take(stock)
                asked = stage.lanes.put_(asked, self._even(stage, request, have))
            stock = _delivered(stage, asked, stock)
        return asked

    def whole(self, exact: Tensor, stock: Tensor, lot: Tensor) -> Tensor:
        """Orders that `share` gave in whole lots: the nearest ones where the stock allows it.

        Args:
            exact: Orders, shape (R, S, N).
            stock: Of the stocking nodes, shape (M, S, N).
            lot: Lot sizes, 0 where quantities are continuous, shape (R, 1, N).
        """
        lot = lot.expand_as(exact)
        result = nearest_lots(exact, lot)
        for stage in self._stages:
            have = stage.holder.take(stock)
            for k, members in enumerate(stage.members):
                rows = stage.lanes.tensor[members]
                mine, near = exact[rows], result[rows]
                # All that there is is to be shared out, or rounding asks for more.
                tight = mine.sum(0) > have[k] - _TOLERANCE * (1 + have[k])
                tight |= near.sum(0) > have[k]
                if tight.any():
                    wide = (len(rows), -1)
                    shares = largest_remainders(
                        mine.reshape(wide), have[k].reshape(-1), lot[rows].reshape(wide)
                    )
                    result[rows] = torch.where(tight, shares.view(near.shape), near)
            stock = _delivered(stage, result, stock)
        return result

    def _even(self, stage: _Stage, request: Tensor, have: Tensor) -> Tensor:
        """Requests less the same number of standard deviations each, shape (lanes, S, N)."""
        node, spread = stage.node, stage.lanes.take(self._spread)
        total = node.total(request)
        short = total > have
        if not short.any():
            return request
        with torch.no_grad():
            served = (request > 0).to(request.dtype)
            # The cut rises as those leave the sum whom it would put below nothing.
            for _ in range(max(len(members) for members in stage.members)):
                cut = self._cut(node, served * request, served * spread, have)
                still = served * (request > cut * spread)
                if torch.equal(still, served):
                    break
                served = still
        cut = self._cut(node, served * request, served * spread, have)
        left = (request - cut * spread).clamp(min=0) * served
        return torch.where(node.take(short), left, request)

    @staticmethod
    def _cut(node: Rows, request: Tensor, spread: Tensor, have: Tensor) -> Tensor:
        """Standard deviations that each request of a node is cut by, shape (lanes, S, N)."""
        return node.take((node.total(request) - have) / node.total(spread).clamp(min=_SMALLEST))


def _delivered(stage: _Stage, orders: Tensor, stock: Tensor) -> Tensor:
    """Stock after the deliveries at once that follow a stage."""
    if not len(stage.at_once):
        return stock
    return stock.index_add(
        0,
        stage.receiver.tensor,
        stage.at_once.take(orders).expand(len(stage.at_once), *stock.shape[1:]),
    )


def nearest_lots(quantity: Tensor, lot: Tensor) -> Tensor:
    """Quantities in the nearest lots, halves up; as they are where there are no lots."""
    count = (quantity / torch.where(lot > 0, lot, 1.0) + 0.5).floor()
    return torch.where(lot > 0, count * lot, quantity)
