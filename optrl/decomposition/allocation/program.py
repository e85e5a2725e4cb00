"""An allocation, or some columns of it, as a linear or mixed-integer program for HiGHS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import coo_matrix

from optrl.decomposition.allocation.problem import UNGROUPED, Allocation
from optrl.solver import Model


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
    program, segments = _build(allocation, chosen, room, stock)
    solution = Model(program).solve(time_limit=time_limit, relative_gap=relative_gap)
    taken = np.bincount(
        segments, weights=np.maximum(solution.values("segment"), 0.0), minlength=len(chosen)
    )
    whole = allocation.lot[chosen]
    if program.has_integers:
        # Exact lots, and nothing where a column is not used, whatever the solver's tolerance.
        position = np.flatnonzero(allocation.integers[chosen])
        used = solution.values("used") > 0.5
        count = np.round(solution.values("lots"))
        taken[position] = (
            np.where(whole[position] > 0, whole[position] * count, taken[position]) * used
        )
    quantity = rest
    quantity[chosen] = taken
    already = rest.copy()
    already[chosen] = 0.0
    prices = None
    if solution.row_dual is not None:
        prices = np.maximum(-solution.duals("capacity"), 0.0)
    bound = allocation.gain(already) - solution.bound
    return ProgramSolution(quantity, allocation.gain(quantity), bound, prices)


def _build(
    allocation: Allocation, columns: IntArray, room: FloatArray, stock: FloatArray
) -> tuple[LinearProgram, IntArray]:
    """The program and the place in `columns` that each of its segments belongs to."""
    ahead = allocation.curves.ahead(allocation.position, columns)
    slope = allocation.curves.slope[columns]
    # A lot may reach beyond the last breakpoint, where a curve is flat.
    beyond = np.maximum(allocation.lot, allocation.smallest)[columns, None]
    ahead = np.concatenate([ahead, beyond], axis=1)
    slope = np.concatenate([slope, np.zeros_like(beyond)], axis=1)
    margin = slope - allocation.cost[columns, None]
    discrete = allocation.integers[columns]
    row, segment = np.nonzero((ahead > 0) & ((margin > 0) | discrete[:, None]))
    z, n = len(row), int(discrete.sum())
    owner = np.flatnonzero(discrete)
    resources, groups = len(room), np.unique(allocation.group[columns])
    groups = groups[groups != UNGROUPED]

    lot, least = allocation.lot[columns], allocation.smallest[columns]
    reach = np.where(discrete, ahead.sum(axis=1), 0.0)
    largest = np.minimum(allocation.largest[columns], reach)[owner]
    cost = np.concatenate(
        [-margin[row, segment], allocation.fixed_cost[columns][owner], np.zeros(n)]
    )
    upper = np.concatenate([ahead[row, segment], np.ones(n), np.where(lot[owner] > 0, np.inf, 0.0)])
    number = np.full(len(columns), -1)
    number[owner] = np.arange(n)
    rows: list[tuple[IntArray, IntArray, FloatArray]] = []
    lower: list[FloatArray] = []
    above: list[FloatArray] = []
    blocks: dict[str, Block] = {}
    height = 0

    def add(name: str, size: int, low: FloatArray, high: FloatArray) -> int:
        nonlocal height
        blocks[name] = Block(name, height, height + size, str)
        lower.append(np.broadcast_to(low, size).astype(float))
        above.append(np.broadcast_to(high, size).astype(float))
        height += size
        return height - size

    zs = np.arange(z)
    start = add("capacity", resources, np.array(-np.inf), room)
    used_by, what = np.nonzero(allocation.use[columns])
    weight = np.zeros((len(columns), resources))
    weight[used_by, what] = allocation.use[columns][used_by, what]
    segment_at, resource = np.nonzero(weight[row])
    rows.append((start + resource, segment_at, weight[row][segment_at, resource]))
    at, resource = np.nonzero(allocation.setup[columns][owner])
    rows.append((start + resource, z + at, allocation.setup[columns][owner][at, resource]))
    start = add("stock", len(groups), np.array(-np.inf), stock[groups])
    grouped = np.flatnonzero(allocation.group[columns][row] != UNGROUPED)
    place = np.searchsorted(groups, allocation.group[columns][row][grouped])
    rows.append((start + place, grouped, np.ones(len(grouped))))
    bounded = np.flatnonzero(np.isfinite(allocation.largest[columns]) & ~discrete)
    start = add("largest", len(bounded), np.array(-np.inf), allocation.largest[columns][bounded])
    into = np.searchsorted(bounded, row)
    hit = np.isin(row, bounded)
    rows.append((start + into[hit], zs[hit], np.ones(int(hit.sum()))))
    mine = discrete[row]
    ones = np.ones(int(mine.sum()))
    start = add("order_limit", n, np.array(-np.inf), np.array(0.0))
    rows.append((start + number[row[mine]], zs[mine], ones))
    rows.append((start + np.arange(n), z + np.arange(n), -largest))
    start = add("order_minimum", n, np.array(0.0), np.array(np.inf))
    rows.append((start + number[row[mine]], zs[mine], ones))
    rows.append((start + np.arange(n), z + np.arange(n), -least[owner]))
    in_lots = lot[owner] > 0
    start = add("lot", n, np.where(in_lots, 0.0, -np.inf), np.where(in_lots, 0.0, np.inf))
    rows.append((start + number[row[mine]], zs[mine], ones))
    rows.append((start + np.arange(n), z + n + np.arange(n), -lot[owner]))
    i, k, v = (np.concatenate(part) for part in zip(*rows, strict=True))
    width = z + 2 * n
    program = LinearProgram(
        cost=cost,
        offset=0.0,
        matrix=coo_matrix((v, (i, k)), shape=(height, width)).tocsr(),
        row_lower=np.concatenate(lower),
        row_upper=np.concatenate(above),
        column_lower=np.zeros(width),
        column_upper=upper,
        integrality=np.repeat([False, True], [z, 2 * n]),
        columns={
            "segment": Block("segment", 0, z, str),
            "used": Block("used", z, z + n, str),
            "lots": Block("lots", z + n, width, str),
        },
        rows=blocks,
    )
    return program, row
