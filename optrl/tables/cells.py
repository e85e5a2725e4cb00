"""Gives the cells of a table their types and bounds, naming every cell at fault."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from optrl_formulations.network import BoolArray

from optrl.errors import Fault
from optrl.tables.faults import ROW, FaultList, Table, nearest, text_of
from optrl.tables.schema import LARGEST_NUMBER, Column, TableSchema

DTYPES = {"text": pl.String, "number": pl.Float64, "integer": pl.Int64, "boolean": pl.Boolean}
_DUPLICATED = re.compile(r"(.*)_duplicated_\d+")
_CONTROL = r"[\x00-\x1f\x7f]"


def absent_table(schema: TableSchema, usable: bool) -> Table:
    """A table without rows, for one that is not there or cannot be read."""
    columns = {column.name: DTYPES[column.type] for column in schema.columns}
    if schema.quantiles:
        columns = {name: columns[name] for name in schema.key}
    frame = pl.DataFrame(schema={ROW: pl.Int64, **columns})
    label = f"{schema.name}.csv"
    return Table(schema, label, frame, frozenset(), present=False, usable=usable)


def read_cells(
    schema: TableSchema, label: str, raw: pl.DataFrame, faults: FaultList, numbered: bool = True
) -> Table:
    """Check header and cells of a table as read.

    Args:
        schema: Its declaration.
        label: What faults call it.
        raw: Its cells, texts or typed.
        faults: Where faults go.
        numbered: Whether rows have numbers that the user can see.
    """
    sound = len(faults.faults)
    columns = _header(schema, label, raw, faults)
    frame = raw.with_row_index(ROW, offset=2).with_columns(pl.col(ROW).cast(pl.Int64))
    if raw.height and all(raw[name].dtype == pl.String for name in raw.columns):
        # Blank lines of a CSV file come as rows of empty cells; others keep their row number.
        frame = frame.filter(~pl.all_horizontal(pl.col(raw.columns).is_null()))
    usable = True
    read: dict[str, pl.Series] = {ROW: frame[ROW]}
    for column in columns:
        if column.name in raw.columns:
            read[column.name] = _Cells(column, frame, label, schema, numbered, faults).read()
        else:
            dtype = DTYPES[column.type]
            read[column.name] = pl.Series([column.default], dtype=dtype).new_from_index(
                0, frame.height
            )
            usable &= column.name not in schema.key
    usable &= bool(frame.height) or not schema.required
    given = frozenset(raw.columns)
    table = Table(schema, label, pl.DataFrame(read), given, True, numbered, usable)
    if schema.required and not frame.height and len(faults.faults) == sound:
        remedy = "Give it at least one row."
        faults.add(Fault(label, None, None, None, "the table has no rows", remedy))
    return table


def _header(schema: TableSchema, label: str, raw: pl.DataFrame, faults: FaultList) -> list[Column]:
    """The columns to read; unknown, doubled and missing ones are faults."""
    row = 1 if label.endswith(".csv") else None
    names = [column.name for column in schema.columns]
    columns = list(schema.columns)
    missing = [column.name for column in columns if column.required and column.name not in raw]
    if schema.quantiles:
        columns = [column for column in columns if column.name in raw or column.name in schema.key]
    for name in raw.columns:
        twice = _DUPLICATED.fullmatch(name)
        if twice and twice[1] in names:
            problem = "the column is there twice"
            faults.add(Fault(label, row, twice[1], None, problem, "Remove one of the two."))
            continue
        try:
            column = schema.column(name)
        except KeyError:
            meant = nearest(name, missing) or nearest(name, [n for n in names if n not in raw])
            missing = [known for known in missing if meant is None or repr(known) not in meant]
            remedy = (
                meant or nearest(name, names) or f"Remove it; the table knows {', '.join(names)}."
            )
            faults.add(Fault(label, row, name, None, "there is no such column", remedy))
            continue
        if column not in columns:
            columns.append(column)
    if schema.quantiles:
        values = [column for column in columns if column.name not in schema.key]
        deviation = [column.name for column in values] == ["standard_deviation"]
        none = not values or deviation
        missing = [name for name in missing if name in schema.key or (name == "mean" and none)]
    for name in missing:
        remedy = f"Add it: {schema.column(name).meaning}."
        faults.add(Fault(label, row, name, None, "the column is missing", remedy))
    return columns


class _Cells:
    """The cells of one column on their way to their type."""

    def __init__(
        self,
        column: Column,
        frame: pl.DataFrame,
        label: str,
        schema: TableSchema,
        numbered: bool,
        faults: FaultList,
    ) -> None:
        self.column = column
        self.frame = frame
        self.table = Table(schema, label, frame, frozenset(), numbered=numbered)
        self.faults = faults
        self.raw = frame[column.name]
        if self.raw.dtype in (pl.Categorical, pl.Enum):
            self.raw = self.raw.cast(pl.String)
        if self.raw.dtype == pl.String:
            self.raw = self.raw.set(self.raw == "", None)

    def read(self) -> pl.Series:
        if self.raw.dtype == pl.Null:
            values = self.raw.cast(DTYPES[self.column.type])
        elif self.column.type == "text":
            values = self._text()
        elif self.column.type == "boolean":
            values = self._boolean()
        else:
            values = self._number()
        if not self.raw.null_count():
            return values.alias(self.column.name)
        if self.column.required:
            self._reject(self.raw.is_null(), "the cell is empty", f"Give {self.column.meaning}.")
        elif self.column.default is not None:
            values = values.set(self.raw.is_null(), self.column.default)
        return values.alias(self.column.name)

    def _reject(self, bad: pl.Series, problem: str, remedy: str) -> pl.Series:
        """List the cells at fault and return the mask without gaps."""
        bad = bad.fill_null(False)
        if bad.any():
            self.faults.add_rows(
                self.table, self.frame.filter(bad), self.column.name, problem, remedy
            )
        return bad

    def _wrong_type(self, wanted: str) -> pl.Series:
        problem = f"the column holds {self.raw.dtype}, not {wanted}"
        fault = Fault(
            self.table.label, None, self.column.name, None, problem, f"Store {wanted} in it."
        )
        self.faults.add(fault)
        self.raw = pl.Series([0], dtype=pl.Int64).new_from_index(0, self.frame.height)
        return pl.Series([None], dtype=DTYPES[self.column.type]).new_from_index(
            0, self.frame.height
        )

    def _text(self) -> pl.Series:
        if self.raw.dtype.is_integer():
            values = self.raw.cast(pl.String)
        elif self.raw.dtype == pl.String:
            values = self.raw
        else:
            return self._wrong_type("texts")
        if self.column.choices:
            known = values.is_in(list(self.column.choices)).fill_null(True)
            listed = ", ".join(self.column.choices)
            bad = self._reject(~known, f"must be one of {listed}", "Write one of them.")
        elif self.column.references is None:
            stripped = values.str.strip_chars()
            spaces = values != stripped
            self._reject(spaces, "the name has spaces around it", "Remove them.")
            values = stripped  # so that what refers to the name is not at fault too
            control = values.str.contains(_CONTROL)
            bad = self._reject(
                control, "the name holds line breaks or other control characters", "Remove them."
            )
        else:
            return values
        return values.set(bad, None)

    def _boolean(self) -> pl.Series:
        if self.raw.dtype == pl.Boolean:
            return self.raw
        if not (self.raw.dtype == pl.String or self.raw.dtype.is_integer()):
            return self._wrong_type("true or false")
        texts = self.raw.cast(pl.String).str.strip_chars().str.to_lowercase()
        true, false = texts.is_in(["true", "1"]), texts.is_in(["false", "0"])
        bad = self._reject(~(true | false), "is neither true nor false", "Write true or false.")
        return true.set(bad, None)

    def _number(self) -> pl.Series:
        column, empty = self.column, self.raw.is_null().to_numpy()
        bad = np.zeros(len(empty), dtype=np.bool_)

        def reject(mask: BoolArray, problem: str, remedy: str) -> None:
            new = mask & ~bad
            if new.any():
                self._reject(pl.Series(new), problem, remedy)
                bad[new] = True

        if self.raw.dtype == pl.String:
            values = self.raw.str.strip_chars().cast(pl.Float64, strict=False)
            reject(
                values.is_null().to_numpy() & ~empty,
                "is not a number",
                "Write digits with a decimal point, without units or thousands separators.",
            )
        elif self.raw.dtype.is_numeric():
            values = self.raw.cast(pl.Float64)
        else:
            return self._wrong_type("numbers")
        number = values.fill_null(column.minimum or 0.0).to_numpy()
        reject(np.isnan(number), "is not a number", "Write a number.")
        infinite = np.isneginf(number) if column.infinite else np.isinf(number)
        reject(infinite, "must be finite", "Write a finite number.")
        low = -LARGEST_NUMBER if column.minimum is None else column.minimum
        bound = f"at least {text_of(low)}"
        reject(number < low, f"must be {bound}", f"Write a number of {bound}.")
        high = LARGEST_NUMBER if column.maximum is None else column.maximum
        bound = f"at most {text_of(high)}"
        remedy = f"Write a number of {bound}"
        if column.maximum is None:
            remedy += ", in larger units of money or quantity if need be"
            remedy += f", or leave the cell empty for no {column.name}" if column.infinite else ""
        reject(
            (number > high) & ~(np.isposinf(number) & column.infinite),
            f"must be {bound}",
            f"{remedy}.",
        )
        if column.type == "integer":
            whole = number == np.floor(number)
            reject(~whole, "must be a whole number", "Write a whole number.")
        if bad.any():
            values = values.set(pl.Series(bad), None)
        return values.cast(DTYPES[column.type])
