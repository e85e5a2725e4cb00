"""Why a program is infeasible: few rows and bounds that contradict each other, by name.

For linear programs the rows with nonzero multipliers of a Farkas certificate already contradict
each other (with column bounds); HiGHS reduces them to an irreducible infeasible subset. For
mixed-integer programs whose relaxation is feasible, members are deleted group by group as long
as the rest stays infeasible (the deletion filter). Whatever comes out is solved again on its own
and only reported if it is really infeasible.

Source: Chinneck & Dravnieks, Locating Minimal Infeasible Constraint Sets in Linear Programs,
ORSA Journal on Computing 3(2), 1991; Guieu & Chinneck, Analyzing Infeasible Mixed-Integer and
Integer Linear Programs, INFORMS Journal on Computing 11(1), 1999.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, IntArray
from scipy.sparse import csr_matrix

from optrl.solver.highs import Highs


@dataclass(frozen=True)
class Selection:
    """The sides of rows and columns that take part, each an array of booleans."""

    row_lower: BoolArray
    row_upper: BoolArray
    column_lower: BoolArray
    column_upper: BoolArray

    @classmethod
    def finite(cls, p: LinearProgram) -> Selection:
        """Every finite bound of a program."""
        return cls(
            np.isfinite(p.row_lower),
            np.isfinite(p.row_upper),
            np.isfinite(p.column_lower),
            np.isfinite(p.column_upper),
        )

    @property
    def rows(self) -> BoolArray:
        """Rows with any side."""
        rows: BoolArray = self.row_lower | self.row_upper
        return rows

    @property
    def columns(self) -> BoolArray:
        """Columns with any side."""
        columns: BoolArray = self.column_lower | self.column_upper
        return columns

    def without(self, rows: BoolArray, columns: BoolArray) -> Selection:
        """Drop both sides of some rows and columns."""
        return Selection(
            self.row_lower & ~rows,
            self.row_upper & ~rows,
            self.column_lower & ~columns,
            self.column_upper & ~columns,
        )


@dataclass(frozen=True)
class Found:
    """An infeasible selection.

    Attributes:
        selection: What contradicts itself.
        irreducible: Whether every member is known to be needed.
        integers: Whether integrality is part of the conflict.
    """

    selection: Selection
    irreducible: bool
    integers: bool


def find_conflict(p: LinearProgram, time_limit: float) -> Found | None:
    """Isolate a conflict.

    Args:
        p: The program as solved, with the data's part in the row bounds.
        time_limit: Seconds to spend; a MIP's conflict may be larger than needed if it runs out.

    Returns:
        A verified conflict, or None if `p` solved afresh is not infeasible.
    """
    deadline = time.monotonic() + time_limit
    crossed = _crossed(p)
    if crossed is not None:
        return crossed
    relaxed = replace(p, cost=np.zeros_like(p.cost), integrality=np.zeros_like(p.integrality))
    everything = Selection.finite(p)
    rows = _farkas_rows(relaxed)
    if rows is not None:
        narrowed = everything.without(~rows, ~_touched(relaxed, rows))
        if _infeasible(relaxed, narrowed, math.inf) is not True:
            narrowed = everything
        reduced = _reduce_by_highs(relaxed, narrowed)
        if reduced is not None:
            return Found(reduced, True, False)
        selection, irreducible = _delete(relaxed, narrowed, deadline)
        return Found(selection, irreducible, False)
    if not p.has_integers:
        return None
    whole = replace(p, cost=relaxed.cost)
    if _infeasible(whole, everything, time_limit) is not True:
        return None
    selection, irreducible = _delete(whole, everything, deadline)
    return Found(selection, irreducible, True)


def _crossed(p: LinearProgram) -> Found | None:
    """A row or column whose own bounds exclude each other is a conflict by itself."""
    rows, columns = p.row_lower > p.row_upper, p.column_lower > p.column_upper
    if not rows.any() and not columns.any():
        return None
    row, column = np.zeros_like(rows), np.zeros_like(columns)
    if rows.any():
        row[np.argmax(rows)] = True
    else:
        column[np.argmax(columns)] = True
    return Found(Selection(row, row, column, column), True, False)


def _farkas_rows(relaxed: LinearProgram) -> BoolArray | None:
    """Rows of a Farkas certificate; all rows if there is none; None if feasible."""
    if not len(relaxed.cost):
        violated: BoolArray = (relaxed.row_lower > 0) | (relaxed.row_upper < 0)
        return violated if violated.any() else None
    # The ray is only kept without presolve.
    highs = Highs(threads=1, presolve="off", simplex_strategy=1)
    highs.pass_program(relaxed)
    if highs.run().status != "kInfeasible":
        return None
    ray = highs.dual_ray()
    if ray is None or not ray.any():
        return np.ones(len(relaxed.row_lower), dtype=np.bool_)
    rows: BoolArray = np.abs(ray) > 1e-9 * np.abs(ray).max()
    return rows


def _touched(p: LinearProgram, rows: BoolArray) -> BoolArray:
    columns = np.zeros(len(p.cost), dtype=np.bool_)
    columns[p.matrix[np.flatnonzero(rows)].indices] = True
    return columns


def _restricted(p: LinearProgram, s: Selection) -> tuple[LinearProgram, IntArray, IntArray]:
    """The program with only the selected sides, and the rows and columns it keeps."""
    rows = np.flatnonzero(s.rows)
    part = p.matrix[rows]
    columns = np.flatnonzero(_touched(p, s.rows) | s.columns)
    return (
        replace(
            p,
            cost=np.zeros(len(columns)),
            offset=0.0,
            matrix=csr_matrix(part[:, columns]),
            row_lower=np.where(s.row_lower, p.row_lower, -np.inf)[rows],
            row_upper=np.where(s.row_upper, p.row_upper, np.inf)[rows],
            column_lower=np.where(s.column_lower, p.column_lower, -np.inf)[columns],
            column_upper=np.where(s.column_upper, p.column_upper, np.inf)[columns],
            integrality=p.integrality[columns],
            data={},
        ),
        rows,
        columns,
    )


def _infeasible(p: LinearProgram, s: Selection, time_limit: float) -> bool | None:
    """Whether a selection is infeasible; None if the solver cannot say in time."""
    part, _, _ = _restricted(p, s)
    if not len(part.cost):
        return bool((part.row_lower > 0).any() or (part.row_upper < 0).any())
    highs = Highs(threads=1, time_limit=max(time_limit, 0.0))
    highs.pass_program(part)
    info = highs.run()
    if info.status == "kInfeasible":
        return True
    return False if info.feasible or info.status == "kUnbounded" else None


def _reduce_by_highs(relaxed: LinearProgram, s: Selection) -> Selection | None:
    """An irreducible infeasible subset by HiGHS, or None if it fails verification."""
    part, rows, columns = _restricted(relaxed, s)
    if not len(columns):
        return None
    highs = Highs(threads=1)
    highs.pass_program(part)
    highs.run()
    iis = highs.irreducible_infeasible_subset()
    if iis is None:
        return None
    sides = [np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)]
    sides += [np.zeros(len(columns), np.bool_), np.zeros(len(columns), np.bool_)]
    sides[0][iis.rows], sides[1][iis.rows] = iis.row_lower, iis.row_upper
    sides[2][iis.columns], sides[3][iis.columns] = iis.column_lower, iis.column_upper
    full = [np.zeros(len(b), np.bool_) for b in (s.row_lower, s.row_upper)]
    full += [np.zeros(len(b), np.bool_) for b in (s.column_lower, s.column_upper)]
    for k, place in enumerate((rows, rows, columns, columns)):
        full[k][place] = sides[k]
    chosen = Selection(*full)
    return chosen if _infeasible(relaxed, chosen, math.inf) is True else None


def _delete(p: LinearProgram, s: Selection, deadline: float) -> tuple[Selection, bool]:
    """Drop groups of rows, then of columns' bounds, while the rest stays infeasible.

    Groups are halved from the whole down to single members. A test that cannot be decided in
    its share of the time keeps its group, and the result is not known to be irreducible.
    """
    certain = True
    for over_rows in (True, False):
        if not over_rows:
            # Bounds of columns in no remaining row cannot contribute.
            idle = ~_touched(p, s.rows)
            trial = s.without(np.zeros_like(s.row_lower), idle)
            if _infeasible(p, trial, deadline - time.monotonic()) is True:
                s = trial
        size = max(1, len(np.flatnonzero(s.rows if over_rows else s.columns)) // 2)
        while True:
            members = np.flatnonzero(s.rows if over_rows else s.columns)
            for first in range(0, len(members), size):
                left = deadline - time.monotonic()
                if left <= 0:
                    return s, False
                drop = np.zeros(len(s.row_lower if over_rows else s.column_lower), np.bool_)
                drop[members[first : first + size]] = True
                none_dropped = np.zeros(len(s.column_lower if over_rows else s.row_lower), np.bool_)
                trial = s.without(*((drop, none_dropped) if over_rows else (none_dropped, drop)))
                verdict = _infeasible(p, trial, left / 4)
                if verdict is True:
                    s = trial
                elif verdict is None and size == 1:
                    certain = False
            if size == 1:
                break
            size = max(1, size // 2)
    return s, certain
