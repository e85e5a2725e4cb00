"""Solve every published instance of a folder and compare with its known value.

    python benchmarks/known_values.py ../shared/data docs/results/known_values.csv

Each sub-folder may hold a known_values.json: for each problem an ``optimum`` (or
``optimum_this_file``, where the file differs from the published data) or an ``interval`` and a
``status`` that says whether it was verified. The table has a row for each problem:

    file, format, problem, known, known_upper, known_status, objective, bound, gap, status,
    seconds, agrees

``agrees`` is ``yes`` where the problem is solved to proof and equals the known optimum within a
relative 1e-6, ``consistent`` where it is not proved but [bound, objective] and the known value or
interval overlap, ``no`` otherwise, and empty where nothing is known. The command, the commit and
the versions stand in a comment at the head of the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDERS = (
    "cflp-orlib",
    "min-cost-flow",
    "gsm-safety-stock",
    "fixed-charge-fcnetlib",
    "lot-sizing-trigeiro",
    "mip-network",
    "stochastic-smps",
)
COLUMNS = (
    "file",
    "format",
    "problem",
    "known",
    "known_upper",
    "known_status",
    "objective",
    "bound",
    "gap",
    "status",
    "seconds",
    "agrees",
)
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Known:
    """Known value of a problem: an optimum, or an interval that holds it."""

    lower: float
    upper: float
    status: str


def known_value(entry: Mapping[str, Any] | None) -> Known | None:
    """The known value that an entry of known_values.json states."""
    if not entry:
        return None
    status = str(entry.get("status", ""))
    for key in ("optimum_this_file", "optimum"):
        if key in entry:
            return Known(float(entry[key]), float(entry[key]), status)
    for key in ("interval", "interval_here"):
        if key in entry:
            return Known(float(entry[key][0]), float(entry[key][1]), status)
    return None


def agreement(
    known: Known | None, objective: float | None, bound: float | None, status: str
) -> str:
    """See the module's docstring."""
    if known is None:
        return ""
    if objective is None or bound is None:
        return "no"
    slack = TOLERANCE * max(1.0, abs(known.upper))
    if status == "optimal" and known.lower == known.upper:
        return "yes" if abs(objective - known.lower) <= slack else "no"
    low, high = min(objective, bound), max(objective, bound)
    return "consistent" if low - slack <= known.upper and known.lower <= high + slack else "no"


def instance_files(root: Path) -> list[Path]:
    """Every file of the folders that a format recognizes; SMPS once, by its core file."""
    from optrl.formats import FormatError
    from optrl.formats.recognition import recognize

    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).iterdir()):
            if not path.is_file() or path.suffix in (".tim", ".sto"):
                continue
            try:
                recognize(path)
            except FormatError:
                continue  # licences, solutions, provenance: no instance
            found.append(path)
    return found


def run_file(path: Path, time_limit: float) -> list[dict[str, Any]]:
    """One row for each problem of a file."""
    from optrl.formats import solve_file

    table = path.parent / "known_values.json"
    entries = json.loads(table.read_text()) if table.exists() else {}
    rows = []
    for result in solve_file(path, time_limit=time_limit):
        known = known_value(entries.get(result.problem))
        rows.append(
            {
                "file": f"{path.parent.name}/{path.name}",
                "format": result.format,
                "problem": result.problem,
                "known": "" if known is None else known.lower,
                "known_upper": "" if known is None or known.lower == known.upper else known.upper,
                "known_status": "" if known is None else known.status,
                "objective": result.objective,
                "bound": result.bound,
                "gap": "" if result.gap is None else f"{result.gap:.2e}",
                "status": result.status,
                "seconds": f"{result.seconds:.2f}",
                "agrees": agreement(known, result.objective, result.bound, result.status),
            }
        )
    return rows


def header(arguments: Sequence[str]) -> list[str]:
    """Command, commit and versions, as comment lines."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ("highspy", "pyomo", "numpy"))
    return [
        f"# command: python benchmarks/known_values.py {' '.join(arguments)}",
        f"# commit: {commit or 'unknown'}; Python {platform.python_version()}, {packages}",
        "# one thread a problem; seconds are wall time of building and solving",
    ]


def write_table(target: Path, rows: Sequence[Mapping[str, Any]], head: Sequence[str]) -> None:
    """Write the table beside its place and rename it, so that it is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("w", newline="") as stream:
        stream.writelines(line + "\n" for line in head)
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["file"], row["problem"])))
    partial.replace(target)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; 1 if any problem disagrees with its known value."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds the instance folders")
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds a problem")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args(arguments)
    head = header(arguments)  # the commit that is run, whatever comes after
    files = instance_files(given.data)
    # The largest files first, so that no process is left alone with one of them at the end.
    files.sort(key=lambda path: -path.stat().st_size)
    rows: list[dict[str, Any]] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=context) as pool:
        runs = [pool.submit(run_file, path, given.time_limit) for path in files]
        for done in as_completed(runs):
            for row in done.result():
                rows.append(row)
                print(
                    f"{row['problem']:26} {row['objective']!s:>22} {row['status']:10} "
                    f"{row['gap']:>9} {row['seconds']:>8} s  {row['agrees']}",
                    flush=True,
                )
            write_table(given.table, rows, head)
    return 1 if any(row["agrees"] == "no" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
