"""Examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT, ROOT / "formulations")
MODULES = sorted(
    ".".join(path.relative_to(folder).with_suffix("").parts)
    for folder, package in zip(FOLDERS, ("optrl", "optrl_formulations"), strict=True)
    for path in (folder / package).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    """Every example of the module runs and prints what stands there."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
