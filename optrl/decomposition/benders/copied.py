"""Second stages joined to one copy of the first stage, with its rows, bounds and integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import block_diag, csr_matrix, hstack, vstack

from optrl.decomposition.sddp.pushing import push_outcome
from optrl.decomposition.sddp.stage import Outcome, Stage
from optrl.solver import Model


@dataclass(frozen=True)
class Recourse:
    """A second stage whose incoming state stands apart from its data.

    Attributes:
        program: Without the state.
        linking: What the state does to its rows, shape (rows, K).
        state_cost: What the state costs there, shape (K,).
        probability: Weight of its cost.
    """

    program: LinearProgram
    linking: csr_matrix
    state_cost: FloatArray
    probability: float = 1.0

    @classmethod
    def of(cls, stage: Stage, program: LinearProgram) -> Recourse:
        """Of one of a stage's programs, with outcomes left as data."""
        blocks = [program.data[name] for name in stage.incoming]
        rest = {name: b for name, b in program.data.items() if name not in stage.incoming}
        return cls(
            replace(program, data=rest),
            csr_matrix(hstack([b.matrix for b in blocks])),
            np.concatenate([b.cost for b in blocks]),
        )

    @classmethod
    def at(cls, stage: Stage, outcome: Outcome, probability: float) -> Recourse:
        """With an outcome's numbers in it."""
        program = stage.programs[outcome.program]
        found = cls.of(stage, program)
        model = Model(found.program)
        push_outcome(model, outcome)
        return replace(found, program=model.solved, probability=probability)


def with_copy(
    parts: Sequence[Recourse], first: LinearProgram, state: IntArray
) -> tuple[LinearProgram, IntArray]:
    """Columns of the second stages, then those of the first stage in a block "copy"; rows likewise.

    Args:
        parts: Second stages, more than one only if none holds data; the blocks of those after the
            first have their number appended.
        first: The first stage, whose costs are kept.
        state: Columns of `first` that the second stages see, shape (K,).

    Returns:
        The program, and the columns of the copied state in it.
    """
    size = len(first.cost)
    # Where the state stands among the first stage's columns.
    place = csr_matrix((np.ones(len(state)), (np.arange(len(state)), state)), (len(state), size))
    own = np.sum([p.probability * p.state_cost for p in parts], axis=0)
    programs = [p.program for p in parts]
    diagonal = block_diag([p.matrix for p in programs], format="csr")
    linking = csr_matrix(vstack([p.linking for p in parts]) @ place)
    height, width = diagonal.shape
    upper = hstack([diagonal, linking])
    lower = hstack([csr_matrix((len(first.row_lower), width)), first.matrix])
    columns: dict[str, Block] = {}
    rows: dict[str, Block] = {}
    right = down = 0
    for k, program in enumerate(programs):
        columns |= _moved(program.columns, right, k)
        rows |= _moved(program.rows, down, k)
        right, down = right + len(program.cost), down + len(program.row_lower)
    joined = LinearProgram(
        cost=np.concatenate(
            [*(p.probability * p.program.cost for p in parts), first.cost + own @ place]
        ),
        offset=first.offset + sum(p.probability * p.program.offset for p in parts),
        matrix=csr_matrix(vstack([upper, lower])),
        row_lower=np.concatenate([*(p.row_lower for p in programs), first.row_lower]),
        row_upper=np.concatenate([*(p.row_upper for p in programs), first.row_upper]),
        column_lower=np.concatenate([*(p.column_lower for p in programs), first.column_lower]),
        column_upper=np.concatenate([*(p.column_upper for p in programs), first.column_upper]),
        integrality=np.concatenate([*(p.integrality for p in programs), first.integrality]),
        columns={**columns, "copy": Block("copy", width, width + size, str)},
        rows={**rows, "copy": Block("copy", height, height + len(first.row_lower), str)},
        data={name: _padded(b, len(first.row_lower)) for name, b in programs[0].data.items()},
    )
    return joined, width + state


def _moved(blocks: Mapping[str, Block], by: int, number: int) -> dict[str, Block]:
    mark = f" {number}" if number else ""
    return {
        name + mark: replace(b, name=b.name + mark, start=b.start + by, stop=b.stop + by)
        for name, b in blocks.items()
    }


def _padded(block: DataBlock, rows: int) -> DataBlock:
    """With rows that it does not move below."""
    matrix = csr_matrix(vstack([block.matrix, csr_matrix((rows, len(block.value)))]))
    return replace(block, matrix=matrix.tocsc())
