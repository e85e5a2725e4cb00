"""State and decision, batched over scenarios and items.

The order of events in a period, stated here and obeyed everywhere:

1. due shipments arrive;
2. the decision is taken, seeing stock, pipeline and backlog;
3. lanes with lead time 0 deliver at once;
4. demand is seen;
5. demand is served, at a node from its own stock, at a customer from stocking nodes over serving
   lanes, cheapest first unless the decision says how much each lane may serve at most;
6. costs fall on what is left.

An order released in period t on a lane with lead time L is usable in period t + L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


class State(Protocol):
    """What a decision sees, after due shipments have arrived.

    Logical shapes are given; memory may be laid out otherwise.
    """

    @property
    def on_hand(self) -> Tensor:
        """Stock, shape (S, N, V)."""
        ...

    @property
    def backlog(self) -> Tensor:
        """Demand waiting, shape (S, N, V); zeros where demand is lost."""
        ...

    @property
    def in_transit(self) -> Tensor:
        """Total pipeline into each node, shape (S, N, V)."""
        ...

    @property
    def due(self) -> Tensor:
        """Pipeline by arrival, shape (S, N, V, K): [..., k] arrives k + 1 periods from now."""
        ...


@runtime_checkable
class InformedState(State, Protocol):
    """A state that may also tell what demand was."""

    @property
    def seen(self) -> Tensor | None:
        """Demand of the periods before, from the rollout's first on, shape (S, N, D, periods).

        Demand, not sales: what was lost is seen too. None outside of rollouts.
        """
        ...


@dataclass(frozen=True)
class Decision:
    """What is released in a period.

    Attributes:
        order: Quantity released on each replenishment lane (`Network.replenishment_lanes`),
            shape (S, N, number of replenishment lanes).
        serve: Largest quantity to serve over each serving lane (`Network.serving_lanes`), shape
            (S, N, number of serving lanes), or None for cheapest first.
    """

    order: Tensor
    serve: Tensor | None = None
