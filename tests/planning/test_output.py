"""A plan's folder is whole or not there, and holds what was planned."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from optrl.errors import OptrlError
from optrl.planning.output import is_plan_folder, read_tables, write_plan
from optrl.planning.plan import Plan
from optrl.planning.plan_tables import PlanTables
from optrl.planning.verification import verify

NAMES = {field.name for field in fields(PlanTables)}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables_read_back(limited_plan: Plan, tmp_path: Path, format: str) -> None:  # noqa: A002
    """Tables read back are the ones planned, to the last digit, and pass the check again."""
    write_plan(limited_plan, tmp_path / "plan", format)  # type: ignore[arg-type]
    files = {p.name for p in (tmp_path / "plan").iterdir()}
    assert files == {f"{name}.{format}" for name in NAMES} | {"summary.json", "network.png"}
    found = read_tables(tmp_path / "plan")
    for name in NAMES:
        planned = getattr(limited_plan.tables, name)
        assert getattr(found, name).equals(planned), name
        assert getattr(found, name).schema == planned.schema, name
    assert verify(limited_plan.instance, found) == limited_plan.verification


def test_summary_is_strict_json(limited_plan: Plan, tmp_path: Path) -> None:
    """summary.json is the plan's summary, with null for what is no finite number."""
    assert limited_plan.program is not None
    odd = replace(limited_plan, program=replace(limited_plan.program, bound=float("-inf")))
    write_plan(odd, tmp_path / "plan", picture=False)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    text = (tmp_path / "plan/summary.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=refuse)
    assert found["program"]["bound"] is None
    assert found["total_cost"] == pytest.approx(limited_plan.total_cost, abs=1e-5)
    assert found["verified"]["rows"] == limited_plan.verification.rows
    assert not (tmp_path / "plan/network.png").exists()


def test_replaces_a_plan_and_keeps_other_files(limited_plan: Plan, tmp_path: Path) -> None:
    """A plan's folder is replaced, tables of another format too; the user's own files stay."""
    folder = tmp_path / "plan"
    write_plan(limited_plan, folder, "csv", picture=False)
    (folder / "notes.txt").write_text("mine")
    (folder / "mine").mkdir()
    (folder / "mine/more.txt").write_text("too")
    write_plan(limited_plan, folder, "parquet", picture=False)
    assert {p.name for p in folder.iterdir()} == {f"{name}.parquet" for name in NAMES} | {
        "summary.json",
        "notes.txt",
        "mine",
    }
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "mine/more.txt").read_text() == "too"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "summary", [None, "not json", "[]", '{"kind": "report"}'], ids=["none", "text", "list", "other"]
)
def test_refuses_other_folders(limited_plan: Plan, tmp_path: Path, summary: str | None) -> None:
    """A folder whose summary.json is missing or another's is left as it is."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "orders.csv").write_text("precious")
    if summary is not None:
        (folder / "summary.json").write_text(summary)
    before = contents(tmp_path)
    assert not is_plan_folder(folder)
    with pytest.raises(OptrlError, match="another place"):
        write_plan(limited_plan, folder)
    assert contents(tmp_path) == before


def test_refuses_a_file_and_unknown_formats(limited_plan: Plan, tmp_path: Path) -> None:
    """A file where the folder would be, and a format that is none."""
    (tmp_path / "plan").write_text("a file")
    with pytest.raises(OptrlError, match="no folder"):
        write_plan(limited_plan, tmp_path / "plan")
    with pytest.raises(OptrlError, match="'csv' or 'parquet'"):
        write_plan(limited_plan, tmp_path / "new", "xlsx")  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["plan"]


def test_empty_folder_is_taken(limited_plan: Plan, tmp_path: Path) -> None:
    """An empty folder may be written to."""
    write_plan(limited_plan, tmp_path, picture=False)
    assert is_plan_folder(tmp_path)


@pytest.mark.parametrize("allowed", [0, 2, 5])
def test_disk_full(
    limited_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """Whichever file the disk fills up at, the error says so and nothing has changed."""
    write_plan(limited_plan, tmp_path / "old", picture=False)
    before = contents(tmp_path)
    original, written = Path.write_bytes, []

    def write_bytes(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > allowed:
            original(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    for place in ("old", "new"):
        written.clear()
        with pytest.raises(OptrlError, match="No space left on device"):
            write_plan(limited_plan, tmp_path / place, "parquet", picture=False)
        assert contents(tmp_path) == before
        assert not (tmp_path / "new").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from optrl.planning.output import write_plan
from optrl.planning.plan import plan
from optrl.testing import random_instance

made = plan(random_instance(np.random.default_rng(0), horizon=8), "base_stock")
target, written, original = Path(sys.argv[1]), [], Path.write_bytes
write_plan(made, target, picture=False)

def write_bytes(self, data):
    written.append(self)
    if len(written) == 4:
        original(self, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, data)

Path.write_bytes = write_bytes
write_plan(made, target, "parquet", picture=False)
"""


def test_killed_while_writing(limited_plan: Plan, tmp_path: Path) -> None:
    """A run killed half-way leaves the old plan whole, and the next write clears up after it."""
    target = tmp_path / "plan"
    run = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert {p.name for p in target.iterdir()} == {f"{name}.csv" for name in NAMES} | {
        "summary.json"
    }
    left = [p for p in tmp_path.iterdir() if p != target]
    assert all(p.name.startswith(".") for p in left)
    write_plan(limited_plan, target, picture=False)
    assert list(tmp_path.iterdir()) == [target]
    assert read_tables(target).orders.equals(limited_plan.tables.orders)


def test_table_missing(limited_plan: Plan, tmp_path: Path) -> None:
    """A folder without one of its tables says which."""
    write_plan(limited_plan, tmp_path / "plan", picture=False)
    (tmp_path / "plan/stock.csv").unlink()
    with pytest.raises(OptrlError, match=r"stock\.csv"):
        read_tables(tmp_path / "plan")
