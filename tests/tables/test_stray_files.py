"""Nothing in an instance folder that looks like a table is ignored in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from optrl.tables import check


@pytest.mark.parametrize(
    ("name", "replaces"),
    [
        ("stock.CSV", "stock.csv"),
        ("Stock.csv", "stock.csv"),
        ("stock.xlsx", "stock.csv"),
        ("stock.csv.gz", "stock.csv"),
        ("backlog.txt", "backlog.csv"),
        ("backlog.csv/", "backlog.csv"),
        ("demand/", "demand.csv"),
        ("lanes.tsv", "lanes.csv"),
        ("instance.json", None),
        ("resources.xlsx", None),
    ],
)
def test_what_would_be_ignored(tiny_folder: Path, name: str, replaces: str | None) -> None:
    """Whatever bears a table's name but is not what is read is one fault that names it."""
    if replaces is not None:
        (tiny_folder / replaces).unlink()
    if name.endswith("/"):
        (tiny_folder / name).mkdir()
    else:
        (tiny_folder / name).write_text("item,node,quantity\n")
    faults = [fault for fault in check(tiny_folder) if "start" not in (fault.column or "")]
    assert [fault.table for fault in faults] == [name.removesuffix("/")]
    assert "ignored" in faults[0].problem


def test_files_of_other_names_stay_unnoticed(tiny_folder: Path) -> None:
    """Notes, hidden files and backups beside the tables are no faults."""
    for name in ("README.md", ".stock.csv.swp", "stock.csv~", "stock.csv.bak", "plan"):
        (tiny_folder / name).write_text("x")
    assert check(tiny_folder) == ()
