"""The state's columns as affine expressions of a stage problem's variables and data.

The replenishment formulation is indexed by tree node (`optrl_formulations.scenario_tree`). At a
node of depth d, d periods of demand are known; stock there is the stock at the end of period d -
1 plus what arrives in period d, the pipeline is what was due at the start or was released before
and is still on its way, and after the node's own decision its orders are added and what they take
is taken off.

The same expressions serve both builders, since their components have their members in the same
order: `program_columns` for programs as arrays, `model_columns` for Pyomo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optrl_formulations.cost_to_go.linear_terms import linear
from optrl_formulations.joining import AffineMap
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment import ReplenishmentHandles
from optrl_formulations.replenishment_data import Delivery
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from scipy.sparse import csr_matrix

from optrl.values.base import ValueFunctionError
from optrl.values.state_columns import KINDS, StateColumns

_ON_HAND, _DUE, _TOTAL, _BACKLOG = range(len(KINDS))


def program_columns(
    columns: StateColumns,
    layout: ReplenishmentLayout,
    due_periods: int,
    nodes: Sequence[int] | None = None,
    delivery: Delivery | None = None,
) -> AffineMap:
    """The columns at tree nodes, node after node, M * K expressions.

    Args:
        columns: What to express.
        layout: Of the stage problem; its network may have merged customers, but has the items of
            the columns, and their nodes by name.
        due_periods: Slots of the stage problem's ``initial_due``.
        nodes: Tree nodes. When None, for ``next_decision`` the leaves, and for
            ``after_decision`` the nodes of the last decisions. After those the formulation has
            one more period of demand, whose costs and demand are the owner's concern.
        delivery: The stage problem's, where lanes have random arrivals.

    Raises:
        ValueFunctionError: If the network lacks items or nodes of the columns, or a node takes no
            decision.
    """
    after = columns.moment == "after_decision"
    tree = layout.tree
    if nodes is None:
        last = tree.periods - 1 if after else tree.periods
        nodes = np.flatnonzero(tree.depth == last).tolist()
    undecided = sorted(set(nodes) - set(tree.decisions.tolist()))
    if after and undecided:
        raise ValueFunctionError(f"tree node {undecided[0]} takes no decision: name one that does")
    build = _Expressions(columns, layout, due_periods, delivery)
    for position, node in enumerate(nodes):
        build.add(position * columns.size, node, after=after)
    return build.result(len(nodes) * columns.size)


def model_columns(arguments: AffineMap, handles: ReplenishmentHandles) -> list[Any]:
    """Expressions of `program_columns` over the Pyomo components of the same stage problem."""
    components = {name: getattr(handles, name) for name in arguments.columns}
    components |= {
        slot.local_name: slot for slot in handles.data if slot.local_name in arguments.data
    }
    parts: list[list[tuple[FloatArray, list[Any]]]] = [[] for _ in range(len(arguments))]
    for name, matrix in (*arguments.columns.items(), *arguments.data.items()):
        members = list(components[name].values())
        for row, terms in enumerate(parts):
            place = slice(matrix.indptr[row], matrix.indptr[row + 1])
            chosen = [members[k] for k in matrix.indices[place]]
            terms.append((matrix.data[place], chosen))
    return [
        linear(terms, float(constant))
        for terms, constant in zip(parts, arguments.offset, strict=True)
    ]


@dataclass(frozen=True)
class _Atoms:
    """What columns consist of: stock is slot -1, and slots of the pipeline from 0 on."""

    column: IntArray
    item: IntArray
    node: IntArray
    slot: IntArray


class _Expressions:
    """Collects coefficients of blocks."""

    def __init__(
        self,
        columns: StateColumns,
        layout: ReplenishmentLayout,
        due_periods: int,
        delivery: Delivery | None,
    ) -> None:
        self._layout, self._delivery = layout, delivery
        network = layout.network
        if columns.items != network.items:
            raise ValueFunctionError("the value function was made for other items")
        used = np.unique(columns.node)
        missing = [columns.nodes[v] for v in used if columns.nodes[v] not in network.node_index]
        if missing:
            raise ValueFunctionError(
                f"the stage problem has no node {missing[0]!r}: a value function's demand nodes "
                "must not be merged"
            )
        index = np.zeros(len(columns.nodes), dtype=np.int64)
        index[used] = [network.node_index[columns.nodes[v]] for v in used]
        n, v, a, tree_nodes = layout.shape
        waiting = columns.kind == _BACKLOG
        if waiting.any() and network.unmet != "backorder":
            raise ValueFunctionError("the value function counts backlog, but demand is lost")
        self._waiting = (
            np.flatnonzero(waiting),
            columns.item[waiting],
            index[columns.node[waiting]],
        )
        self._atoms = _atoms(columns, index, network.longest_lead_time, due_periods, delivery)
        self._order = layout.order.positions((n, a, tree_nodes))
        self._stock = layout.on_hand.positions((n, v, tree_nodes))
        self._unmet = layout.demand.positions((n, v, tree_nodes))
        self._initial = layout.initial_on_hand.positions((n, v))
        self._initial_due = layout.initial_due(due_periods).positions((n, v, due_periods))
        self._initial_backlog = layout.initial_backlog.positions((n, v))
        self._due_periods = due_periods
        self._sizes = {
            "order": len(layout.order),
            "on_hand": len(layout.on_hand),
            "unmet": len(layout.demand),
            "initial_on_hand": len(layout.initial_on_hand),
            "initial_due": len(layout.initial_due(due_periods)),
            "initial_backlog": len(layout.initial_backlog),
        }
        self._entries: dict[str, list[tuple[IntArray, IntArray, FloatArray]]] = {}

    def add(self, start: int, node: int, *, after: bool) -> None:
        """Columns at one tree node, as expressions from position `start` on."""
        tree = self._layout.tree
        depth = int(tree.depth[node])
        atoms = self._atoms
        column, item, place, slot = (
            atoms.column + start,
            atoms.item,
            atoms.node,
            atoms.slot,
        )
        stock = slot < 0
        if depth == 0:
            member = self._initial[item[stock], place[stock]]
            self._put("initial_on_hand", column[stock], member, 1.0)
        else:
            member = self._stock[item[stock], place[stock], node]
            self._put("on_hand", column[stock], member, 1.0)
        # Slot k arrives k + 1 periods after period d: index d + k of what was due at the start.
        due = slot + depth
        known = (due >= 0) & (due < self._due_periods)
        member = self._initial_due[item[known], place[known], due[known]]
        self._put("initial_due", column[known], member, 1.0)
        self._add_orders(start, node, depth, after)
        column, item, place = self._waiting[0] + start, *self._waiting[1:]
        if depth == 0:
            self._put("initial_backlog", column, self._initial_backlog[item, place], 1.0)
        else:
            self._put("unmet", column, self._unmet[item, place, node], 1.0)

    def _add_orders(self, start: int, node: int, depth: int, after: bool) -> None:
        network, tree = self._layout.network, self._layout.tree
        atoms, delivery = self._atoms, self._delivery
        random = (
            np.full(len(network.lanes), -1)
            if delivery is None
            else delivery.position(len(network.lanes))
        )
        latest = depth if after else depth - 1
        for lane in network.replenishment_lanes.tolist():
            into = atoms.node == network.destination[lane]
            column, item, slot = atoms.column[into] + start, atoms.item[into], atoms.slot[into]
            fixed = random[lane] < 0 or delivery is None
            longest = 0 if delivery is None else delivery.fraction.shape[3] - 1
            delays = [int(network.lead_time[lane])] if fixed else list(range(longest + 1))
            for delay in delays:
                released = depth + slot + 1 - delay
                counts = (released >= 0) & (released <= latest)
                source = tree.ancestors[node, released[counts]]
                member = self._order[item[counts], lane, source]
                share: FloatArray | float = 1.0
                if not fixed and delivery is not None:
                    share = delivery.fraction[item[counts], random[lane], source, delay]
                self._put("order", column[counts], member, share)
            if after:
                out = (atoms.node == network.origin[lane]) & (atoms.slot < 0)
                member = self._order[atoms.item[out], lane, node]
                self._put("order", atoms.column[out] + start, member, -1.0)

    def result(self, rows: int) -> AffineMap:
        """All expressions."""
        matrices = {}
        for name, entries in self._entries.items():
            row, member, value = (np.concatenate(part) for part in zip(*entries, strict=True))
            matrices[name] = csr_matrix((value, (row, member)), shape=(rows, self._sizes[name]))
        return AffineMap(
            {k: m for k, m in matrices.items() if not k.startswith("initial_")},
            {k: m for k, m in matrices.items() if k.startswith("initial_")},
            np.zeros(rows),
        )

    def _put(self, name: str, row: IntArray, member: IntArray, value: FloatArray | float) -> None:
        # Without a member there is no variable or datum: it is zero.
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), row.shape)
        keep = (member >= 0) & (values != 0)
        if keep.any():
            entry = (row[keep], member[keep], values[keep])
            self._entries.setdefault(name, []).append(entry)


def _atoms(
    columns: StateColumns,
    index: IntArray,
    longest: int,
    due_periods: int,
    delivery: Delivery | None,
) -> _Atoms:
    """Columns taken apart; a whole pipeline is all slots in which anything can be."""
    if delivery is not None:
        longest = max(longest, delivery.fraction.shape[3] - 1)
    slots = np.arange(max(longest, due_periods))
    stock = np.flatnonzero(columns.kind == _ON_HAND)
    due = np.flatnonzero(columns.kind == _DUE)
    total = np.repeat(np.flatnonzero(columns.kind == _TOTAL), len(slots))
    column = np.concatenate([stock, due, total])
    return _Atoms(
        column,
        columns.item[column],
        index[columns.node[column]],
        np.concatenate(
            [
                np.full(len(stock), -1),
                columns.slot[due],
                np.tile(slots, int((columns.kind == _TOTAL).sum())),
            ]
        ).astype(np.int64),
    )
