"""``optrl check`` lists every fault, or says what the folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_no_faults(run: Any, small: Path) -> None:
    """A sound folder: exit code 0 and counts of what it holds."""
    found = run("check", small)
    assert found.code == 0
    assert found.out.splitlines()[0] == f"{small}: no faults"
    assert "2 items, 2 suppliers, 3 stocking nodes, 2 customers" in found.out
    assert "8 of history, 8 to plan from 8 on (0 frozen), 4 kept" in found.out
    assert found.err == ""


def test_no_faults_as_json(run: Any, small: Path) -> None:
    """The same as one JSON document."""
    found = json.loads(run("check", small, "--json").out)
    assert found["faults"] == []
    assert found["summary"]["items"] == 2
    assert found["summary"]["nodes"] == {"supplier": 2, "stocking": 3, "customer": 2}
    assert found["summary"]["periods"]["kept"] == 4
    assert sum(found["summary"]["resources"].values()) == 5


def test_every_fault_one_a_line(run: Any, faulty: Path) -> None:
    """Exit code 1, and one line a fault with file, row, value and remedy."""
    found = run("check", faulty)
    assert found.code == 1
    lines = found.out.splitlines()
    assert any(line.startswith("nodes.csv, row") and "customre" in line for line in lines)
    assert any(line.startswith("stock.csv, row 2") and "-4" in line for line in lines)
    assert all(".csv" in line for line in lines)


def test_faults_as_json(run: Any, faulty: Path) -> None:
    """Each fault with its parts; the messages are those of the lines."""
    plain = run("check", faulty)
    found = run("check", faulty, "--json")
    assert found.code == 1
    document = json.loads(found.out)
    assert document["summary"] is None
    assert [fault["message"] for fault in document["faults"]] == plain.out.splitlines()
    stock = next(fault for fault in document["faults"] if fault["table"] == "stock.csv")
    assert (stock["row"], stock["column"], stock["value"]) == (2, "quantity", "-4")


def test_no_such_folder(run: Any, tmp_path: Path) -> None:
    """A missing folder is a fault like others."""
    found = run("check", tmp_path / "nothing")
    assert found.code == 1
    assert "does not exist" in found.out
    assert len(found.out.splitlines()) == 1


def test_names_with_brackets(run: Any, small: Path) -> None:
    """Names that look like markup are printed as they are."""
    text = (small / "instance.toml").read_text()
    (small / "instance.toml").write_text(text.replace('"small"', '"[bold]small[/bold]"'))
    assert "[bold]small[/bold]: 2 items" in run("check", small).out
