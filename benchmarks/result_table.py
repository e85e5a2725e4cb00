"""Tables of measured results: written whole or not at all, with the command and commit above."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from optrl.tables.atomic import write_file

ROOT = Path(__file__).resolve().parents[1]


def write_results(path: Path, table: pl.DataFrame, code: str, remarks: Sequence[str]) -> None:
    """Write a table as CSV with comment lines above: command, commit, and `remarks`.

    The command is the program's own with its arguments, paths as they were given; `code` is what
    `commit` said when the program began.
    """
    program = Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix()
    command = shlex.join(["python", program, *sys.argv[1:]])
    head = [f"command: {command}", f"commit: {code}", *remarks]
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_file(path) as temporary:
        text = "".join(f"# {line}\n" for line in head) + table.write_csv()
        temporary.write_text(text, encoding="utf-8")


def commit() -> str:
    """The commit of the code that runs, and whether it differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "optrl", "formulations", "benchmarks")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")
