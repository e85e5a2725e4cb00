"""A block's program without its capacity rows: costs, usages and plans of its columns.

It is that of `optrl_formulations.replenishment_arrays`; integers are relaxed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout
from scipy.sparse import csr_matrix

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, part_starts

PLAN = ("order", "serve", "sales", "unmet", "on_hand")
_TOLERANCE = 1e-6


class BlockProgram:
    """Arrays of a block's program.

    Attributes:
        program: Without capacity rows and integers.
    """

    def __init__(self, block: ReplenishmentItems, parts: int) -> None:
        """Build it.

        Args:
            block: Its items.
            parts: See `Recipe`.
        """
        layout = self._layout = block.layout
        whole = build_replenishment(layout, block.data)
        usage = csr_matrix(whole.matrix[whole.rows["capacity"].slice])
        # What goes above a capacity belongs to the master, not to the items.
        own = np.ones(len(whole.cost))
        own[whole.columns["overflow"].slice] = 0.0
        self._usage = csr_matrix(usage.multiply(own[None, :]))
        self._row = tuple(layout.resource_rows)
        self._shape = (len(layout.network.resources), len(layout.tree.parent))
        whole_numbers = np.zeros(len(whole.cost), dtype=bool)
        self.program = replace(without_rows(whole, "capacity"), integrality=whole_numbers)
        self._item = _item_of_columns(layout, self.program)
        # Of all data only the pipeline has costs (credits, where it arrives after the horizon).
        due = self.program.data["initial_due"]
        item = layout.initial_due(block.data.due.shape[2]).columns[0]
        self._constant = np.bincount(item, due.cost * due.value, minlength=len(block))
        self._parts = parts
        starts = part_starts(len(block), parts)
        self._part = np.searchsorted(starts, self._item, side="right") - 1

    def charges(self, prices: FloatArray) -> FloatArray:
        """What each column's usage costs at prices (R, P), shape (columns,)."""
        charged: FloatArray = self._usage.T @ prices[self._row]
        return charged

    def by_item(self, values: FloatArray) -> FloatArray:
        """Sums over the columns of each item, shape (n,)."""
        count = len(self._layout.network.items)
        total: FloatArray = np.bincount(self._item, values, count).astype(np.float64)
        return total

    def cost(self, x: FloatArray) -> FloatArray:
        """True cost by item, shape (n,)."""
        return self.by_item(self.program.cost * x) + self._constant

    def usage(self, x: FloatArray) -> FloatArray:
        """Usage by part, shape (C, R, P)."""
        used = np.zeros((self._parts, *self._shape))
        for part in range(self._parts):
            used[part][self._row] = self._usage @ np.where(self._part == part, x, 0.0)
        return used

    def plan(self, x: FloatArray) -> Plan:
        """Columns as arrays by item."""
        n, v, a, nodes = self._layout.shape
        result = {}
        for name in PLAN:
            wide = a if name in ("order", "serve") else v
            columns = x[self.program.columns[name].slice]
            result[name] = self._index(name).scatter(columns, (n, wide, nodes))
        return result

    def columns(self, plan: Plan) -> FloatArray:
        """Arrays by item as columns, shape (columns,); for programs without integer columns.

        Raises:
            BlockError: If a part of the plan is missing, or the plan breaks a row or bound.
        """
        x = np.zeros(len(self.program.cost))
        for name in PLAN:
            if name not in plan:
                raise BlockError(f"the plan has no {name!r}; it needs {', '.join(PLAN)}")
            x[self.program.columns[name].slice] = self._index(name).gather(plan[name])
        program = self.program
        activity = program.matrix @ x + program.row_shift()
        margin = _TOLERANCE * max(1.0, float(np.abs(activity).max(initial=0.0)))
        for values, low, high, called in (
            (activity, program.row_lower, program.row_upper, program.row_name),
            (x, program.column_lower, program.column_upper, program.column_name),
        ):
            excess = np.maximum(low - values, values - high)
            worst = int(excess.argmax()) if len(excess) else 0
            if len(excess) and not excess[worst] <= margin:
                raise BlockError(
                    f"the plan breaks {called(worst)} by {excess[worst]:.6g}: a plan must be "
                    "feasible for each item by itself"
                )
        return x

    def _index(self, name: str) -> Index:
        index: Index = self._layout.demand if name == "unmet" else getattr(self._layout, name)
        return index


def without_rows(program: LinearProgram, name: str) -> LinearProgram:
    """A program without one of its row blocks."""
    gone = program.rows[name]
    keep = np.ones(len(program.row_lower), dtype=bool)
    keep[gone.slice] = False
    size = len(gone)
    return replace(
        program,
        matrix=program.matrix[keep],
        row_lower=program.row_lower[keep],
        row_upper=program.row_upper[keep],
        rows={
            key: replace(block, start=block.start - size, stop=block.stop - size)
            if block.start >= gone.stop
            else block
            for key, block in program.rows.items()
            if key != name
        },
        data={
            key: replace(block, matrix=block.matrix[keep]) for key, block in program.data.items()
        },
    )


def _item_of_columns(layout: ReplenishmentLayout, program: LinearProgram) -> IntArray:
    """Which item each column belongs to; columns of resources count as the first item's.

    Without their rows the overflow columns are zero at any nonnegative price.
    """
    item = np.zeros(len(program.cost), dtype=np.int64)
    for name, block in program.columns.items():
        if name.startswith("stock_value_"):
            item[block.slice] = np.arange(len(block)) * len(layout.network.items) // len(block)
        elif name not in ("overflow", "lane_used"):
            index = layout.demand if name == "unmet" else getattr(layout, name)
            item[block.slice] = index.columns[0]
    return item
