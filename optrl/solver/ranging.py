"""How far costs and right-hand sides may move before the optimal basis changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class Ranging:
    """Ranges of one coefficient at a time, all others held, in the model's own sense.

    Attributes:
        cost_lower: Smallest cost of each column at which the solution stays optimal.
        cost_upper: Largest such cost.
        row_lower: Smallest value of the bound at which each row stands (without the data's
            part) at which all duals stay; nan for rows that stand at no bound.
        row_upper: Largest such value.
        program: The program with its blocks.
    """

    cost_lower: FloatArray = field(repr=False)
    cost_upper: FloatArray = field(repr=False)
    row_lower: FloatArray = field(repr=False)
    row_upper: FloatArray = field(repr=False)
    program: LinearProgram = field(repr=False)

    def costs(self, columns: str | Block) -> tuple[FloatArray, FloatArray]:
        """Range of the costs of a column block."""
        block = columns if isinstance(columns, Block) else self.program.columns[columns]
        return self.cost_lower[block.slice], self.cost_upper[block.slice]

    def row_bounds(self, rows: str | Block) -> tuple[FloatArray, FloatArray]:
        """Range of the active bounds of a row block."""
        block = rows if isinstance(rows, Block) else self.program.rows[rows]
        return self.row_lower[block.slice], self.row_upper[block.slice]
