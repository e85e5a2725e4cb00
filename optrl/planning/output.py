"""A plan as a folder: tables, summary.json and a picture, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Literal

import polars as pl

from optrl.errors import OptrlError
from optrl.planning.json_text import json_text
from optrl.planning.picture import network_picture
from optrl.planning.plan import Plan
from optrl.planning.plan_tables import PlanTables
from optrl.planning.summary import KIND
from optrl.tables.atomic import write_folder

SUMMARY = "summary.json"
PICTURE = "network.png"

Format = Literal["csv", "parquet"]
_FORMATS: tuple[Format, ...] = ("csv", "parquet")
_TABLES = tuple(field.name for field in fields(PlanTables))
_OWN = {SUMMARY, PICTURE, *(f"{table}.{kind}" for table in _TABLES for kind in _FORMATS)}


def write_plan(
    plan: Plan,
    folder: str | os.PathLike[str],
    format: Format = "csv",  # noqa: A002
    *,
    picture: bool = True,
) -> None:
    """Write a plan's tables, summary.json and network.png as one folder.

    A folder that holds a plan already is replaced; files in it that are none of a plan's stay.

    Args:
        plan: What to write.
        folder: Where; made if it is not there.
        format: Of the tables.
        picture: Whether to draw network.png.

    Raises:
        OptrlError: If the folder holds something else or cannot be written; it is then as before.
    """
    if format not in _FORMATS:
        raise OptrlError(f"{format!r} is no format of tables. Use 'csv' or 'parquet'.")
    refuse_other_folder(folder)
    target = Path(folder)
    files = {f"{name}.{format}": _bytes(getattr(plan.tables, name), format) for name in _TABLES}
    text = json_text(plan.summary(), indent=2, ascii_only=False)
    files[SUMMARY] = (text + "\n").encode()
    if picture:
        files[PICTURE] = network_picture(plan)
    with write_folder(target) as temporary:
        if target.is_dir():
            _keep_others(target, temporary)
        for name, data in files.items():
            (temporary / name).write_bytes(data)


def read_tables(folder: str | os.PathLike[str]) -> PlanTables:
    """The tables of a plan's folder, to check or to work on.

    Raises:
        OptrlError: If a table is missing or cannot be read.
    """
    return PlanTables(**{name: _read_table(Path(folder), name) for name in _TABLES})


def refuse_other_folder(folder: str | os.PathLike[str]) -> None:
    """Make sure that nothing but a plan would be replaced.

    Raises:
        OptrlError: If the path is a file, or a folder that is neither empty nor a plan's.
    """
    target = Path(folder)
    if target.is_dir():
        if is_plan_folder(target) or not any(target.iterdir()):
            return
        found = f"is a folder of something else (its {SUMMARY} is not there or not a plan's)"
    elif target.exists() or target.is_symlink():
        found = "is there already and is no folder"
    else:
        return
    raise OptrlError(f"{target} {found}. Write the plan to another place.")


def is_plan_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder's summary.json says that it is a plan's."""
    try:
        found = json.loads(Path(folder, SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def _keep_others(target: Path, temporary: Path) -> None:
    for path in target.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, temporary / path.name, symlinks=True)
        elif path.name not in _OWN:
            shutil.copy2(path, temporary / path.name, follow_symlinks=False)


def _bytes(table: pl.DataFrame, format: Format) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    if format == "csv":
        table.write_csv(buffer)
    else:
        table.write_parquet(buffer)
    return buffer.getvalue()


def _read_table(folder: Path, name: str) -> pl.DataFrame:
    names = {
        "item": pl.String,
        "node": pl.String,
        "origin": pl.String,
        "destination": pl.String,
        "resource": pl.String,
        "period": pl.Int64,
    }
    path = folder / f"{name}.parquet"
    try:
        if path.is_file():
            return pl.read_parquet(path)
        path = folder / f"{name}.csv"
        columns = pl.read_csv(path, infer_schema=False, n_rows=0).columns
        schema = {column: names.get(column, pl.Float64) for column in columns}
        return pl.read_csv(path, schema=schema)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise OptrlError(f"{path}: the table cannot be read: {reason}. Write it anew.") from error
