"""The simulator's state: graph-first memory behind the logical views of the `State` protocol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from optrl.simulation.arrivals import Arrivals, Underway
from optrl.simulation.rows import Rows, items_first


@dataclass(frozen=True)
class Shipment:
    """Quantities on the way that become usable in the same period.

    Attributes:
        nodes: Their destinations among all nodes.
        quantity: Shape (members of `nodes`, S, N).
    """

    nodes: Rows
    quantity: Tensor


@dataclass(frozen=True)
class Places:
    """Where the simulator's rows belong.

    Attributes:
        stocking: Stocking nodes among all nodes (M rows of V).
        demand: Demand nodes among all nodes (D rows of V).
        random: Destinations of the lanes with profiles, among all nodes.
        arrivals: Profiles of random arrivals.
        longest: Longest time on the way, K.
    """

    stocking: Rows
    demand: Rows
    random: Rows
    arrivals: Arrivals
    longest: int


@dataclass(frozen=True)
class NetworkState:
    """What a decision sees, graph-first.

    The pipeline is a ring of slots, one for each period ahead; a slot lists the shipments due
    then and refers to the tensors that were released, which are never copied or shifted.

    Attributes:
        places: Where the rows belong.
        period: Absolute period of the decision.
        stock: Stock, shape (V, S, N).
        moving: What is on the way on lanes without profiles, shape (V, S, N).
        waiting: Demand waiting, shape (D, S, N), or None where demand is lost.
        slots: ``slots[k]`` arrives k + 1 periods from now; lanes without profiles.
        underway: Orders on lanes with profiles; ``underway[g]`` was released g + 1 periods ago.
        charges: Cost on the way of what was released; ``charges[k]`` falls due k periods from
            now, shape (S,). Empty where nothing on its way costs anything.
        met: Demand of the periods before, shape (periods, D, S, N), or None outside of rollouts.
    """

    places: Places
    period: int
    stock: Tensor
    moving: Tensor
    waiting: Tensor | None
    slots: tuple[tuple[Shipment, ...], ...]
    underway: tuple[Underway, ...]
    charges: tuple[Tensor, ...] = ()
    met: Tensor | None = None

    def versions(self) -> tuple[int, ...]:
        """How often each tensor was written to; equal as long as none was, through any view."""
        held = [self.stock, self.moving, *self.charges]
        held += [] if self.waiting is None else [self.waiting]
        held += [shipment.quantity for slot in self.slots for shipment in slot]
        held += [x for orders in self.underway for x in (orders.quantity, orders.drawn)]
        held += [] if self.met is None else [self.met]
        # Tensors made in inference mode count nothing.
        return tuple(0 if each.is_inference() else each._version for each in held)

    @cached_property
    def on_hand(self) -> Tensor:
        """Stock, shape (S, N, V)."""
        return items_first(self.stock)

    @cached_property
    def backlog(self) -> Tensor:
        """Demand waiting, shape (S, N, V); zeros where demand is lost."""
        if self.waiting is None:
            zero = self.stock.new_zeros(())
            return items_first(zero.expand(self.stock.shape))
        return items_first(self.places.demand.spread(self.waiting))

    @property
    def seen(self) -> Tensor | None:
        """Demand of the periods before, shape (S, N, D, periods), or None outside of rollouts."""
        return None if self.met is None else self.met.permute(2, 3, 1, 0)

    @cached_property
    def pipeline(self) -> Tensor:
        """Total on the way to each node, shape (V, S, N); random lanes as expected."""
        total = self.moving
        if self.underway:
            total = total.clone()
            for position, orders in enumerate(self.underway):
                due = self.places.arrivals.remaining(orders, position + 1)
                total = self.places.random.add_(total, due)
        return total

    @cached_property
    def in_transit(self) -> Tensor:
        """Total pipeline into each node, shape (S, N, V)."""
        return items_first(self.pipeline)

    @cached_property
    def due(self) -> Tensor:
        """Pipeline by arrival, shape (S, N, V, K): [..., k] arrives k + 1 periods from now.

        On lanes with an `ArrivalProfile` it is what is expected given what has arrived so far.
        """
        if not self.places.longest:
            return self.on_hand.new_zeros(*self.on_hand.shape, 0)
        return torch.stack([self._due_in(k) for k in range(self.places.longest)]).permute(
            2, 3, 1, 0
        )

    def _due_in(self, k: int) -> Tensor:
        """What arrives k + 1 periods from now, shape (V, S, N)."""
        total = self._apart(self.slots[k])
        if total is None:
            total = torch.zeros_like(self.stock)
            for shipment in self.slots[k]:
                total = shipment.nodes.add_(total, shipment.quantity)
        for position, orders in enumerate(self.underway):
            age = position + 1
            if age + 1 + k <= self.places.arrivals.longest:
                due = self.places.arrivals.expected(orders, age, age + 1 + k)
                total = self.places.random.add_(total, due)
        return total

    def _apart(self, shipments: tuple[Shipment, ...]) -> Tensor | None:
        """Shipments to nodes of their own put side by side, or None where they are not that.

        One tensor is then written once, where adding them one by one would copy it each time
        that gradients are on.
        """
        if not shipments or not torch.is_grad_enabled():
            return None
        if len(shipments) == 1 and shipments[0].nodes.whole:
            return shipments[0].quantity
        pieces, reached = [], 0
        for shipment in sorted(shipments, key=lambda each: int(each.nodes.index[0])):
            rows = shipment.nodes.slice
            if rows is None or rows.start < reached:
                return None
            pieces += [self.stock.new_zeros(rows.start - reached, *self.stock.shape[1:])]
            pieces += [shipment.quantity]
            reached = rows.stop
        rest = self.stock.new_zeros(len(self.stock) - reached, *self.stock.shape[1:])
        return torch.cat([piece for piece in (*pieces, rest) if len(piece)])
