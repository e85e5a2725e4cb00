"""Collects columns, rows and coefficients of a linear program block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix

from optrl_formulations.linear_program import Block
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from optrl_formulations.replenishment_layout import ReplenishmentLayout


@dataclass
class Entries:
    """Coefficients collected as triplets, rows and columns counted within their blocks."""

    row: list[IntArray] = field(default_factory=list)
    column: list[IntArray] = field(default_factory=list)
    value: list[FloatArray] = field(default_factory=list)

    def add(self, row: IntArray, column: IntArray, value: FloatArray | float) -> None:
        """Add nonzero entries where both positions exist (are not negative)."""
        keep = (row >= 0) & (column >= 0) & (np.broadcast_to(value, row.shape) != 0)
        self.row.append(row[keep])
        self.column.append(column[keep])
        self.value.append(np.broadcast_to(value, row.shape)[keep].astype(float))

    def matrix(self, rows: int, columns: int) -> coo_matrix:
        """All entries as one sparse matrix; duplicates add up."""
        if not self.row:
            return coo_matrix((rows, columns))
        triplets = (np.concatenate(self.row), np.concatenate(self.column))
        return coo_matrix((np.concatenate(self.value), triplets), shape=(rows, columns))


class ArrayBuilder:
    """Gives blocks their positions and collects the entries of the matrix and of the data."""

    def __init__(self, layout: ReplenishmentLayout) -> None:
        self.layout = layout
        self.columns: dict[str, Block] = {}
        self.rows: dict[str, Block] = {}
        self.entries = Entries()
        self.data_entries: dict[str, Entries] = {}
        self.lower: list[FloatArray] = []
        self.upper: list[FloatArray] = []
        self.row_lower: list[FloatArray] = []
        self.row_upper: list[FloatArray] = []
        self.cost: list[FloatArray] = []
        self.integer: list[BoolArray] = []

    @property
    def width(self) -> int:
        """Columns so far."""
        return sum(len(block) for block in self.columns.values())

    @property
    def height(self) -> int:
        """Rows so far."""
        return sum(len(block) for block in self.rows.values())

    def add_columns(
        self,
        name: str,
        size: int,
        label: Callable[[int], str],
        *,
        cost: FloatArray | float = 0.0,
        lower: FloatArray | float = 0.0,
        upper: FloatArray | float = np.inf,
        integer: bool = False,
    ) -> int:
        """Add a block of columns; returns its first position."""
        start = self.width
        self.columns[name] = Block(name, start, start + size, label)
        self.cost.append(np.broadcast_to(cost, size).astype(float))
        self.lower.append(np.broadcast_to(lower, size).astype(float))
        self.upper.append(np.broadcast_to(upper, size).astype(float))
        self.integer.append(np.full(size, integer))
        return start

    def add_rows(
        self,
        name: str,
        size: int,
        label: Callable[[int], str],
        lower: FloatArray | float,
        upper: FloatArray | float,
    ) -> int:
        """Add a block of rows; returns its first position."""
        start = self.height
        self.rows[name] = Block(name, start, start + size, label)
        self.row_lower.append(np.broadcast_to(lower, size).astype(float))
        self.row_upper.append(np.broadcast_to(upper, size).astype(float))
        return start

    def add_data(
        self, name: str, row: IntArray, member: IntArray, value: FloatArray | float
    ) -> None:
        """Add coefficients of a data block's members in rows."""
        self.data_entries.setdefault(name, Entries()).add(row, member, value)


def shift(positions: IntArray, start: int) -> IntArray:
    """Positions moved to where their block starts; -1 (no member) stays."""
    return np.where(positions >= 0, positions + start, -1)
