"""A program loaded into HiGHS, whose numbers are replaced in bulk and never one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csc_matrix, csr_matrix

from optrl.solver.appended import AppendedRows, with_rows
from optrl.solver.errors import NumericalTroubleError, PushError
from optrl.solver.highs import Highs, IndexArray

Pricing = Literal["steepest_edge", "devex"]


@dataclass(frozen=True)
class _Slot:
    """Where a data block moves row bounds."""

    rows: IndexArray
    matrix: csr_matrix


class LoadedProgram:
    """One HiGHS object and the numbers it holds, in the model's own sense."""

    def __init__(
        self,
        program: LinearProgram,
        *,
        threads: int = 1,
        scaling: bool = True,
        pricing: Pricing = "steepest_edge",
    ) -> None:
        """Load a program at its built-in data.

        Args:
            program: What to solve.
            threads: Threads for the MIP solver; LPs are solved by one.
            scaling: Whether the simplex method scales the matrix. A network flow with the dense
                rows of an embedded network is solved from scratch 1.1-5 times faster without.
            pricing: Of the dual simplex method. "devex" costs less an iteration and more of them:
                programs of a hundred rows that gain rows all the time are solved 1.2 times faster.
        """
        _refuse_nan(program)
        self.program = program
        self._data = {name: block.value for name, block in program.data.items()}
        self._slots = {name: _slot(block.matrix) for name, block in program.data.items()}
        self._shift = {name: b.matrix @ b.value for name, b in program.data.items()}
        self._base_lower, self._base_upper = program.row_lower, program.row_upper
        shift = program.row_shift()
        self._solved = replace(
            program,
            row_lower=program.row_lower - shift,
            row_upper=program.row_upper - shift,
            offset=self._offset(),
            data={},
        )
        self._highs = Highs(
            threads=threads,
            simplex_strategy=1,
            simplex_dual_edge_weight_strategy=-1 if pricing == "steepest_edge" else 1,
        )
        if not scaling:
            self._highs.set_options(simplex_scale_strategy=0)
        self._highs.pass_program(self._solved)
        self._kept: Any = None
        # Stacking a matrix costs as much as a small solve, so it waits until someone asks.
        self._appended: list[AppendedRows] = []
        self._names = set(program.rows)

    @property
    def solved(self) -> LinearProgram:
        """The numbers loaded now, with the data's part in the row bounds."""
        self._solved = with_rows(self._solved, self._appended)
        self._appended = []
        return self._solved

    @property
    def data(self) -> Mapping[str, FloatArray]:
        """Values of the data blocks as they were pushed last."""
        return dict(self._data)

    def push_data(self, name: str, values: FloatArray) -> None:
        """Set the values of a data block, which moves row bounds.

        Args:
            name: Data block.
            values: Shape (size,), in the order of the component; any shape of that size does.

        Raises:
            PushError: If the name is unknown, the size differs, or a value is not finite.
        """
        block = self.program.data.get(name)
        if block is None:
            raise PushError(f"no data block {name!r}; there are {sorted(self.program.data)}")
        flat = _flat(name, values, len(block.value))
        finite = np.isfinite(flat)
        if not finite.all():
            k = int(np.argmin(finite))
            raise PushError(f"{block.member_name(k)} is {flat[k]}: push finite numbers")
        self._data[name] = flat
        slot = self._slots[name]
        rows = slot.rows
        moved = self._shift[name].copy()
        moved[rows] = slot.matrix @ flat
        self._shift[name] = moved
        # Summed afresh over the blocks, so that thousands of pushes accumulate no rounding.
        shift = sum((s[rows] for s in self._shift.values()), start=np.zeros(len(rows)))
        self._set_rows(rows, self._base_lower[rows] - shift, self._base_upper[rows] - shift)
        if block.cost.any():
            self._solved = replace(self._solved, offset=self._offset())
            self._highs.change_offset(self._solved.offset)

    def push_cost(self, columns: Block | str, values: FloatArray) -> None:
        """Set the objective coefficients of a column block, in the model's own sense."""
        block = self._column_block(columns)
        flat = _finite(block, values)
        cost = self._solved.cost.copy()
        cost[block.slice] = self._sign * flat
        self._solved = replace(self._solved, cost=cost)
        self._highs.change_cost(_positions(block), cost[block.slice])

    def push_bounds(
        self,
        columns: Block | str,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
    ) -> None:
        """Set bounds of a column block; None leaves a side as it is."""
        block = self._column_block(columns)
        new_lower, new_upper = self._solved.column_lower.copy(), self._solved.column_upper.copy()
        if lower is not None:
            new_lower[block.slice] = _numbers(block, lower)
        if upper is not None:
            new_upper[block.slice] = _numbers(block, upper)
        self._solved = replace(self._solved, column_lower=new_lower, column_upper=new_upper)
        self._highs.change_column_bounds(
            _positions(block), new_lower[block.slice], new_upper[block.slice]
        )

    def push_row_bounds(
        self,
        rows: Block | str,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
    ) -> None:
        """Set bounds of a row block, without the data's part; None leaves a side as it is."""
        block = rows if isinstance(rows, Block) else _known(self.solved.rows, rows)
        index = _positions(block)
        if lower is not None:
            self._base_lower = self._base_lower.copy()
            self._base_lower[block.slice] = _numbers(block, lower)
        if upper is not None:
            self._base_upper = self._base_upper.copy()
            self._base_upper[block.slice] = _numbers(block, upper)
        shift = sum((s[index] for s in self._shift.values()), start=np.zeros(len(index)))
        self._set_rows(index, self._base_lower[index] - shift, self._base_upper[index] - shift)

    def add_rows(
        self, name: str, matrix: csr_matrix, lower: FloatArray, upper: FloatArray
    ) -> Block:
        """Append rows, cuts for example; the basis stays and the next solve is hot.

        Args:
            name: Name of the new row block.
            matrix: Coefficients, shape (new rows, columns).
            lower: Shape (new rows,).
            upper: Shape (new rows,).

        Returns:
            The new block; its data part is zero.
        """
        if name in self._names:
            raise PushError(f"there is a row block {name!r} already: choose another name")
        start = len(self._base_lower)
        block = Block(name, start, start + matrix.shape[0], str)
        low, high = _numbers(block, lower), _numbers(block, upper)
        self._highs.add_rows(low, high, matrix)
        self._base_lower = np.concatenate([self._base_lower, low])
        self._base_upper = np.concatenate([self._base_upper, high])
        none = np.zeros(len(block))
        self._shift = {k: np.concatenate([s, none]) for k, s in self._shift.items()}
        self._appended.append(AppendedRows(block, matrix, low, high))
        self._names.add(name)
        return block

    def keep_basis(self) -> None:
        """Keep the basis of the last solve for `start_from_kept`."""
        self._kept = self._highs.basis()

    def start_from_kept(self) -> None:
        """Start the next solve from the basis kept, as if nothing had been solved since.

        What is found then depends on the numbers loaded alone, not on earlier solves.

        Raises:
            PushError: If none was kept.
        """
        if self._kept is None:
            raise PushError("no basis was kept: call keep_basis after a solve")
        self._highs.set_basis(self._kept)

    @property
    def _sign(self) -> float:
        return -1.0 if self.program.maximize else 1.0

    def _offset(self) -> float:
        blocks = self.program.data.items()
        return self.program.offset + sum(float(b.cost @ self._data[n]) for n, b in blocks)

    def _set_rows(self, rows: IndexArray, lower: FloatArray, upper: FloatArray) -> None:
        loaded = self._solved
        if len(rows) and rows[-1] >= len(loaded.row_lower):
            loaded = self.solved
        row_lower, row_upper = loaded.row_lower.copy(), loaded.row_upper.copy()
        row_lower[rows], row_upper[rows] = lower, upper
        self._solved = replace(loaded, row_lower=row_lower, row_upper=row_upper)
        self._highs.change_row_bounds(rows, lower, upper)

    def _column_block(self, columns: Block | str) -> Block:
        return columns if isinstance(columns, Block) else _known(self._solved.columns, columns)


