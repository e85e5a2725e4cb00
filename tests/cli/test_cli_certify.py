"""Certificates on the command line: in the summary, for a reader, and in comparisons."""

import json
from pathlib import Path
from typing import Any

import pytest


def test_a_plan_says_how_far_from_optimal_it_can_be(run: Any, small: Path, tmp_path: Path) -> None:
    """Lower and upper bound, gap, confidence and assumption stand in the summary written."""
    words = ("plan", small, "--policy", "s_s", "--certify", 3)
    found = run(*words, "--json", "--out", tmp_path / "plan")
    assert found.code == 0
    certificate = json.loads(found.out)["certificate"]
    assert certificate == json.loads((tmp_path / "plan/summary.json").read_text())["certificate"]
    assert certificate["lower_bound"] <= certificate["estimated_lower_bound"]
    assert certificate["estimated_lower_bound"] <= certificate["cost"] <= certificate["upper_bound"]
    assert certificate["gap"] > 0
    assert certificate["bound"] in certificate["considered"]
    assert certificate["assumption"]
    said = run(*words).out
    assert "certificate on 3 horizons of random demand, 95% for all of it" in said
    assert "every policy costs at least" in said


def test_every_plan_has_a_certificate(run: Any, small: Path) -> None:
    """Without being asked for it, by both bounds where the instance is small."""
    found = json.loads(run("plan", small, "--policy", "s_s", "--json").out)
    assert found["uncertified"] == ""
    certificate = found["certificate"]
    assert certificate["lower_bound"] <= certificate["cost"]
    assert certificate["considered"] == ["fluid", "perfect information"]
    assert 2 <= certificate["paths"] <= 32


def test_a_given_number_of_horizons_is_the_same_every_time(run: Any, small: Path) -> None:
    """Paths follow the seed and their number, not the time that was left."""
    words = ("plan", small, "--policy", "s_s", "--certify", 3, "--json")
    first, again = (json.loads(run(*words).out)["certificate"] for _ in range(2))
    assert first == again
    assert first["paths"] == 3


def test_without_a_certificate_the_plan_says_why(run: Any, small: Path) -> None:
    """Where none is wanted, in the summary and to the reader."""
    words = ("plan", small, "--policy", "s_s", "--certify", 0)
    found = json.loads(run(*words, "--json").out)
    assert found["certificate"] is None
    assert found["uncertified"] == "it was not asked for"
    assert "no certificate: it was not asked for" in run(*words).out


def test_one_path_is_refused(run: Any, small: Path) -> None:
    """A single path says nothing of the sampling error."""
    found = run("plan", small, "--policy", "s_s", "--certify", 1)
    assert found.code != 0
    assert "at least 2" in found.err


def test_a_comparison_has_the_certified_gap(
    run: Any, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside each policy, and what it rests on below, on a terminal wide enough for the table."""
    monkeypatch.setenv("COLUMNS", "160")
    words = ("compare", small, "--policies", "s_s,base_stock", "--scenarios", 6)
    found = run(*words, "--bound", 4, "--runs", tmp_path / "runs")
    assert found.code == 0
    assert "certified gap" in found.out.splitlines()[2]
    assert "95 % for all policies together, from the" in " ".join(found.out.split())
    unasked = run(*words, "--runs", tmp_path / "runs")
    assert "from the fluid bound of" in " ".join(unasked.out.split())
    replayed = run(*words, "--replay", "--runs", tmp_path / "runs")
    assert "no certified gap: replayed demand is one path" in replayed.out


def test_a_narrow_terminal_shows_fewer_columns_whole(
    run: Any, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown is not cropped, and what is left out is named."""
    monkeypatch.setenv("COLUMNS", "80")
    words = ("compare", small, "--policies", "s_s,base_stock", "--scenarios", 6)
    said = run(*words, "--runs", tmp_path / "runs").out
    assert "…" not in said
    assert "certified gap" in said.splitlines()[2]
    assert "left out for want of width: seconds" in said
