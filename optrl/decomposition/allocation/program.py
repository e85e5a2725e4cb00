"""An allocation, or some columns of it, as a linear or mixed-integer program for HiGHS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import coo_matrix, csr_matrix

from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.terms import UNGROUPED
from optrl.solver import Model

# Columns above which interior point and crossover beat the dual simplex from scratch.
_LARGE = 20_000


@dataclass(frozen=True)
class ProgramSolution:
    """A solved program.

    Attributes:
        quantity: Of all columns of the allocation, shape (J,).
        gain: What they gain, by the allocation's own curves.
        bound: Largest gain that the solver could not exclude, with what was fixed in place.
        prices: Of the resources, shape (R,); None where there are integers.
    """

    quantity: FloatArray
    gain: float
    bound: float
    prices: FloatArray | None


def solve_program(
    allocation: Allocation,
    columns: IntArray | None = None,
    fixed: FloatArray | None = None,
    *,
    time_limit: float | None = None,
    relative_gap: float | None = None,
) -> ProgramSolution:
    """Best quantities of some columns, the others fixed.

    Args:
        allocation: The allocation.
        columns: Those to decide; all when None.
        fixed: Quantities of the others, shape (J,), which keep all limits by themselves.
        time_limit: Seconds.
        relative_gap: At which a MIP may stop.

    Raises:
        optrl.solver.InfeasibleError: If the fixed quantities leave no room.
    """
    every = len(allocation.cost)
    chosen = np.arange(every) if columns is None else columns
    rest = np.zeros(every) if fixed is None else fixed.copy()
    rest[chosen] = 0.0
    room = allocation.capacity - allocation.load(rest)
    stock = allocation.stock - allocation.drawn(rest)
    # Rounding in what is fixed must not make the program infeasible.
    room = np.where(room > -1e-9 * (1 + allocation.capacity), np.maximum(room, 0.0), room)
    stock = np.where(stock > -1e-9 * (1 + allocation.stock), np.maximum(stock, 0.0), stock)
    program = _build(allocation, chosen, room, stock)
    solution = Model(program).solve(
        time_limit=time_limit,
        relative_gap=relative_gap,
        interior_point=len(program.cost) > _LARGE,
    )
    taken = np.maximum(solution.values("order"), 0.0)
    if program.has_integers:
        # Exact lots, and nothing where a column is not used, whatever the solver's tolerance.
        whole = np.flatnonzero(allocation.terms.integers[chosen])
        lot = allocation.lot[chosen][whole]
        count = np.round(solution.values("lots"))
        used = solution.values("used") > 0.5
        taken[whole] = np.where(lot > 0, lot * count, taken[whole]) * used
    already = rest.copy()
    rest[chosen] = taken
    prices = None
    if solution.row_dual is not None:
        prices = np.maximum(-solution.duals("capacity"), 0.0)
    # The program counts from nothing ordered in its columns.
    bound = allocation.gain(already) - solution.bound
    return ProgramSolution(rest, allocation.gain(rest), bound, prices)


class _Rows:
    """Rows as they are added, block by block."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.lower: list[FloatArray] = []
        self.upper: list[FloatArray] = []
        self.height = 0

    def add(
        self,
        name: str,
        size: int,
        lower: FloatArray | float,
        upper: FloatArray | float,
        *entries: tuple[IntArray, IntArray, FloatArray | float],
    ) -> None:
        """Add a block of rows with entries (row within it, column, value)."""
        self.blocks[name] = Block(name, self.height, self.height + size, str)
        self.lower.append(np.broadcast_to(lower, size).astype(float))
        self.upper.append(np.broadcast_to(upper, size).astype(float))
        for row, column, value in entries:
            values = np.broadcast_to(value, len(row)).astype(float)
            self.entries.append((self.height + row, column, values))
        self.height += size

    def matrix(self, width: int) -> csr_matrix:
        """All entries."""
        row, column, value = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        return coo_matrix((value, (row, column)), shape=(self.height, width)).tocsr()


def _build(
    allocation: Allocation, columns: IntArray, room: FloatArray, stock: FloatArray
) -> LinearProgram:
    """Segments of the curves, orders, and whether and in how many lots they are placed."""
    inf = np.inf
    ahead = allocation.curves.ahead(allocation.position, columns)
    slope = allocation.curves.slope[columns]
    whole = np.flatnonzero(allocation.terms.integers[columns])
    owner, segment = np.nonzero((ahead > 0) & (slope > 0))
    z, j, n = len(owner), len(columns), len(whole)
    order = z + np.arange(j)
    used, lots = z + j + np.arange(n), z + j + n + np.arange(n)
    width = z + j + 2 * n
    lot, least = (part[columns][whole] for part in (allocation.lot, allocation.smallest))
    upper = np.minimum(allocation.largest[columns], allocation.reach[columns])
    largest = upper[whole]
    use, setup = (part[columns] for part in (allocation.use, allocation.setup))
    group = allocation.group[columns]
    groups = np.unique(group[group != UNGROUPED])
    inside = np.flatnonzero(group != UNGROUPED)

    rows = _Rows()
    user, taken = np.argwhere(use).T
    setter, delayed = np.argwhere(setup[whole]).T
    rows.add(
        "capacity",
        len(room),
        -inf,
        room,
        (taken, order[user], use[user, taken]),
        (delayed, used[setter], setup[whole][setter, delayed]),
    )
    place = np.searchsorted(groups, group[inside])
    rows.add("stock", len(groups), -inf, stock[groups], (place, order[inside], 1.0))
    rows.add("position", j, -inf, 0.0, (owner, np.arange(z), 1.0), (np.arange(j), order, -1.0))
    each = np.arange(n)
    rows.add("order_limit", n, -inf, 0.0, (each, order[whole], 1.0), (each, used, -largest))
    rows.add("order_minimum", n, 0.0, inf, (each, order[whole], 1.0), (each, used, -least))
    discrete = lot > 0
    rows.add(
        "lot",
        n,
        np.where(discrete, 0.0, -inf),
        np.where(discrete, 0.0, inf),
        (each, order[whole], 1.0),
        (each, lots, -lot),
    )
    nothing = np.zeros(n)
    fixed = allocation.fixed_cost[columns][whole]
    most = np.where(discrete, np.floor(largest / np.where(discrete, lot, 1.0) + 1e-6), 0.0)
    return LinearProgram(
        cost=np.concatenate([-slope[owner, segment], allocation.cost[columns], fixed, nothing]),
        offset=0.0,
        matrix=rows.matrix(width),
        row_lower=np.concatenate(rows.lower),
        row_upper=np.concatenate(rows.upper),
        column_lower=np.zeros(width),
        column_upper=np.concatenate([ahead[owner, segment], upper, np.ones(n), most]),
        integrality=np.repeat([False, True], [z + j, 2 * n]),
        columns={
            "segment": Block("segment", 0, z, str),
            "order": Block("order", z, z + j, str),
            "used": Block("used", z + j, z + j + n, str),
            "lots": Block("lots", z + j + n, width, str),
        },
        rows=rows.blocks,
    )
