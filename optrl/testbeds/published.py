"""Tables of published results that lie in this package."""

from __future__ import annotations

import csv
from importlib import resources


def results(table: str) -> list[dict[str, str]]:
    """Rows of a table of published results in this package; lines with # name its sources."""
    text = resources.files("optrl.testbeds").joinpath("data", f"{table}.csv").read_text("utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
