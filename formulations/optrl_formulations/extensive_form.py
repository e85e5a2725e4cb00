"""A two-stage stochastic program as its deterministic equivalent.

    minimize    c' x + sum_s p_s q_s' y_s
    subject to  A x = b
                T_s x + W_s y_s = h_s        each scenario s
                x, y_s within bounds, some of them integer

The core is one linear program whose columns and rows each belong to the first or the second
stage; a scenario says which of its numbers differ. The equivalent repeats the second stage once
a scenario.

Arrays, not Pyomo: the core of a published instance is a matrix and the scenarios are changes at
positions of that matrix, so there is no algebra to state, and repeating a block a thousand times
is tiling of index arrays (one call of numpy) where a Pyomo block would be a thousand times the
objects. A model stated in Pyomo enters by being compiled to a `LinearProgram` first.

Source: Birge and Louveaux (2011), Introduction to Stochastic Programming, second edition,
    section 2.4 (the deterministic equivalent, or extensive form).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, IntArray


def _none() -> IntArray:
    return np.zeros(0, dtype=np.int64)


def _no_values() -> FloatArray:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class Scenarios:
    """What differs from the core, scenario by scenario.

    Each pair of positions and values may stay empty. Positions count the core's columns and rows;
    all but `probability` must lie in the second stage. A position with values has them for all S
    scenarios: repeat the core's value where a scenario does not change it.

    Attributes:
        probability: Sums to 1, shape (S,).
        cost_column: Columns whose cost differs, shape (C,).
        cost: Shape (S, C).
        entry_row: Rows of matrix entries that differ, shape (E,).
        entry_column: Their columns, of either stage, shape (E,).
        entry: Shape (S, E).
        row: Rows whose bounds differ, shape (R,).
        row_lower: Shape (S, R).
        row_upper: Shape (S, R).
        column: Columns whose bounds differ, shape (B,).
        column_lower: Shape (S, B).
        column_upper: Shape (S, B).
    """

    probability: FloatArray
    cost_column: IntArray = field(default_factory=_none)
    cost: FloatArray = field(default_factory=_no_values)
    entry_row: IntArray = field(default_factory=_none)
    entry_column: IntArray = field(default_factory=_none)
    entry: FloatArray = field(default_factory=_no_values)
    row: IntArray = field(default_factory=_none)
    row_lower: FloatArray = field(default_factory=_no_values)
    row_upper: FloatArray = field(default_factory=_no_values)
    column: IntArray = field(default_factory=_none)
    column_lower: FloatArray = field(default_factory=_no_values)
    column_upper: FloatArray = field(default_factory=_no_values)


@dataclass(frozen=True)
class TwoStageProgram:
    """A core, its stages and its scenarios: the arguments of `extensive_form` as one.

    Attributes:
        core: See `extensive_form`.
        first_columns: See `extensive_form`.
        first_rows: See `extensive_form`.
        scenarios: See `extensive_form`.
    """

    core: LinearProgram
    first_columns: BoolArray
    first_rows: BoolArray
    scenarios: Scenarios

    def extensive_form(self) -> LinearProgram:
        """The deterministic equivalent; raises as `extensive_form`."""
        return extensive_form(self.core, self.first_columns, self.first_rows, self.scenarios)


def extensive_form(
    core: LinearProgram, first_columns: BoolArray, first_rows: BoolArray, scenarios: Scenarios
) -> LinearProgram:
    """Build the deterministic equivalent.

    Args:
        core: The program of one scenario, without data blocks.
        first_columns: Which columns are decided before the scenario is known, shape (columns,).
        first_rows: Which rows hold first-stage columns only, shape (rows,).
        scenarios: The scenarios.

    Returns:
        Columns ``first_stage`` (in core order), then ``second_stage`` (scenario by scenario, each
        in core order); rows likewise. Labels are the core's names, with the scenario number.

    Raises:
        ValueError: If shapes disagree, probabilities are no distribution, a first-stage row holds
            a second-stage column, or a change lies in the first stage; names row or column.
    """
    _check(core, first_columns, first_rows, scenarios)
    count = len(scenarios.probability)
    x, y = np.flatnonzero(first_columns), np.flatnonzero(~first_columns)
    above, below = np.flatnonzero(first_rows), np.flatnonzero(~first_rows)

    def repeated(base: FloatArray, places: IntArray, values: FloatArray) -> FloatArray:
        """The second stage's numbers in every scenario, shape (S, len(base))."""
        result = np.tile(base, (count, 1))
        if len(places):
            result[:, places] = values
        return result

    place_of_column = np.zeros(len(first_columns), dtype=np.int64)
    place_of_column[x], place_of_column[y] = np.arange(len(x)), np.arange(len(y))
    place_of_row = np.zeros(len(first_rows), dtype=np.int64)
    place_of_row[above], place_of_row[below] = np.arange(len(above)), np.arange(len(below))

    s = scenarios
    cost = repeated(core.cost[y], place_of_column[s.cost_column], s.cost)
    cost *= s.probability[:, None]
    row_lower = repeated(core.row_lower[below], place_of_row[s.row], s.row_lower)
    row_upper = repeated(core.row_upper[below], place_of_row[s.row], s.row_upper)
    column_lower = repeated(core.column_lower[y], place_of_column[s.column], s.column_lower)
    column_upper = repeated(core.column_upper[y], place_of_column[s.column], s.column_upper)
    matrix = _tile(core, first_columns, place_of_column, place_of_row, above, below, s)
    return LinearProgram(
        cost=np.concatenate([core.cost[x], cost.ravel()]),
        offset=core.offset,
        matrix=matrix,
        row_lower=np.concatenate([core.row_lower[above], row_lower.ravel()]),
        row_upper=np.concatenate([core.row_upper[above], row_upper.ravel()]),
        column_lower=np.concatenate([core.column_lower[x], column_lower.ravel()]),
        column_upper=np.concatenate([core.column_upper[x], column_upper.ravel()]),
        integrality=np.concatenate([core.integrality[x], np.tile(core.integrality[y], count)]),
        columns=_blocks(_names(core.columns, core.column_name), x, y, count),
        rows=_blocks(_names(core.rows, core.row_name), above, below, count),
        maximize=core.maximize,
    )


