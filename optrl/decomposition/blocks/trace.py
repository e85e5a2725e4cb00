"""What happened round by round, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from optrl.decomposition.blocks.errors import BlockCheckpointError
from optrl.tables.atomic import write_file


@dataclass(frozen=True)
class TraceRow:
    """One round.

    Attributes:
        iteration: Its number, from 1.
        value: Lagrangian value at the round's prices, -inf where it is no bound.
        lower: Best lower bound so far.
        upper: Cost of the cheapest feasible average of columns so far, infinite without one.
        gap: (upper - lower) / |upper|, infinite without both.
        seconds: Wall time since the run began, with that of runs before a resume.
        oracle_seconds: Processor time of the round's oracles.
        step: Largest change of a price from the round before, relative to the largest price.
        columns: Columns in the ledger.
    """

    iteration: int
    value: float
    lower: float
    upper: float
    gap: float
    seconds: float
    oracle_seconds: float
    step: float
    columns: int


def table(trace: Sequence[TraceRow]) -> pl.DataFrame:
    """The trace as a table, a column for each attribute of `TraceRow`."""
    names = [field.name for field in fields(TraceRow)]
    rows = [astuple(row) for row in trace]
    whole = {"iteration", "columns"}
    schema = {name: pl.Int64 if name in whole else pl.Float64 for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row")


def write_trace(trace: Sequence[TraceRow], path: Path) -> None:
    """Write it as CSV, whole or not at all.

    Raises:
        optrl.errors.OptrlError: If it cannot be written.
    """
    with write_file(path) as temporary:
        table(trace).write_csv(temporary)


def as_json(trace: Sequence[TraceRow]) -> list[list[str]]:
    """Numbers as text, since JSON has no infinity; repr gives the same number back."""
    return [[repr(value) for value in astuple(row)] for row in trace]


def from_json(rows: Any) -> list[TraceRow]:
    """The opposite of `as_json`.

    Raises:
        BlockCheckpointError: If it is something else.
    """
    kinds: Mapping[str, type] = {
        field.name: int if field.name in ("iteration", "columns") else float
        for field in fields(TraceRow)
    }
    try:
        return [
            TraceRow(*(kind(text) for kind, text in zip(kinds.values(), row, strict=True)))
            for row in rows
        ]
    except (TypeError, ValueError) as error:
        raise BlockCheckpointError(f"the checkpoint's trace is damaged: {error}") from error
