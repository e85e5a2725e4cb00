"""``optrl solve`` gives a line a result, its errors apart, and solves no problem twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optrl.cli import solve as solve_command
from optrl.cli.solve import distinct
from optrl.formats import FileResult

MPS = """NAME          TINY
ROWS
 N  COST
 G  NEED
COLUMNS
    X         COST      {cost}   NEED      1.0
RHS
    RHS       NEED      4.0
BOUNDS
 UP BND       X         10.0
ENDATA
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Minimize 3 x, 4 <= x <= 10."""
    path = tmp_path / "tiny.mps"
    path.write_text(MPS.format(cost="3.0"))
    return path


def test_json_lines(run: Any, tiny: Path) -> None:
    """One JSON object a result with the agreed keys."""
    found = run("solve", tiny, "--json")
    assert found.code == 0
    lines = found.out.splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert result["file"] == str(tiny)
    assert result["format"] == "mps"
    assert result["objective"] == result["bound"] == pytest.approx(12.0)
    assert result["status"] == "optimal"
    assert result["seconds"] >= 0
    assert {"gap", "problem", "notes"} <= set(result)


def test_table(run: Any, tiny: Path) -> None:
    """The same in a table."""
    found = run("solve", tiny)
    assert found.code == 0
    header, row = found.out.splitlines()[:2]
    assert header.split() == ["problem", "format", "objective", "bound", "gap", "status", "seconds"]
    assert row.split()[:4] == ["tiny", "mps", "12", "12"]


def test_bad_files_do_not_stop_the_others(run: Any, tiny: Path, tmp_path: Path) -> None:
    """Each bad file has its line on standard error; the good ones are solved; exit code 1."""
    (tmp_path / "bad.mps").write_text("NAME\nROWS\n N COST\nCOLUMNS\n X NOWHERE 1\nENDATA\n")
    found = run("solve", tmp_path / "bad.mps", tmp_path / "none.mps", tiny, "--json")
    assert found.code == 1
    assert [json.loads(line)["problem"] for line in found.out.splitlines()] == ["tiny"]
    errors = found.err.splitlines()
    assert len(errors) == 2
    assert "bad.mps" in errors[0]
    assert "none.mps" in errors[1]


def test_infeasible_is_a_result(run: Any, tmp_path: Path) -> None:
    """An infeasible problem has no objective, null in JSON, and is no error."""
    path = tmp_path / "no.mps"
    path.write_text(MPS.format(cost="3.0").replace("10.0", "1.0"))
    found = run("solve", path, "--json")
    assert found.code == 0
    result = json.loads(found.out)
    assert result["status"] == "infeasible"
    assert result["objective"] is None


def test_smps_files_are_one_problem() -> None:
    """The three files of an SMPS problem count once, as does a file named twice."""
    files = ["a/L.cor", "a/L.tim", "b/x.mps", "a/L.sto", "b/L.sto", "b/x.mps"]
    assert list(distinct(files)) == ["a/L.cor", "b/x.mps", "b/L.sto"]


def test_smps_solved_once(run: Any, shared_data: Path) -> None:
    """A published two-stage problem given by its three files is solved once."""
    folder = shared_data / "stochastic-smps"
    files = sorted(p for p in folder.rglob("*") if p.stem.lower() == "lands")
    found = run("solve", *(p for p in files if p.suffix in {".cor", ".tim", ".sto"}), "--json")
    assert found.code == 0, found.err
    known = json.loads((folder / "known_values.json").read_text())["LandS"]["optimum"]
    assert json.loads(found.out)["objective"] == pytest.approx(known, rel=1e-6)


def test_interrupt(run: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: the best solution is printed, the other files are left, exit code 130."""
    calls = []

    def solve_file(path: str, **_: object) -> Any:
        calls.append(path)
        yield FileResult(path, "mps", "tiny", 13.0, 11.0, 0.15, "interrupted", 1.0)

    monkeypatch.setattr("optrl.formats.solve_file", solve_file)
    found = run("solve", tiny, "other.mps", "--json")
    assert found.code == 130
    assert json.loads(found.out)["objective"] == 13.0
    assert calls == [str(tiny)]


def test_interrupt_without_a_solution(
    run: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before there is a solution: no output, exit code 130."""

    def solve_file(path: str, **_: object) -> Any:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("optrl.formats.solve_file", solve_file)
    found = run("solve", tiny)
    assert (found.code, found.out) == (130, "")
    assert "interrupted" in found.err


def test_numbers_json_does_not_know() -> None:
    """Infinite bounds become null."""
    from optrl.planning.json_text import json_text

    result = FileResult("f", "mps", "p", 1.0, float("-inf"), float("inf"), "time limit", 1.0)
    found = json.loads(json_text(solve_command.as_dict(result)))
    assert found["bound"] is None
    assert found["gap"] is None
