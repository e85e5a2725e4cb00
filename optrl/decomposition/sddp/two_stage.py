"""A two-stage program, as the extensive form takes it, as a graph of two stages (Benders).

The core's first-stage columns are the state. Scenarios that change costs, column bounds or
right-hand sides share one program, whose numbers are pushed; scenarios that change coefficients
have programs of their own.

Source: Benders (1962), Numerische Mathematik 4; Van Slyke & Wets (1969), SIAM Journal on Applied
Mathematics 17(4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import csc_matrix, csr_matrix

from optrl.decomposition.sddp.errors import StageError
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.decomposition.sddp.stage import Exit, Outcome, Stage


def two_stage_graph(program: TwoStageProgram) -> PolicyGraph:
    """The graph of a two-stage program, with its integers.

    `Sddp` relaxes integers, so that its bound is that of the relaxation; `Benders` keeps them.

    Raises:
        StageError: If the core maximizes or holds data, or a scenario moves the two sides of a
            row apart.
    """
    core, first_columns, first_rows = program.core, program.first_columns, program.first_rows
    if core.maximize or core.data:
        raise StageError("the core must minimize and hold no data blocks")
    s = program.scenarios
    x, y = np.flatnonzero(first_columns), np.flatnonzero(~first_columns)
    above, below = np.flatnonzero(first_rows), np.flatnonzero(~first_rows)
    first = Stage((_part(core, x, above, "first"),), (), (Exit(np.arange(len(x))),))
    shift = _shifts(core, s)
    programs: list[LinearProgram] = []
    number: dict[bytes, int] = {}
    outcomes = []
    for k, probability in enumerate(s.probability.tolist()):
        key = s.entry[k].tobytes() if len(s.entry_row) else b""
        if key not in number:
            number[key] = len(programs)
            changed = _with_entries(core, s, k) if key else core
            programs.append(_second(changed, x, y, below, s.row))
        outcomes.append(
            Outcome(
                probability,
                data={"right_hand_side": shift[k]} if len(s.row) else {},
                cost=_changed(core.cost[y], y, s.cost_column, s.cost, k),
                lower=_changed(core.column_lower[y], y, s.column, s.column_lower, k),
                upper=_changed(core.column_upper[y], y, s.column, s.column_upper, k),
                program=number[key],
                label=f"scenario {k}",
            )
        )
    last = Stage(tuple(programs), ("first_stage",), (), tuple(outcomes))
    return PolicyGraph.linear([first, last], np.zeros(0))


def _part(core: LinearProgram, columns: IntArray, rows: IntArray, name: str) -> LinearProgram:
    """The core's rows and columns at positions, as one block each."""
    # The constant falls once, in the first stage.
    return LinearProgram(
        cost=core.cost[columns],
        offset=core.offset if name == "first" else 0.0,
        matrix=csr_matrix(core.matrix[rows][:, columns]),
        row_lower=core.row_lower[rows],
        row_upper=core.row_upper[rows],
        column_lower=core.column_lower[columns],
        column_upper=core.column_upper[columns],
        integrality=core.integrality[columns],
        columns={name: Block(name, 0, len(columns), lambda k: core.column_name(int(columns[k])))},
        rows={name: Block(name, 0, len(rows), lambda k: core.row_name(int(rows[k])))},
    )


def _second(
    core: LinearProgram, x: IntArray, y: IntArray, below: IntArray, moved: IntArray
) -> LinearProgram:
    """The second stage with first-stage columns and shifts of right-hand sides as data."""
    program = _part(core, y, below, "second")
    linking = csc_matrix(core.matrix[below][:, x])
    data = {
        "first_stage": DataBlock(
            "first_stage",
            linking,
            np.zeros(len(x)),
            np.zeros(len(x)),
            lambda k: core.column_name(int(x[k])),
        )
    }
    if len(moved):
        at = np.searchsorted(below, moved)
        size = len(moved)
        shift = csc_matrix((-np.ones(size), (at, np.arange(size))), shape=(len(below), size))
        data["right_hand_side"] = DataBlock(
            "right_hand_side",
            shift,
            np.zeros(size),
            np.zeros(size),
            lambda k: core.row_name(int(moved[k])),
        )
    return replace(program, data=data)


def _shifts(core: LinearProgram, s: Scenarios) -> FloatArray:
    """How far each scenario moves the rows it changes, shape (S, R)."""
    if not len(s.row):
        return np.zeros((len(s.probability), 0))
    lower, upper = core.row_lower[s.row], core.row_upper[s.row]
    # Differences of infinite sides are nan, which the comparisons below take as not the same.
    with np.errstate(invalid="ignore"):
        by_lower, by_upper = s.row_lower - lower, s.row_upper - upper
        shift = np.where(np.isfinite(lower), by_lower, by_upper)
        moved_lower, moved_upper = lower + shift, upper + shift
        same = (s.row_lower == lower) | (np.abs(moved_lower - s.row_lower) <= 1e-9)
        same &= (s.row_upper == upper) | (np.abs(moved_upper - s.row_upper) <= 1e-9)
        apart = np.isfinite(lower) & np.isfinite(upper) & (np.abs(by_lower - by_upper) > 1e-9)
    if not same.all() or apart.any():
        k, r = np.argwhere(~same | apart)[0]
        raise StageError(
            f"scenario {k} moves the two sides of row {core.row_name(int(s.row[r]))} apart: split "
            "the row into two with one side each"
        )
    return np.asarray(np.where(np.isfinite(shift), shift, 0.0))


def _changed(
    base: FloatArray, y: IntArray, columns: IntArray, values: FloatArray, scenario: int
) -> Mapping[str, FloatArray]:
    if not len(columns):
        return {}
    changed = base.copy()
    changed[np.searchsorted(y, columns)] = values[scenario]
    return {"second": changed}


def _with_entries(core: LinearProgram, s: Scenarios, scenario: int) -> LinearProgram:
    matrix = core.matrix.tolil(copy=True)
    matrix[s.entry_row, s.entry_column] = s.entry[scenario]
    return replace(core, matrix=csr_matrix(matrix))
