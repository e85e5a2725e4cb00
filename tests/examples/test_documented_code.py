"""The Python code on the pages of the documentation runs as it is printed there."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if not {"_build", "_generated", "auto_examples"}.intersection(path.parts)
    and BLOCK.search(path.read_text(encoding="utf-8"))
)


def test_pages_are_found():
    """There is code to run: a change of the layout must not empty this test."""
    assert {path.stem for path in PAGES} >= {"scientist", "engineer"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_runs(page, tmp_path, monkeypatch):
    """All Python blocks of a page run one after the other, as one program."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "page.py"
    program.write_text("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))))
    runpy.run_path(str(program))
