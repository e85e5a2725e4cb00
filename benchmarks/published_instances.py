"""Families of test beds computed anew, as tables beside what was published.

The rows are those of `optrl bench NAME`, with the difference to the published figure: of the cost,
or of the gap in percentage points where a gap was published. Without names, the families that are
solved exactly: lost sales, dual sourcing, serial.

Usage: python benchmarks/published_instances.py [NAME...] [--folder DIR]
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from result_table import ROOT, commit, write_results

from optrl.testbeds import find
from optrl.testbeds.base import Row
from optrl.testbeds.bench import bench

EXACT = ("lost-sales", "dual-sourcing", "serial")


def main() -> None:
    """Compute and write each family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=EXACT, metavar="NAME")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/results", metavar="DIR")
    options = parser.parse_args()
    for name in options.names:
        find(name)
    code = commit()
    for name in options.names:
        begun = time.process_time()
        rows = [compared(row) for row in bench(name)]
        seconds = time.process_time() - begun
        path = options.folder / f"{name.replace('-', '_')}.csv"
        remarks = [f"{len(rows)} rows in {seconds:.1f} CPU seconds on one thread", *largest(rows)]
        write_results(path, pl.DataFrame(rows, infer_schema_length=None), code, remarks)
        print(f"{path}: {'; '.join(remarks)}")


def compared(row: Row) -> dict[str, Any]:
    """A row with its difference to what was published, both rounded for reading."""
    line = asdict(row)
    line["difference"] = None
    ours = row.gap_percent if row.published.endswith("%") else row.cost
    if ours is not None and re.fullmatch(r"-?[\d.]+( %)?", row.published):
        line["difference"] = round(ours - float(row.published.removesuffix(" %")), 6) + 0.0
    for key, digits in (("cost", 6), ("optimum", 6), ("bound", 6), ("gap_percent", 4)):
        if line[key] is not None:
            line[key] = round(line[key], digits)
    line["half_width"] = float(f"{row.half_width:.2g}")
    line["seconds"] = round(row.seconds, 2)
    return line


def largest(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The largest differences to published costs and gaps, as remarks."""
    costs, gaps = [], []
    for row in rows:
        if row["difference"] is not None:
            (gaps if row["published"].endswith("%") else costs).append(row)
    remarks = []
    if costs:
        worst = max(abs(row["difference"]) for row in costs)
        share = max(abs(row["difference"]) / row["cost"] for row in costs)
        remarks.append(
            f"{len(costs)} published costs: largest difference {worst:.2g}, {100 * share:.2g} %"
        )
    if gaps:
        worst = max(abs(row["difference"]) for row in gaps)
        remarks.append(f"{len(gaps)} published gaps: largest difference {worst:.2g} points")
    return remarks


if __name__ == "__main__":
    main()
