"""Collects every fault of an input, naming rows as an editor shows them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from optrl.errors import Fault
from optrl.tables.schema import TABLES, TableSchema

ROW = "__row__"


@dataclass(frozen=True)
class Table:
    """A table whose cells have been read; a cell at fault is empty.

    Attributes:
        schema: Its declaration.
        label: What faults call it, for example ``lanes.csv``.
        frame: Every column of the schema, typed, and `ROW`; references add index columns.
        given: Columns that the user gave.
        present: Whether the user gave the table.
        numbered: Whether its rows have numbers a user can see; a graph has none.
        usable: Whether its key can be read at all, so that references to it can be judged.
    """

    schema: TableSchema
    label: str
    frame: pl.DataFrame
    given: frozenset[str]
    present: bool = True
    numbered: bool = True
    usable: bool = True


class FaultList:
    """Faults found so far.

    Args:
        limit: Most faults listed of one problem in one column; the rest is counted. None for all.
    """

    def __init__(self, limit: int | None = 100) -> None:
        self.limit = limit
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add one fault."""
        self._faults.append(fault)

    def add_rows(
        self,
        table: Table,
        bad: pl.DataFrame,
        column: str | None,
        problem: str,
        remedy: str,
        value: str | None = None,
    ) -> None:
        """Add a fault for each row of `bad`, a selection of the table's rows.

        Args:
            table: The table at fault.
            bad: The rows at fault, with `ROW`.
            column: The column at fault.
            problem: What is wrong; ``{name}`` stands for the row's value in a column.
            remedy: What to change; likewise.
            value: Template of the value shown, by default that of `column`.
        """
        shown = bad if self.limit is None else bad.head(self.limit)
        for row in shown.iter_rows(named=True):
            texts = {name: text_of(cell) for name, cell in row.items()}
            found = (value or f"{{{column}}}").format(**texts) if value or column in row else None
            what = problem.format(**texts)
            if not table.numbered:
                what = f"{' -> '.join(texts[name] for name in table.schema.key)}: {what}"
            number = row[ROW] if table.numbered else None
            self.add(Fault(table.label, number, column, found, what, remedy.format(**texts)))
        more = bad.height - shown.height
        if more:
            problem = f"the same problem as above in {more} more rows"
            self.add(Fault(table.label, None, column, None, problem, "See the rows listed."))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults, by table and row; settings first, then tables as declared."""
        order = {schema.name: rank for rank, schema in enumerate(TABLES)}

        def place(fault: Fault) -> tuple[int, float]:
            name = fault.table.removeprefix("graph ").split(".")[0]
            # The count of further rows closes the list of its table.
            last = float("inf") if fault.problem.startswith("the same problem") else 0
            return order.get(name, -1), last if fault.row is None else fault.row

        return tuple(sorted(self._faults, key=place))


def text_of(value: object) -> str:
    """A cell as a user would write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """A suggestion of the known name that is most like `name`, if any is."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else None
