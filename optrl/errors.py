"""Errors that tell the user which table, row and value is at fault and what to do.

Everything the toolkit raises on purpose derives from `OptrlError`; the command line prints its
message without a traceback and exits with a code of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OptrlError(Exception):
    """Base of all errors raised on purpose; the message is complete by itself."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input.

    Attributes:
        table: File or part of the graph, for example ``lanes.csv``.
        row: Row number as an editor shows it (the header is row 1), or None.
        column: Column at fault, or None.
        value: The value found, as text, or None.
        problem: What is wrong, naming the bound that is broken.
        remedy: What to change.
    """

    table: str
    row: int | None
    column: str | None
    value: str | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = self.table
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", column {self.column!r}"
        found = "" if self.value is None else f" (found {self.value!r})"
        return f"{place}: {self.problem}{found}. {self.remedy}"


class InstanceError(OptrlError):
    """The instance is not usable; lists every fault found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{count} in the instance:", *map(str, self.faults)]))
