"""Finds and reads the table files of a folder, as texts where the format has no types."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from optrl.errors import Fault
from optrl.tables.faults import FaultList, nearest
from optrl.tables.schema import TABLES, TableSchema

EXTENSIONS = (".csv", ".parquet")
_SETTINGS = Path("instance.toml")
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")


def table_files(folder: Path, faults: FaultList) -> tuple[dict[str, Path], frozenset[str]]:
    """The file of each table that is there; missing, doubled and misspelt files are faults.

    Whatever bears the name of a table or of the settings and is not the file that is read, such as
    ``stock.CSV``, ``stock.xlsx`` or a folder ``stock.csv``, is a fault too: it would be ignored.

    Returns:
        The files, and the tables of which something else is there.
    """
    found: dict[str, Path] = {}
    names = {schema.name for schema in TABLES}
    doubled = set()
    for schema in TABLES:
        paths = [folder / (schema.name + extension) for extension in EXTENSIONS]
        present = [path for path in paths if path.is_file()]
        if len(present) == 2:
            problem = f"{present[1].name} is there too, and only one of them can hold"
            faults.add(Fault(present[0].name, None, None, None, problem, "Remove one of the two."))
            doubled.add(schema.name)
        if len(present) == 1:
            found[schema.name] = present[0]
    entries = [path for path in sorted(folder.iterdir()) if not _is_read(path, folder)]
    unread = {path: name for path in entries if (name := _meant(path)) in {*names, _SETTINGS.stem}}
    for path, name in unread.items():
        kind = "a folder" if path.is_dir() else "not a file that is read"
        wanted = _SETTINGS.name if name == _SETTINGS.stem else f"{name}.csv or {name}.parquet"
        problem = f"it bears the name of {wanted} but is {kind}, so it would be ignored"
        remedy = f"Save it as {wanted} (lower case), or rename or remove it."
        faults.add(Fault(path.name, None, None, None, problem, remedy))
    misspelt = [
        path
        for path in entries
        if path not in unread
        and path.suffix in EXTENSIONS
        and path.stem not in names
        and nearest(path.stem, names)
    ]
    for schema in TABLES:
        taken = schema.name in {*found, *doubled, *unread.values()}
        if schema.required and not taken:
            near = [path for path in misspelt if nearest(path.stem, [schema.name])]
            misspelt = [path for path in misspelt if path not in near]
            remedy = f"Rename {near[0].name} to it." if near else f"Add it. {schema.meaning}"
            problem = "the file is missing (.csv or .parquet)"
            faults.add(Fault(f"{schema.name}.csv", None, None, None, problem, remedy))
    for path in misspelt:
        remedy = f"{nearest(path.stem, names)} Rename or remove it."
        faults.add(Fault(path.name, None, None, None, "there is no such table", remedy))
    return found, frozenset(doubled | {name for name in unread.values() if name not in found})


def _is_read(path: Path, folder: Path) -> bool:
    """Whether a file is among those that are read, also where file names ignore case."""
    if not path.is_file():
        return False
    stem, suffix = path.stem.casefold(), path.suffix.casefold()
    table = suffix in EXTENSIONS and any(stem == schema.name for schema in TABLES)
    known = table or stem + suffix == _SETTINGS.name
    read = folder / (stem + suffix)
    return known and read.is_file() and read.samefile(path)


def _meant(path: Path) -> str:
    """The table that a file seems to be, by its name in any case; an editor's backup is none."""
    name = path.name.casefold()
    if name.endswith("~"):
        return ""
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return Path(name).stem


def read_file(path: Path, schema: TableSchema, faults: FaultList) -> pl.DataFrame | None:
    """The file's cells, all as texts from CSV; None if it cannot be read."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False, hive_partitioning=False)
        frame = pl.read_csv(path, infer_schema=False, glob=False)
    except pl.exceptions.NoDataError:
        header = ",".join(column.name for column in schema.columns if column.required)
        remedy = f"Give it a header, at least {header}."
        faults.add(Fault(path.name, None, None, None, "the file is empty", remedy))
        return None
    except (OSError, pl.exceptions.PolarsError) as error:
        faults.add(_unreadable(path, error))
        return None
    for mark in (";", "\t"):
        if frame.width == 1 and mark in frame.columns[0]:
            problem = "columns are not separated by commas"
            faults.add(Fault(path.name, 1, None, frame.columns[0], problem, "Save it with commas."))
            return None
    return frame


def _unreadable(path: Path, error: Exception) -> Fault:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if path.suffix == ".parquet" or isinstance(error, OSError):
        problem = f"the file cannot be read: {first_line}"
        return Fault(path.name, None, None, None, problem, "Write it again from its source.")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            width = len(next(rows))
            for number, row in enumerate(rows, start=2):
                if len(row) > width:
                    problem = f"the row has {len(row)} cells, the header {width}"
                    remedy = "Put texts that contain commas in quotes."
                    return Fault(path.name, number, None, ",".join(row), problem, remedy)
    except UnicodeDecodeError as wrong:
        row_number = path.read_bytes()[: wrong.start].count(b"\n") + 1
        problem = "the file is not UTF-8 text"
        return Fault(path.name, row_number, None, None, problem, "Save it as UTF-8.")
    except csv.Error as wrong:
        first_line = str(wrong)
    problem = f"the file is not valid CSV: {first_line}"
    return Fault(path.name, None, None, None, problem, "Check that quotes are closed.")
