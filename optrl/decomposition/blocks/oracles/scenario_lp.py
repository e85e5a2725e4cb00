"""Oracle: the replenishment program of a block over its scenarios, prices in the objective.

The program is that of `optrl_formulations.replenishment_arrays` without its capacity rows; prices
times their coefficients are added to the costs, which are pushed before every solve. Integers are
relaxed, which keeps the bound valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from scipy.sparse import csr_matrix

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, Response, part_starts
from optrl.solver import Model, Status
from optrl.solver.errors import SolverError

_PLAN = ("order", "serve", "sales", "unmet", "on_hand")


@dataclass(frozen=True)
class ScenarioLpRecipe:
    """How to build a `ScenarioLp`.

    Attributes:
        block: Its items.
        first_prices: Prices at which the basis is found that every later solve starts from, shape
            (R, P); the nearer to those asked for, the faster. None for zero prices.
        parts: See `Recipe`.
    """

    block: ReplenishmentItems
    first_prices: FloatArray | None = None
    parts: int = 1

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items."""
        return self.block.network.items

    def build(self) -> ScenarioLp:
        """Load the program and solve it at the first prices."""
        return ScenarioLp(self.block, self.first_prices, self.parts)


class ScenarioLp:
    """A block's program in HiGHS, solved from the same basis whatever the prices."""

    def __init__(
        self, block: ReplenishmentItems, first_prices: FloatArray | None = None, parts: int = 1
    ) -> None:
        """Load and solve.

        Args:
            block: Its items.
            first_prices: See `ScenarioLpRecipe`.
            parts: See `Recipe`.

        Raises:
            optrl.solver.InfeasibleError: If an item's problem is infeasible by itself.
        """
        layout = self._layout = block.layout
        whole = build_replenishment(layout, block.data)
        capacity = whole.rows["capacity"].slice
        usage = csr_matrix(whole.matrix[capacity])
        # What goes above a capacity belongs to the master, not to the items.
        own = np.ones(len(whole.cost))
        own[whole.columns["overflow"].slice] = 0.0
        self._usage = csr_matrix(usage.multiply(own[None, :]))
        self._row = tuple(layout.resource_rows)
        free = replace(without_rows(whole, "capacity"), integrality=np.zeros(len(whole.cost), bool))
        self._cost = free.cost
        self._item = _item_of_columns(layout, free)
        # Of all data only the pipeline has costs (credits, where it arrives after the horizon).
        due = free.data["initial_due"]
        item = layout.initial_due(block.data.due.shape[2]).columns[0]
        self._constant = np.bincount(item, due.cost * due.value, minlength=len(block))
        self._parts = parts
        starts = part_starts(len(block), parts)
        self._part = np.searchsorted(starts, self._item, side="right") - 1
        self._model = Model(free)
        self._all = Block("all", 0, len(free.cost), str)
        self._shape = (len(layout.network.resources), len(layout.tree.parent))
        first = np.zeros(self._shape) if first_prices is None else first_prices
        self._solve(first)
        self._model.keep_basis()

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `optrl.decomposition.blocks.oracle.Oracle`."""
        self._model.start_from_kept()
        x = self._solve(prices)
        used = np.zeros((self._parts, *self._shape))
        for part in range(self._parts):
            used[part][self._row] = self._usage @ np.where(self._part == part, x, 0.0)
        cost = self._by_item(self._cost * x) + self._constant
        paid = self._by_item((self._usage.T @ prices[self._row]) * x)
        return Response(cost + paid, cost, used, self._plan(x) if plan else None)

    def _solve(self, prices: FloatArray) -> FloatArray:
        self._model.push_cost(self._all, self._cost + self._usage.T @ prices[self._row])
        solution = self._model.solve()
        if solution.status is not Status.OPTIMAL:
            raise SolverError(f"the block's program ended {solution.status}, not optimal")
        return solution.x

    def _by_item(self, values: FloatArray) -> FloatArray:
        count = len(self._layout.network.items)
        total: FloatArray = np.bincount(self._item, values, count).astype(np.float64)
        return total

    def _plan(self, x: FloatArray) -> Plan:
        n, v, a, nodes = self._layout.shape
        columns = self._model.program.columns
        result = {}
        for name in _PLAN:
            index = self._layout.demand if name == "unmet" else getattr(self._layout, name)
            wide = a if name in ("order", "serve") else v
            result[name] = index.scatter(x[columns[name].slice], (n, wide, nodes))
        return result


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
