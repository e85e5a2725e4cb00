"""What the stochastic file of SMPS refers to in the core: names, senses, the objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optrl_formulations.linear_program import LinearProgram

from optrl.formats.problem import read_text

Target = tuple[str, int, int]
"""What a scenario changes: (kind, row, column) with kind ``cost``, ``entry``, ``rhs``, ``lower``,
``upper`` or ``fix``; -1 where row or column do not apply."""


@dataclass(frozen=True)
class Core:
    """Names and numbers of a core file.

    Attributes:
        program: The core itself.
        columns: Position of each column.
        rows: Position of each row.
        sense: Of each row: L, G or E.
        objective: Name of the objective row.
        right_sides: Names of right-hand side vectors.
    """

    program: LinearProgram
    columns: Mapping[str, int]
    rows: Mapping[str, int]
    sense: Mapping[str, str]
    objective: str
    right_sides: frozenset[str]

    @classmethod
    def of(cls, program: LinearProgram, path: Path) -> Core:
        """Names of a core file that `program` was read from."""
        rows, columns = program.matrix.shape
        sense: dict[str, str] = {}
        objective, section, right_sides = "", "", {"RHS"}
        for line in read_text(path).splitlines():
            words = line.split()
            if not words or line.startswith("*"):
                continue
            if not line[0].isspace():
                section = words[0].upper()
            elif section == "ROWS" and len(words) == 2:
                if words[0].upper() == "N":
                    objective = objective or words[1]
                else:
                    sense[words[1]] = words[0].upper()
            elif section == "RHS" and len(words) % 2:
                right_sides.add(words[0])
        label_column, label_row = program.columns["column"].label, program.rows["row"].label
        return cls(
            program=program,
            columns={label_column(k): k for k in range(columns)},
            rows={label_row(k): k for k in range(rows)},
            sense=sense,
            objective=objective,
            right_sides=frozenset(right_sides),
        )

    def target(self, words: list[str]) -> Target | None:
        """What a column and row, right-hand side and row, or bound and column name; else None."""
        first, second = words
        if first in self.columns:
            if second == self.objective:
                return "cost", -1, self.columns[first]
            return (
                ("entry", self.rows[second], self.columns[first]) if second in self.rows else None
            )
        if first in self.right_sides and second in self.rows:
            return "rhs", self.rows[second], -1
        return None

    def value(self, target: Target) -> float:
        """The core's own number there."""
        kind, row, column = target
        program = self.program
        match kind:
            case "cost":
                return float(program.cost[column]) * (-1 if program.maximize else 1)
            case "entry":
                return float(program.matrix[row, column])
            case "lower" | "fix":
                return float(program.column_lower[column])
            case "upper":
                return float(program.column_upper[column])
        low, high = float(program.row_lower[row]), float(program.row_upper[row])
        return low if self.sense[program.rows["row"].label(row)] in ("G", "E") else high

    def is_range(self, row: int) -> bool:
        """Whether the row has two different finite bounds."""
        low, high = self.program.row_lower[row], self.program.row_upper[row]
        return bool(np.isfinite(low) and np.isfinite(high) and low != high)
