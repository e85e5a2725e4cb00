"""Which numbers of a state a value function's arguments are, and how to take them.

The layout is stated once and used three times: on states of the simulator (torch, with gradients),
on plain arrays, and on the columns of a stage problem (`optrl.values.program_state`). So a function
learned on the first is embedded over the same numbers in the last.

Two moments are possible:

* ``after_decision``: after orders were released and lanes with lead time 0 have delivered, before
  demand is seen (the post-decision state). ``due[..., k]`` then arrives k + 1 periods later.
* ``next_decision``: what the next decision sees, after the period's demand and the next period's
  arrivals. It is a `State` of the simulator as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, IntArray, Network, NodeKind
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.state import State
from optrl.values.base import ValueFunctionError
from optrl.values.post_decision import PostDecision

Moment = Literal["after_decision", "next_decision"]
Pipeline = Literal["slots", "total"]

KINDS = ("on_hand", "due", "in_transit", "backlog")
"""Kinds of columns: stock, one slot of the pipeline, all of the pipeline, demand waiting."""


@dataclass(frozen=True)
class StateColumns:
    """K columns of a state, in this order: stock, pipeline, backlog.

    Attributes:
        moment: When the state is taken.
        items: Item names of the instance.
        nodes: Node names of the instance's network, in its order.
        kind: Position in `KINDS`, shape (K,).
        item: Shape (K,).
        node: Position in `nodes`, shape (K,).
        slot: Of ``due``: k, arriving k + 1 periods later; 0 elsewhere, shape (K,).
    """

    moment: Moment
    items: tuple[str, ...]
    nodes: tuple[str, ...]
    kind: IntArray
    item: IntArray
    node: IntArray
    slot: IntArray

    def __post_init__(self) -> None:
        if self.moment not in ("after_decision", "next_decision"):
            raise ValueFunctionError(f"moment {self.moment!r} is unknown")
        parts = {"kind": len(KINDS), "item": len(self.items), "node": len(self.nodes)}
        for name in ("kind", "item", "node", "slot"):
            values = getattr(self, name)
            if values.shape != self.kind.shape or values.ndim != 1 or (values < 0).any():
                raise ValueFunctionError(f"{name} must be {self.size} nonnegative positions")
            if name in parts and (values >= parts[name]).any():
                raise ValueFunctionError(f"{name} has positions beyond {parts[name] - 1}")

    @classmethod
    def of(
        cls,
        instance: Instance,
        *,
        moment: Moment = "after_decision",
        pipeline: Pipeline = "slots",
        alike: bool = False,
    ) -> Self:
        """All columns in which an instance's state can differ from zero.

        Args:
            instance: The instance.
            moment: When the state is taken.
            pipeline: Each slot of the pipeline a column, or all of it into a node as one.
            alike: Whether every item gets the columns of all items, so that one network can
                serve each item; see `by_item`.
        """
        network = instance.network
        n, v = len(network.items), len(network.nodes)
        stocked = _stocked(instance)
        slots = _slots(instance, moment)
        waits = np.zeros((n, v), dtype=bool)
        if network.unmet == "backorder":
            waits[:, instance.demand.nodes] = True
        if alike:
            stocked, waits = _for_all(stocked), _for_all(waits)
            slots = np.broadcast_to(slots.max(axis=0, initial=0), (n, v))
        longest = int(slots.max(initial=0))
        due = stocked[:, :, None] & (np.arange(longest) < slots[:, :, None])
        # Each part as a mask over (N, V, slots); what has no slots stands in slot 0.
        total = np.asarray(due.any(axis=2))[:, :, None]
        way = (1, due) if pipeline == "slots" else (2, total)
        parts = [(0, stocked[:, :, None]), way, (3, waits[:, :, None])]
        members = [np.argwhere(mask) for _, mask in parts]
        codes = [np.full(len(found), code) for (code, _), found in zip(parts, members, strict=True)]
        item, node, slot = np.concatenate(members).T.astype(np.int64)
        kind = np.concatenate(codes).astype(np.int64)
        return cls(moment, network.items, network.nodes, kind, item, node, slot)

    @property
    def size(self) -> int:
        """Number of columns K."""
        return len(self.kind)

    def label(self, k: int) -> str:
        """Name of a column, for messages."""
        kind = KINDS[self.kind[k]]
        slot = f", slot {self.slot[k]}" if kind == "due" else ""
        return f"{kind}[{self.items[self.item[k]]}, {self.nodes[self.node[k]]}{slot}]"

    def by_item(self) -> IntArray:
        """Columns of each item, shape (N, K / N): arguments of one function for every item.

        Raises:
            ValueFunctionError: If items have different columns; see `of(alike=True)`.
        """
        n = len(self.items)
        order = np.argsort(self.item, kind="stable")
        table = order.reshape(n, -1) if n and self.size % n == 0 else None
        if table is None or not (self.item[table] == np.arange(n)[:, None]).all():
            raise ValueFunctionError(
                "items have different columns: take StateColumns.of(alike=True)"
            )
        for part in (self.kind, self.node, self.slot):
            if (part[table] != part[table[0]]).any():
                raise ValueFunctionError(
                    "items have different columns: take StateColumns.of(alike=True)"
                )
        return np.asarray(table, dtype=np.int64)

    def of_state(self, state: State) -> Tensor:
        """The columns of states that a decision sees, shape (S, K), with gradients.

        For columns of moment ``after_decision`` use `after`.
        """
        if self.moment != "next_decision":
            raise ValueFunctionError("these columns stand after a decision: give it to `after`")
        return self.gather(state.on_hand, state.due, state.backlog)

    def after(self, state: State, released: Tensor, flow: PostDecision) -> Tensor:
        """The columns after a decision, shape (S, K), with gradients.

        Args:
            state: What the decision saw.
            released: What was released on replenishment lanes, shape (S, N, lanes): the
                simulator's after its cuts, or a decision that is feasible.
            flow: Of the instance.
        """
        if self.moment != "after_decision":
            raise ValueFunctionError("these columns are those of a state: use `of_state`")
        return self.gather(*flow.apply(state, released), state.backlog)

    def gather(self, on_hand: Tensor, due: Tensor, backlog: Tensor) -> Tensor:
        """The columns of dense tensors (..., N, V), (..., N, V, slots) and (..., N, V)."""
        missing = int(self._due_slots) - due.shape[-1]
        if missing > 0:
            due = torch.nn.functional.pad(due, (0, missing))
        index = self._tensors
        parts = [
            on_hand[(..., *index["on_hand"][:2])],
            due[(..., *index["due"])],
            due[(..., *index["in_transit"][:2], slice(None))].sum(dim=-1),
            backlog[(..., *index["backlog"][:2])],
        ]
        return torch.cat(parts, dim=-1)[..., self._places]

    @cached_property
    def _due_slots(self) -> int:
        return int(self.slot.max(initial=-1)) + 1

    @cached_property
    def _tensors(self) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        return {
            name: tuple(  # type: ignore[misc] # three of them
                torch.from_numpy(part[self.kind == code].copy())
                for part in (self.item, self.node, self.slot)
            )
            for code, name in enumerate(KINDS)
        }

    @cached_property
    def _places(self) -> Tensor:
        """Where each column stands among the columns sorted by kind."""
        order = np.argsort(self.kind, kind="stable")
        return torch.from_numpy(np.argsort(order, kind="stable"))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        lists = {name: getattr(self, name).tolist() for name in ("kind", "item", "node", "slot")}
        names = {"items": list(self.items), "nodes": list(self.nodes)}
        return {"moment": self.moment, **names, **lists}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """From JSON; what does not fit is refused."""
        try:
            arrays = [
                np.array(document[name], dtype=np.int64).reshape(-1)
                for name in ("kind", "item", "node", "slot")
            ]
            items, nodes = tuple(document["items"]), tuple(document["nodes"])
            moment = document["moment"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueFunctionError(f"columns of a state cannot be read: {error}") from error
        if not all(isinstance(name, str) for name in (*items, *nodes)):
            raise ValueFunctionError("columns of a state cannot be read: names must be text")
        return cls(moment, items, nodes, *arrays)

    def check_fits(self, network: Network) -> None:
        """Raise ValueFunctionError unless a network has these items and nodes in this order."""
        if self.items != network.items or self.nodes != network.nodes:
            raise ValueFunctionError(
                "the value function was made for other items or nodes than the instance's"
            )


def _stocked(instance: Instance) -> BoolArray:
    """Which items can ever be at which stocking nodes, shape (N, V)."""
    network = instance.network
    found = (instance.on_hand > 0) | (instance.due > 0).any(axis=2)
    for lane in network.replenishment_lanes.tolist():
        found[:, network.destination[lane]] |= network.allowed[:, lane]
    return np.asarray(found & (network.kind == NodeKind.STOCKING)[None, :])


def _slots(instance: Instance, moment: Moment) -> IntArray:
    """Number of slots of the pipeline into each node by item, shape (N, V)."""
    network = instance.network
    slots = np.zeros((len(network.items), len(network.nodes)), dtype=np.int64)
    profiles = {p.lane: p.fraction.shape[1] - 1 for p in instance.arrivals}
    for lane in network.replenishment_lanes.tolist():
        longest = profiles.get(lane, int(network.lead_time[lane]))
        reach = longest if moment == "after_decision" else longest - 1
        node = network.destination[lane]
        mine = np.where(network.allowed[:, lane], max(reach, 0), 0)
        slots[:, node] = np.maximum(slots[:, node], mine)
    periods = np.arange(1, instance.due.shape[2] + 1)
    under_way = (np.where(instance.due > 0, periods, 0)).max(axis=2, initial=0)
    return np.asarray(np.maximum(slots, under_way), dtype=np.int64)


def _for_all(mask: BoolArray) -> BoolArray:
    return np.array(np.broadcast_to(mask.any(axis=0), mask.shape))
