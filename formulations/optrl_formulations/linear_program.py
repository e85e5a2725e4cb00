"""A mixed-integer linear program as arrays, with its data kept apart.

    minimize    cost' x + data_cost' d + offset
    subject to  row_lower <= matrix x + sum_k data_matrix_k d_k <= row_upper
                column_lower <= x <= column_upper,  x_j integer where integrality

Data d (demand, incoming stock, pipeline, backlog) are columns that the model fixes. Keeping them
apart means that new data only moves the row bounds, and that the gradient of the optimal value
with respect to data block k is data_cost_k - data_matrix_k' y, with y the row duals
dV/d(row bound).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from optrl_formulations.network import BoolArray, FloatArray


@dataclass(frozen=True)
class Block:
    """A named run of columns or rows.

    Attributes:
        name: Name of the component it comes from.
        start: First position.
        stop: One past the last position.
        label: Gives the name of the k-th member, for explanations; empty for a scalar.
    """

    name: str
    start: int
    stop: int
    label: Callable[[int], str] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """Positions of the block."""
        return slice(self.start, self.stop)

    def member_name(self, position: int) -> str:
        """Full name of the member at `position` within the block."""
        return _member_name(self.name, self.label(position))


@dataclass(frozen=True)
class DataBlock:
    """Data that move row bounds.

    Attributes:
        name: Name of the component it comes from.
        matrix: Coefficients in the rows, shape (rows, size).
        cost: Coefficients in the objective, shape (size,).
        value: Values the program was built with, shape (size,).
        label: Gives the name of the k-th member.
    """

    name: str
    matrix: csc_matrix
    cost: FloatArray
    value: FloatArray
    label: Callable[[int], str] = field(repr=False, compare=False)

    @cached_property
    def transposed(self) -> csr_matrix:
        """Of `matrix`; kept, because gradients ask for it after every solve."""
        return csr_matrix(self.matrix.T)

    def member_name(self, position: int) -> str:
        """Full name of the member at `position`."""
        return _member_name(self.name, self.label(position))


@dataclass(frozen=True)
class LinearProgram:
    """See the module's docstring. `row_lower` and `row_upper` exclude the data's part.

    Attributes:
        cost: Objective coefficients, shape (columns,); the sense is always to minimize.
        offset: Constant of the objective.
        matrix: Row-major coefficients, shape (rows, columns).
        row_lower: Shape (rows,), -inf where open.
        row_upper: Shape (rows,), inf where open.
        column_lower: Shape (columns,).
        column_upper: Shape (columns,).
        integrality: Shape (columns,), True for integer columns.
        columns: Column blocks by name, disjoint and covering all columns.
        rows: Row blocks by name, disjoint and covering all rows.
        data: Data blocks by name.
        maximize: Whether the model it comes from maximizes: results are reported in that
            sense (objective, bound, duals and gradients change sign), costs here are negated.
    """

    cost: FloatArray
    offset: float
    matrix: csr_matrix
    row_lower: FloatArray
    row_upper: FloatArray
    column_lower: FloatArray
    column_upper: FloatArray
    integrality: BoolArray
    columns: Mapping[str, Block]
    rows: Mapping[str, Block]
    data: Mapping[str, DataBlock] = field(default_factory=dict)
    maximize: bool = False

    @property
    def has_integers(self) -> bool:
        """Whether any column must be integer."""
        return bool(self.integrality.any())

    def column_name(self, position: int) -> str:
        """Full name of a column, for explanations."""
        return _name(self.columns, position)

    def row_name(self, position: int) -> str:
        """Full name of a row, for explanations."""
        return _name(self.rows, position)

    def row_shift(self, data: Mapping[str, FloatArray] | None = None) -> FloatArray:
        """The data's part of each row, shape (rows,), at `data` or the built-in values."""
        shift = np.zeros(len(self.row_lower))
        for name, block in self.data.items():
            shift += block.matrix @ (block.value if data is None else data[name])
        return shift


def _member_name(name: str, label: str) -> str:
    return f"{name}[{label}]" if label else name


def _name(blocks: Mapping[str, Block], position: int) -> str:
    for block in blocks.values():
        if block.start <= position < block.stop:
            return block.member_name(position - block.start)
    raise IndexError(f"position {position} lies in no block")