def _slot(matrix: csc_matrix) -> _Slot:
    by_row = csr_matrix(matrix)
    rows = np.flatnonzero(np.diff(by_row.indptr)).astype(np.int32)
    return _Slot(rows, by_row[rows])


def _refuse_nan(p: LinearProgram) -> None:
    """HiGHS takes NaN without complaint."""
    for what, values, name in (
        ("cost", p.cost, p.column_name),
        ("lower bound", p.column_lower, p.column_name),
        ("upper bound", p.column_upper, p.column_name),
        ("lower bound", p.row_lower, p.row_name),
        ("upper bound", p.row_upper, p.row_name),
        ("coefficient", p.matrix.data, lambda k: p.column_name(int(p.matrix.indices[k]))),
    ):
        bad = np.flatnonzero(np.isnan(values))
        if len(bad):
            raise NumericalTroubleError(
                f"the {what} of {name(int(bad[0]))} is nan: check the data of the model"
            )


def _positions(block: Block) -> IndexArray:
    return np.arange(block.start, block.stop, dtype=np.int32)


def _known(blocks: Mapping[str, Block], name: str) -> Block:
    if name not in blocks:
        raise PushError(f"no block {name!r}; there are {sorted(blocks)}")
    return blocks[name]


def _flat(name: str, values: FloatArray, size: int) -> FloatArray:
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(flat) != size:
        raise PushError(f"{name} has {size} members, {len(flat)} values were pushed")
    return flat


def _numbers(block: Block, values: FloatArray) -> FloatArray:
    flat = _flat(block.name, values, len(block))
    if np.isnan(flat).any():
        k = int(np.argmax(np.isnan(flat)))
        raise PushError(f"{block.member_name(k)} is nan: push numbers")
    return flat


def _finite(block: Block, values: FloatArray) -> FloatArray:
    flat = _numbers(block, values)
    if np.isinf(flat).any():
        k = int(np.argmax(np.isinf(flat)))
        raise PushError(f"cost of {block.member_name(k)} is {flat[k]}: push finite numbers")
    return flat
