"""A part joined to a linear program by affine expressions of the program's columns and data.

    minimize    base cost(y, d) + part cost(x, z)
    subject to  base rows(y, d),  part rows(x, z),  x = A y + B d + offset

y are the base program's columns, d its data, z the part's own columns and x its arguments. It is
what a Pyomo block added to a larger model compiles to, done on arrays: the part is compiled once,
the base is built without Pyomo. With `copies` a part stands once for each outcome of a scenario
tree, for example.

An argument that stands in one row of the part at most and has neither cost nor bounds is
substituted; others become columns with a row ``tie``, so that dense rows stay as short as the
part's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, identity, kron

from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import FloatArray, IntArray


@dataclass(frozen=True)
class AffineMap:
    """R affine expressions of a program's columns and data.

    Attributes:
        columns: Coefficients by column block, shapes (R, block size).
        data: Coefficients by data block, shapes (R, block size).
        offset: Shape (R,).
    """

    columns: Mapping[str, csr_matrix]
    data: Mapping[str, csr_matrix]
    offset: FloatArray

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: IntArray) -> AffineMap:
        """The expressions at `rows`, in that order."""
        return AffineMap(
            {name: matrix[rows] for name, matrix in self.columns.items()},
            {name: matrix[rows] for name, matrix in self.data.items()},
            self.offset[rows],
        )

    def evaluate(
        self, columns: Mapping[str, FloatArray], data: Mapping[str, FloatArray]
    ) -> FloatArray:
        """Values at values of the blocks, shape (R,)."""
        value = self.offset.copy()
        for part, numbers in ((self.columns, columns), (self.data, data)):
            for name, matrix in part.items():
                value += matrix @ np.asarray(numbers[name], dtype=np.float64).reshape(-1)
        return value

    def over_columns(self, program: LinearProgram) -> csr_matrix:
        """Coefficients over all columns of a program, shape (R, columns).

        Raises:
            ValueError: If a block is not in the program or has another size.
        """
        total = csr_matrix((len(self), len(program.cost)))
        for name, matrix in self.columns.items():
            block = program.columns.get(name)
            if block is None or matrix.shape != (len(self), len(block)):
                raise ValueError(
                    f"the program has no column block {name!r} of {matrix.shape[1]} members"
                )
            coo = matrix.tocoo()
            place = (coo.row, coo.col + block.start)
            total = total + csr_matrix((coo.data, place), shape=total.shape)
        return csr_matrix(total)

    def over_data(self, program: LinearProgram) -> dict[str, csc_matrix]:
        """Coefficients of every data block of a program, shapes (R, size)."""
        for name, matrix in self.data.items():
            if name not in program.data or matrix.shape[1] != len(program.data[name].value):
                raise ValueError(
                    f"the program has no data block {name!r} of {matrix.shape[1]} members"
                )
        return {
            name: csc_matrix(self.data[name])
            if name in self.data
            else csc_matrix((len(self), len(block.value)))
            for name, block in program.data.items()
        }


def copies(part: LinearProgram, weight: FloatArray) -> LinearProgram:
    """The part M times, each copy's cost weighted; blocks hold copy after copy.

    Args:
        part: A program.
        weight: Shape (M,), positive (an epigraph needs that).

    Raises:
        ValueError: If a weight is not positive.
    """
    if not (weight > 0).all():
        raise ValueError(f"weights must be positive, found {float(weight.min()):g}")
    number = len(weight)
    row, column = _block_major(part.rows, number), _block_major(part.columns, number)
    ones = identity(number)
    data = {
        name: DataBlock(
            name,
            csc_matrix(csr_matrix(kron(ones, block.matrix))[row]),
            np.kron(weight, block.cost).astype(np.float64),
            np.tile(block.value, number),
            _repeated(block.label, len(block.value), number),
        )
        for name, block in part.data.items()
    }
    return replace(
        part,
        cost=np.kron(weight, part.cost).astype(np.float64)[column],
        offset=part.offset * float(weight.sum()),
        matrix=csr_matrix(kron(ones, part.matrix))[row][:, column],
        row_lower=np.tile(part.row_lower, number)[row],
        row_upper=np.tile(part.row_upper, number)[row],
        column_lower=np.tile(part.column_lower, number)[column],
        column_upper=np.tile(part.column_upper, number)[column],
        integrality=np.tile(part.integrality, number)[column],
        columns=_copied(part.columns, number),
        rows=_copied(part.rows, number),
        data=data,
    )


def join(
    base: LinearProgram,
    part: LinearProgram,
    arguments: AffineMap,
    *,
    name: str = "argument",
    tie: str = "tie",
    substitute: bool = True,
) -> LinearProgram:
    """Join a part to a program.

    Args:
        base: The program; its blocks keep their names and positions.
        part: A program whose first column block, `name`, holds its arguments. Its other blocks
            must have names of their own.
        arguments: What each argument is.
        name: Name of the block of arguments in the part.
        tie: Name of the rows that tie arguments which are not substituted.
        substitute: False gives every argument a column, to which costs can be pushed later.

    Raises:
        ValueError: If names collide, sizes do not fit, or a program maximizes.
    """
    size = len(part.columns[name])
    _check(base, part, arguments, name, tie)
    entries = np.diff(part.matrix[:, :size].tocsc().indptr)
    is_open = np.isneginf(part.column_lower[:size]) & np.isposinf(part.column_upper[:size])
    kept = (
        np.full(size, not substitute)
        | (entries > 1)
        | (part.cost[:size] != 0)
        | ~is_open
        | part.integrality[:size]
    )
    over_columns, over_data = arguments.over_columns(base), arguments.over_data(base)
    substituted, uses = part.matrix[:, :size][:, ~kept], part.matrix[:, :size][:, kept]

    ties = int(kept.sum())
    width, height = len(base.cost), len(base.row_lower)
    shape = (height + ties + len(part.row_lower), width + ties + len(part.cost) - size)
    matrix = _placed(
        [
            (base.matrix, 0, 0),
            (-over_columns[kept], height, 0),
            (csr_matrix(identity(ties)), height, width),
            (substituted @ over_columns[~kept], height + ties, 0),
            (uses, height + ties, width),
            (part.matrix[:, size:], height + ties, width + ties),
        ],
        shape,
    ).tocsr()
    data = {}
    for key, block in base.data.items():
        moved = [
            (block.matrix, 0, 0),
            (-over_data[key][kept], height, 0),
            (substituted @ over_data[key][~kept], height + ties, 0),
        ]
        data[key] = replace(block, matrix=_placed(moved, (shape[0], len(block.value))).tocsc())
    for key, block in part.data.items():
        below = _placed([(block.matrix, height + ties, 0)], (shape[0], len(block.value)))
        data[key] = replace(block, matrix=below.tocsc())

    label = _picked(part.columns[name].label, np.flatnonzero(kept))
    columns, rows = dict(base.columns), dict(base.rows)
    if ties:
        columns[name] = Block(name, width, width + ties, label)
        rows[tie] = Block(tie, height, height + ties, label)
    columns |= {k: _moved(b, width + ties - size) for k, b in part.columns.items() if k != name}
    rows |= {k: _moved(b, height + ties) for k, b in part.rows.items()}
    # Arguments that are substituted have no column of their own.
    left = np.concatenate([kept, np.ones(len(part.cost) - size, dtype=bool)])
    offset, shift = arguments.offset[kept], substituted @ arguments.offset[~kept]
    return LinearProgram(
        cost=np.concatenate([base.cost, part.cost[left]]),
        offset=base.offset + part.offset,
        matrix=matrix,
        row_lower=np.concatenate([base.row_lower, offset, part.row_lower - shift]),
        row_upper=np.concatenate([base.row_upper, offset, part.row_upper - shift]),
        column_lower=np.concatenate([base.column_lower, part.column_lower[left]]),
        column_upper=np.concatenate([base.column_upper, part.column_upper[left]]),
        integrality=np.concatenate([base.integrality, part.integrality[left]]),
        columns=columns,
        rows=rows,
        data=data,
    )


def _block_major(blocks: Mapping[str, Block], number: int) -> IntArray:
    """Positions of copied members, block by block and within a block copy by copy."""
    total = sum(map(len, blocks.values()))
    first = np.arange(number)[:, None] * total
    runs = [(first + np.arange(b.start, b.stop)).ravel() for b in blocks.values()]
    return np.concatenate([np.zeros(0, dtype=np.int64), *runs]).astype(np.int64)


def _copied(blocks: Mapping[str, Block], number: int) -> dict[str, Block]:
    return {
        name: Block(name, b.start * number, b.stop * number, _repeated(b.label, len(b), number))
        for name, b in blocks.items()
    }


def _moved(block: Block, by: int) -> Block:
    return replace(block, start=block.start + by, stop=block.stop + by)


def _repeated(label: Callable[[int], str], size: int, number: int) -> Callable[[int], str]:
    if number == 1:
        return label

    def named(position: int) -> str:
        inner = label(position % size)
        return f"copy {position // size}" + (f", {inner}" if inner else "")

    return named


def _picked(label: Callable[[int], str], positions: IntArray) -> Callable[[int], str]:
    return lambda k: label(int(positions[k]))


def _placed(
    parts: Sequence[tuple[csr_matrix | csc_matrix, int, int]], shape: tuple[int, int]
) -> coo_matrix:
    """Matrices put at (row, column) of an empty one."""
    triplets = [(part.tocoo(), row, column) for part, row, column in parts]
    return coo_matrix(
        (
            np.concatenate([t.data for t, _, _ in triplets]),
            (
                np.concatenate([t.row + row for t, row, _ in triplets]),
                np.concatenate([t.col + column for t, _, column in triplets]),
            ),
        ),
        shape=shape,
    )


def _check(
    base: LinearProgram, part: LinearProgram, arguments: AffineMap, name: str, tie: str
) -> None:
    block = part.columns[name]
    if block.start:
        raise ValueError(f"the block {name!r} must be the first of the part's columns")
    if len(arguments) != len(block):
        raise ValueError(f"{len(arguments)} expressions were given for {len(block)} arguments")
    if base.maximize or part.maximize:
        raise ValueError("only programs that minimize can be joined")
    for mine, other in (
        (base.columns.keys(), part.columns.keys()),
        (base.rows.keys(), part.rows.keys() | {tie}),
        (base.data.keys(), part.data.keys()),
    ):
        both = sorted(mine & other)
        if both:
            raise ValueError(f"the program and the part both have a block {both[0]!r}")
