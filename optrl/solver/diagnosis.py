"""Numerical trouble foreseen: coefficient ranges and the rows and columns behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray

DROPPED = 1e-9
"""HiGHS drops matrix coefficients of this size and below."""

WIDE_RANGE = 1e9
"""Ratio of largest to smallest above which double precision leaves too few digits."""

LARGE = 1e9
"""Size above which a finite bound or right-hand side drowns the tolerance of 1e-7."""


@dataclass(frozen=True)
class CoefficientRange:
    """Sizes of the nonzero finite numbers of one kind.

    Attributes:
        kind: ``matrix``, ``cost``, ``bound`` or ``right-hand side``.
        smallest: Smallest absolute value, 0 if there is none.
        largest: Largest absolute value, 0 if there is none.
        smallest_name: Where the smallest stands.
        largest_name: Where the largest stands.
    """

    kind: str
    smallest: float
    largest: float
    smallest_name: str
    largest_name: str

    @property
    def ratio(self) -> float:
        """Largest over smallest, 1 if there are none."""
        return self.largest / self.smallest if self.smallest > 0 else 1.0

    def __str__(self) -> str:
        if self.largest == 0:
            return f"{self.kind}: none"
        return (
            f"{self.kind}: {self.smallest:.3g} at {self.smallest_name} to "
            f"{self.largest:.3g} at {self.largest_name}"
        )


@dataclass(frozen=True)
class Diagnosis:
    """Ranges of a program and what is worrying about them.

    Attributes:
        ranges: One for each kind of number.
        warnings: Complete sentences, empty if nothing worries.
    """

    ranges: tuple[CoefficientRange, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*map(str, self.ranges), *self.warnings])


def diagnose(program: LinearProgram) -> Diagnosis:
    """Report the coefficient ranges of a program at its built-in data."""
    matrix = program.matrix
    shift = program.row_shift()
    rows, columns = len(program.row_lower), len(program.cost)

    def entry(k: int) -> str:
        row = int(np.searchsorted(matrix.indptr, k, side="right")) - 1
        column = int(matrix.indices[k])
        return f"{program.column_name(column)} in {program.row_name(row)}"

    sides = np.concatenate([program.row_lower - shift, program.row_upper - shift])
    bounds = np.concatenate([program.column_lower, program.column_upper])
    ranges = (
        _range("matrix", matrix.data, entry),
        _range("cost", program.cost, program.column_name),
        _range("bound", bounds, lambda k: program.column_name(k % columns)),
        _range("right-hand side", sides, lambda k: program.row_name(k % rows)),
    )
    warnings = []
    tiny = (matrix.data != 0) & (np.abs(matrix.data) <= DROPPED)
    if tiny.any():
        warnings.append(
            f"{int(tiny.sum())} matrix coefficients of at most {DROPPED:g} are dropped, the first "
            f"is {entry(int(np.argmax(tiny)))}; choose larger units for it"
        )
    warnings += [
        f"{r.kind} coefficients range over a factor {r.ratio:.1g} ({r}); choose closer units"
        for r in ranges[:2]
        if r.ratio > WIDE_RANGE
    ]
    warnings += [
        f"a {r.kind} of {r.largest:.3g} at {r.largest_name} is too large for a tolerance of 1e-7; "
        "use infinity or larger units"
        for r in ranges[2:]
        if r.largest > LARGE
    ]
    return Diagnosis(ranges, tuple(warnings))


def _range(kind: str, values: FloatArray, name: Callable[[int], str]) -> CoefficientRange:
    size = np.abs(values)
    index = np.flatnonzero((size > 0) & np.isfinite(size))
    if not len(index):
        return CoefficientRange(kind, 0.0, 0.0, "", "")
    low = int(index[np.argmin(size[index])])
    high = int(index[np.argmax(size[index])])
    return CoefficientRange(kind, float(size[low]), float(size[high]), name(low), name(high))
