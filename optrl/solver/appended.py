"""Rows added to a program that is loaded, stacked onto its arrays when these are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, vstack


@dataclass(frozen=True)
class AppendedRows:
    """Rows added at once.

    Attributes:
        block: Their place and name.
        matrix: Coefficients, shape (rows, columns).
        lower: Shape (rows,).
        upper: Shape (rows,).
    """

    block: Block
    matrix: csr_matrix
    lower: FloatArray
    upper: FloatArray


def with_rows(program: LinearProgram, appended: Sequence[AppendedRows]) -> LinearProgram:
    """The program with rows below its own."""
    if not appended:
        return program
    return replace(
        program,
        matrix=csr_matrix(vstack([program.matrix, *(rows.matrix for rows in appended)])),
        row_lower=np.concatenate([program.row_lower, *(rows.lower for rows in appended)]),
        row_upper=np.concatenate([program.row_upper, *(rows.upper for rows in appended)]),
        rows={**program.rows, **{rows.block.name: rows.block for rows in appended}},
    )
