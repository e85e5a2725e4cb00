"""The instance folder: read it, check it, write it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from optrl.errors import Fault, InstanceError, OptrlError
from optrl.instance import Instance
from optrl.tables.atomic import write_folder
from optrl.tables.building import build_instance
from optrl.tables.cells import absent_table, read_cells
from optrl.tables.export import settings_of, tables_of
from optrl.tables.faults import FaultList, Table
from optrl.tables.group_rules import check_groups
from optrl.tables.network_rules import check_network
from optrl.tables.reading import EXTENSIONS, read_file, table_files
from optrl.tables.references import Tables, resolve
from optrl.tables.resource_rules import check_resources
from optrl.tables.row_rules import check_rows
from optrl.tables.schema import TABLES
from optrl.tables.settings import (
    FILE,
    Known,
    Settings,
    check_settings,
    read_settings,
    settings_toml,
)
from optrl.tables.value_rules import check_terminal_values

Format = Literal["csv", "parquet"]


def load(folder: str | os.PathLike[str]) -> Instance:
    """Read an instance folder.

    Raises:
        InstanceError: If anything is wrong with it; lists every fault.
    """
    faults = FaultList()
    settings, tables = _read(Path(folder), faults)
    if faults.faults or settings is None or tables is None:
        raise InstanceError(faults.faults)
    return build_instance(settings, tables)


def check(folder: str | os.PathLike[str], *, limit: int | None = 100) -> tuple[Fault, ...]:
    """Every fault of an instance folder, in one pass over all its tables.

    A check that builds on cells at fault is made as far as these allow.

    Args:
        folder: The instance folder.
        limit: Most faults listed of one problem in one column; the rest is counted. None for all.
    """
    faults = FaultList(limit)
    _read(Path(folder), faults)
    return faults.faults


def save(instance: Instance, folder: str | os.PathLike[str], format: Format = "csv") -> None:  # noqa: A002
    """Write an instance folder, whole or not at all.

    The tables pass the same check as on reading. A folder that holds an instance already is
    replaced; files in it that are no tables stay.

    Raises:
        InstanceError: If the instance would not pass the check; nothing is written.
        OptrlError: If the folder holds something else, or cannot be written.
    """
    target = Path(folder)
    if f".{format}" not in EXTENSIONS:
        raise OptrlError(f"{format!r} is no format of tables. Use 'csv' or 'parquet'.")
    if target.is_file() or (
        target.is_dir() and any(target.iterdir()) and not (target / FILE).is_file()
    ):
        raise OptrlError(
            f"{target} is there already and is no instance folder (it has no {FILE}). Remove it "
            "or write to another place."
        )
    settings, frames = settings_of(instance), tables_of(instance)
    faults = FaultList()
    values = settings.model_dump(warnings=False)
    labels = {name: f"{name}.{format}" for name in frames}
    check_tables(*check_settings(values, FILE, faults), frames, labels, FILE, faults)
    if faults.faults:
        raise InstanceError(faults.faults)
    own = {FILE, *(table.name + extension for table in TABLES for extension in EXTENSIONS)}
    with write_folder(target) as temporary:
        if target.is_dir():
            for path in target.iterdir():
                if path.is_dir():
                    shutil.copytree(path, temporary / path.name, symlinks=True)
                elif path.name not in own:
                    shutil.copy2(path, temporary / path.name, follow_symlinks=False)
        (temporary / FILE).write_text(settings_toml(settings), encoding="utf-8")
        for name, frame in frames.items():
            (temporary / labels[name]).write_bytes(_bytes(frame, format))


def check_tables(
    settings: Settings | None,
    known: Known,
    frames: Mapping[str, pl.DataFrame | Table],
    labels: Mapping[str, str],
    settings_label: str,
    faults: FaultList,
) -> Tables:
    """Check tables wherever they come from, and resolve their references.

    Args:
        settings: The settings, or None if they are at fault.
        known: Those settings that are sound.
        frames: Cells as read, or tables already read, by table name.
        labels: What faults call each table.
        settings_label: What faults call the settings.
        faults: Where faults go.
    """
    tables = {}
    for schema in TABLES:
        given = frames.get(schema.name)
        if isinstance(given, pl.DataFrame):
            tables[schema.name] = read_cells(schema, labels[schema.name], given, faults)
        else:
            tables[schema.name] = given or absent_table(schema, usable=not schema.required)
    resolved = resolve(tables, faults)
    check_rows(resolved, known, faults)
    check_groups(resolved, known, settings_label, faults)
    check_network(resolved, faults)
    check_resources(resolved, known, faults)
    check_terminal_values(resolved, settings, faults)
    return resolved


def _read(folder: Path, faults: FaultList) -> tuple[Settings | None, Tables | None]:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "the folder does not exist"
        remedy = "Name the folder that holds instance.toml and the tables."
        faults.add(Fault(str(folder), None, None, None, what, remedy))
        return None, None
    settings, known = read_settings(folder / FILE, faults)
    frames: dict[str, Any] = {}
    labels = {}
    files, unread = table_files(folder, faults)
    for schema in TABLES:
        raw = None
        if schema.name in files:
            labels[schema.name] = files[schema.name].name
            raw = read_file(files[schema.name], schema, faults)
        if raw is not None:
            frames[schema.name] = raw
        elif schema.name in files or schema.name in unread:
            frames[schema.name] = absent_table(schema, usable=False)
    return settings, check_tables(settings, known, frames, labels, FILE, faults)


def _bytes(frame: pl.DataFrame, format: Format) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    if format == "csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer)
    return buffer.getvalue()
