"""A scenario's program joined to a copy of the first stage, with its rows, bounds and integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import IntArray
from scipy.sparse import block_diag, csr_matrix, hstack, vstack

from optrl.decomposition.sddp.stage import Stage


def with_copy(
    stage: Stage, program: LinearProgram, first: LinearProgram, state: IntArray
) -> tuple[LinearProgram, IntArray]:
    """Second-stage columns, then a copy of the first stage's, which costs nothing; rows likewise.

    Args:
        stage: The second stage.
        program: One of its programs.
        first: The first stage's.
        state: Columns of `first` that the second stage sees, shape (K,).

    Returns:
        The program, and the columns of the copied state in it.
    """
    width = len(program.cost)
    blocks = [program.data[name] for name in stage.incoming]
    # Where the state stands among the first stage's columns.
    place = csr_matrix(
        (np.ones(len(state)), (np.arange(len(state)), state)),
        shape=(len(state), len(first.cost)),
    )
    linking = csr_matrix(hstack([b.matrix for b in blocks]) @ place)
    own = np.concatenate([b.cost for b in blocks])
    corner = block_diag([program.matrix, first.matrix], format="csr")
    upper = hstack([csr_matrix(program.matrix.shape), linking], format="csr")
    lower = csr_matrix((first.matrix.shape[0], width + len(first.cost)))
    height = program.matrix.shape[0]
    return replace(
        program,
        cost=np.concatenate([program.cost, own @ place]),
        matrix=csr_matrix(corner + vstack([upper, lower], format="csr")),
        row_lower=np.concatenate([program.row_lower, first.row_lower]),
        row_upper=np.concatenate([program.row_upper, first.row_upper]),
        column_lower=np.concatenate([program.column_lower, first.column_lower]),
        column_upper=np.concatenate([program.column_upper, first.column_upper]),
        integrality=np.concatenate([program.integrality, first.integrality]),
        columns={**program.columns, "copy": Block("copy", width, width + len(first.cost), str)},
        rows={**program.rows, "copy": Block("copy", height, height + len(first.row_lower), str)},
        data={
            name: replace(
                b,
                matrix=csr_matrix(
                    vstack([b.matrix, csr_matrix((len(first.row_lower), len(b.value)))])
                ).tocsc(),
            )
            for name, b in program.data.items()
            if name not in stage.incoming
        },
    ), width + state
