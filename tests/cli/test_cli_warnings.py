"""Warnings reach a reader as lines, once each, and misfits of trained policies say what to do."""

from pathlib import Path
from typing import Any


def test_a_warning_is_a_line_and_comes_once(run: Any, small: Path, tmp_path: Path) -> None:
    """A policy outside of what its networks were trained for says so without a place in code."""
    words = ("--policies", "pretrained,base_stock", "--scenarios", 40, "--all-scenarios")
    found = run("compare", small, *words, "--runs", tmp_path)
    assert found.code == 0
    lines = [line for line in found.err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1
    assert "outside of what pretrained networks were trained for" in lines[0]
    assert "UserWarning" not in found.err
    assert "UntrainedWarning" not in found.err


def test_a_folder_without_a_policy_is_named_with_the_remedy(
    run: Any, small: Path, tmp_path: Path
) -> None:
    """Entry, folder and what to do."""
    (tmp_path / "mine").mkdir()
    words = ("--policies", f"mine={tmp_path / 'mine'},base_stock", "--scenarios", 4)
    found = run("compare", small, *words, "--runs", tmp_path / "runs")
    assert found.code == 2
    assert f"mine={tmp_path / 'mine'}" in found.err
    assert "optrl train DIR --out FOLDER" in found.err
