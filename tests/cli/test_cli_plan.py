"""``optrl plan`` prints a summary, writes a folder, and says when the plan is not sound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optrl.planning import plan as planning
from optrl.planning.output import read_tables
from optrl.planning.verification import Verification, Violation, verify
from optrl.tables import load, save
from optrl.testing import random_instance


def test_writes_a_plan_that_holds(run: Any, small: Path, tmp_path: Path) -> None:
    """The tables written pass the check against the folder they were planned from."""
    found = run("plan", small, "--out", tmp_path / "plan")
    assert found.code == 0
    assert found.err == ""
    assert verify(load(small), read_tables(tmp_path / "plan")).passed
    assert (tmp_path / "plan/network.png").stat().st_size > 10_000
    assert found.out.splitlines()[-1] == f"written to {tmp_path / 'plan'}"


def test_summary_for_a_reader(run: Any, small: Path) -> None:
    """Cost, fill rate, binding resources, the check and the program are there."""
    found = run("plan", small)
    document = json.loads(run("plan", small, "--json").out)
    assert f"{document['total_cost']:,.2f}" in found.out
    assert f"{document['fill_rate']:.3%}" in found.out
    binding = document["binding_resources"][0]
    line = next(x for x in found.out.splitlines() if x.startswith(binding["resource"]))
    assert f"{binding['largest_price']:,.4g} EUR" in line
    assert "verified: all" in found.out
    assert "optimal" in found.out
    assert max(map(len, found.out.splitlines())) <= 120


def test_json_is_all_of_standard_output(run: Any, small: Path, tmp_path: Path) -> None:
    """With --json and --out the document is the summary.json written, times apart."""
    found = run("plan", small, "--json", "--out", tmp_path / "plan", "--policy", "s_s")
    printed = json.loads(found.out)
    written = json.loads((tmp_path / "plan/summary.json").read_text())
    assert printed == written
    assert printed["policy"] == "s_s"
    assert printed["program"] is None
    assert printed["kind"] == "optrl plan"


def test_nothing_is_written_without_out(
    run: Any, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only --out writes."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run("plan", small, "--policy", "base_stock").code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_parquet(run: Any, small: Path, tmp_path: Path) -> None:
    """--format parquet writes Parquet."""
    run("plan", small, "--policy", "base_stock", "--out", tmp_path / "p", "--format", "parquet")
    assert sorted(p.suffix for p in (tmp_path / "p").iterdir()) == [
        ".json",
        *[".parquet"] * 6,
        ".png",
    ]


def test_refuses_to_overwrite_before_planning(
    run: Any, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance folder itself is no place for a plan, and no time is spent on planning."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("planned")

    monkeypatch.setattr(planning, "plan", fail)
    before = {p.name: p.read_bytes() for p in small.iterdir()}
    found = run("plan", small, "--out", small)
    assert found.code == 2
    assert "another place" in found.err
    assert found.out == ""
    assert {p.name: p.read_bytes() for p in small.iterdir()} == before


def test_faults(run: Any, faulty: Path, tmp_path: Path) -> None:
    """Faults of the folder: all of them on standard error, exit code 1, nothing written."""
    found = run("plan", faulty, "--out", tmp_path / "plan")
    assert found.code == 1
    assert found.out == ""
    assert "nodes.csv, row" in found.err
    assert "stock.csv, row 2" in found.err
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize("command", ["plan", "simulate"])
def test_errors_as_json(run: Any, small: Path, faulty: Path, command: str) -> None:
    """With --json each error is one document too, with faults where an instance has some."""
    found = run(command, faulty, "--policy", "base_stock", "--json")
    error = json.loads(found.out)["error"]
    assert found.code == error["exit_code"] == 1
    assert any(fault["table"] == "nodes.csv" for fault in error["faults"])
    assert "nodes.csv, row" in found.err
    found = run(command, small, "--policy", "basestock", "--json")
    error = json.loads(found.out)["error"]
    assert found.code == error["exit_code"] == 2
    assert "'base_stock'" in error["message"]
    assert error["faults"] == []


def test_gap(run: Any, tmp_path: Path) -> None:
    """A mixed-integer program stops at the gap that was asked for, and tells its own."""
    made = random_instance(np.random.default_rng(3), items=3, horizon=8, integers=True)
    save(made, tmp_path / "lots")
    tight, wide = (
        json.loads(run("plan", tmp_path / "lots", "--json", "--no-explain", "--gap", gap).out)
        for gap in ("0", "0.5")
    )
    assert tight["program"]["gap"] <= 1e-6
    assert wide["program"]["gap"] <= 0.5
    assert tight["program"]["objective"] <= wide["program"]["objective"] + 1e-6


def test_unknown_policy(run: Any, small: Path) -> None:
    """The nearest names are suggested."""
    found = run("plan", small, "--policy", "basestock")
    assert found.code == 2
    assert "'base_stock'" in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize("words", [("--time-limit", "-1"), ("--format", "xlsx"), ("--seed", "x")])
def test_wrong_options(run: Any, small: Path, words: tuple[str, ...]) -> None:
    """Wrong options are refused with exit code 2."""
    found = run("plan", small, *words)
    assert found.code == 2
    assert words[0] in found.err


def test_a_plan_that_breaks_rows(
    run: Any, small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plan that fails its check is written and shown as such, with exit code 1."""
    original = planning.plan
    broken = Verification({"sign": 1}, (Violation("sign", "item [a], node b, period 3", 2.5),), 2.5)

    def plan(*words: Any, **options: Any) -> planning.Plan:
        return replace(original(*words, **options), verification=broken)

    monkeypatch.setattr(planning, "plan", plan)
    found = run("plan", small, "--policy", "base_stock", "--out", tmp_path / "plan")
    assert found.code == 1
    assert "sign: item [a], node b, period 3, by 2.5" in found.out
    assert "breaks 1 rows" in found.err
    written = json.loads((tmp_path / "plan/summary.json").read_text())
    assert written["verified"]["passed"] is False
    assert written["verified"]["violations"][0]["place"] == "item [a], node b, period 3"


def test_an_interrupted_plan(run: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program stopped by Ctrl-C gives its best plan and exit code 130."""
    original = planning.plan

    def plan(*words: Any, **options: Any) -> planning.Plan:
        made = original(*words, **options)
        assert made.program is not None
        return replace(made, program=replace(made.program, status="interrupted"))

    monkeypatch.setattr(planning, "plan", plan)
    found = run("plan", small, "--json")
    assert found.code == 130
    assert json.loads(found.out)["program"]["status"] == "interrupted"
    assert "best plan found" in found.err
