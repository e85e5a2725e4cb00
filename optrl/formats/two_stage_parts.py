"""A two-stage core assembled from triplets, for readers of network design under uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from optrl_formulations.extensive_form import Scenarios, TwoStageProgram
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import coo_matrix, csr_matrix

Entries = Sequence[tuple[IntArray, IntArray, FloatArray]]
"""Rows, columns and values of matrix entries, in parts."""


def binary_first(
    cost: FloatArray,
    first: int,
    first_rows: int,
    row_bounds: tuple[FloatArray, FloatArray],
    entries: Entries,
    scenarios: Scenarios,
    label: Callable[[int], str],
) -> TwoStageProgram:
    """A core whose first columns are binary and whose other columns are not negative.

    Args:
        cost: Of all columns, shape (C,).
        first: Number of binary columns, all of the first stage.
        first_rows: Number of rows of the first stage, which come first.
        row_bounds: Lower and upper, shape (R,) each.
        entries: Of the matrix.
        scenarios: What differs.
        label: Names columns.
    """
    row, column, value = (np.concatenate([part[k] for part in entries]) for k in range(3))
    lower, upper = row_bounds
    shape = (len(lower), len(cost))
    early = np.arange(len(cost)) < first
    core = LinearProgram(
        cost=cost,
        offset=0.0,
        matrix=csr_matrix(coo_matrix((value, (row, column)), shape=shape)),
        row_lower=lower,
        row_upper=upper,
        column_lower=np.zeros(len(cost)),
        column_upper=np.where(early, 1.0, np.inf),
        integrality=early,
        columns={"column": Block("column", 0, shape[1], label)},
        rows={"row": Block("row", 0, shape[0], str)},
    )
    return TwoStageProgram(core, early, np.arange(shape[0]) < first_rows, scenarios)