def _tile(
    core: LinearProgram,
    first_columns: BoolArray,
    place_of_column: IntArray,
    place_of_row: IntArray,
    above: IntArray,
    below: IntArray,
    s: Scenarios,
) -> csr_matrix:
    count, width = len(s.probability), int((~first_columns).sum())
    top = core.matrix[above].tocoo()
    base = core.matrix[below].tocoo()
    row, column, value = base.row, base.col.astype(np.int64), np.tile(base.data, (count, 1))
    if len(s.entry_row):
        # An entry that the core lacks is appended; one that it has is replaced.
        key = row.astype(np.int64) * len(first_columns) + column
        asked = place_of_row[s.entry_row] * len(first_columns) + s.entry_column
        order = np.argsort(key)
        found = np.searchsorted(key, asked, sorter=order)
        known = np.zeros(len(asked), dtype=np.bool_)
        inside = found < len(key)
        known[inside] = key[order[found[inside]]] == asked[inside]
        value[:, order[found[known]]] = s.entry[:, known]
        row = np.concatenate([row, place_of_row[s.entry_row[~known]]])
        column = np.concatenate([column, s.entry_column[~known]])
        value = np.concatenate([value, s.entry[:, ~known]], axis=1)
    scenario = np.arange(count)[:, None]
    shifted = np.where(first_columns[column], 0, width)
    start = int(first_columns.sum())
    places = np.where(
        first_columns[column], place_of_column[column], start + place_of_column[column]
    )
    rows = len(above) + row[None, :] + scenario * len(below)
    columns = places[None, :] + scenario * shifted[None, :]
    matrix = coo_matrix(
        (
            np.concatenate([top.data, value.ravel()]),
            (
                np.concatenate([top.row, rows.ravel()]),
                np.concatenate([place_of_column[top.col], columns.ravel()]),
            ),
        ),
        shape=(len(above) + count * len(below), start + count * width),
    ).tocsr()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _names(blocks: Mapping[str, Block], full: Callable[[int], str]) -> Callable[[int], str]:
    """Full names, but the bare label where all members are of one block."""
    return next(iter(blocks.values())).label if len(blocks) == 1 else full


def _blocks(
    name: Callable[[int], str], first: IntArray, second: IntArray, count: int
) -> dict[str, Block]:
    def label(k: int) -> str:
        scenario, position = divmod(k, len(second))
        return f"{name(int(second[position]))}, scenario {scenario}"

    stop = len(first) + count * len(second)
    return {
        "first_stage": Block("first_stage", 0, len(first), lambda k: name(int(first[k]))),
        "second_stage": Block("second_stage", len(first), stop, label),
    }


def _check(
    core: LinearProgram, first_columns: BoolArray, first_rows: BoolArray, s: Scenarios
) -> None:
    rows, columns = core.matrix.shape
    if core.data:
        raise ValueError("the core holds data blocks; fix their values in the row bounds first")
    if first_columns.shape != (columns,) or first_rows.shape != (rows,):
        raise ValueError(
            f"stages of {first_columns.shape} columns and {first_rows.shape} rows given for a core "
            f"of {columns} columns and {rows} rows"
        )
    if len(s.probability) == 0 or not (s.probability >= 0).all():
        raise ValueError("probabilities must be at least one and not negative")
    if abs(s.probability.sum() - 1) > 1e-9:
        raise ValueError(f"probabilities sum to {s.probability.sum():.12g}, must sum to 1")
    count = len(s.probability)
    for name, positions, values in (
        ("cost", s.cost_column, s.cost),
        ("entry", s.entry_row, s.entry),
        ("row_lower", s.row, s.row_lower),
        ("row_upper", s.row, s.row_upper),
        ("column_lower", s.column, s.column_lower),
        ("column_upper", s.column, s.column_upper),
    ):
        if len(positions) and values.shape != (count, len(positions)):
            raise ValueError(
                f"Scenarios.{name} has shape {values.shape}, expected {(count, len(positions))}"
            )
    top = core.matrix[np.flatnonzero(first_rows)].tocoo()
    for k in np.flatnonzero(~first_columns[top.col] & (top.data != 0)):
        row = core.row_name(int(np.flatnonzero(first_rows)[top.row[k]]))
        raise ValueError(
            f"row {row} is of the first stage but holds column "
            f"{core.column_name(int(top.col[k]))} of the second; move either"
        )
    for kind, positions, first, named in (
        ("column", s.cost_column, first_columns, core.column_name),
        ("column", s.column, first_columns, core.column_name),
        ("row", s.row, first_rows, core.row_name),
        ("row", s.entry_row, first_rows, core.row_name),
    ):
        for position in positions[first[positions]]:
            raise ValueError(
                f"{kind} {named(int(position))} is of the first stage and cannot differ by scenario"
            )
