"""A training killed ten times at random moments: does it end the same, and what did it cost?

Trains once without a kill and once killed by SIGKILL again and again and resumed each time, both
through the command line, as a user or a scheduler would. Compares the policies byte by byte and
the metrics line by line. Goodput is the time of the updates and validations that count over all
time: once as the training itself states it, which counts from when it is called, and once by the
clock from outside, with start-up of the processes, where the run without kills is the useful part.

Usage: python benchmarks/kill_training.py [--subject NAME] [--learner NAME] [--kills N]
    [--set NAME=VALUE...] [--folder DIR] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from result_table import ROOT, commit, write_results

from optrl.learning.metrics import TIMES, read_metrics

SETTINGS = ("updates=400", "checkpoint_every=10", "validate_every=100")


def main() -> None:
    """Train, kill, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", default="lost-sales/poisson-p4-L4")
    parser.add_argument("--learner", default="pathwise")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", action="append", default=[], help="a setting of the learner")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/kill_training")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/kill_training.csv")
    options = parser.parse_args()
    code = commit()
    shutil.rmtree(options.folder, ignore_errors=True)
    command = [
        *(sys.executable, "-c", "from optrl.cli import main; main()", "train", options.subject),
        *("--learner", options.learner, "--json", "--resume"),
        *(part for text in (*SETTINGS, *options.set) for part in ("--set", text)),
    ]
    whole, killed = options.folder / "whole", options.folder / "killed"
    seconds, result = run([*command, "--out", str(whole)])
    assert result is not None
    print(f"not killed: {seconds:.1f} s, goodput {result['goodput']:.1%}", flush=True)
    rows = kill_repeatedly(command, killed, seconds, options.kills, options.seed)
    last, final = run([*command, "--out", str(killed)])
    assert final is not None
    total = last + sum(row["seconds"] for row in rows)
    same = contents(whole / "policy") == contents(killed / "policy")
    same_metrics = metrics(whole) == metrics(killed)
    remarks = [
        f"{options.learner} on {options.subject}, {', '.join((*SETTINGS, *options.set))}",
        f"policy after {len(rows)} kills the same to the byte: {'yes' if same else 'NO'}; metrics "
        f"the same but for times: {'yes' if same_metrics else 'NO'}",
        f"goodput of {len(rows)} kills {final['goodput']:.1%} as the training states it, "
        f"{seconds / total:.1%} by the clock from outside ({total:.0f} s, not killed "
        f"{seconds:.0f} s); goodput without kills {result['goodput']:.1%}",
    ]
    print("\n".join(remarks))
    table = pl.DataFrame(rows).with_columns(pl.col("seconds").round(2))
    write_results(options.out, table, code, remarks)
    if not (same and same_metrics):
        raise SystemExit("the killed training ended otherwise")


def run(command: list[str], kill_after: float | None = None) -> tuple[float, Any]:
    """Seconds of a process and what it printed; None if it was killed."""
    begun = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        printed, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return time.monotonic() - begun, None
    if process.returncode:
        raise SystemExit(f"training ended with {process.returncode}")
    return time.monotonic() - begun, json.loads(printed)


def kill_repeatedly(
    command: list[str], folder: Path, seconds: float, kills: int, seed: int
) -> list[dict[str, Any]]:
    """Kill a training at moments that spread over its length; a row for each kill."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    while len(rows) < kills:
        moment = float(generator.uniform(0.02, 2 * seconds / (kills + 1)))
        lasted, printed = run([*command, "--out", str(folder)], kill_after=moment)
        if printed is not None:
            raise SystemExit(f"the training ended after {len(rows)} kills: give it more updates")
        reached = [line["update"] for line in read_metrics(folder)]
        names = sorted(path.name for path in folder.glob("checkpoint-*"))
        row = {
            "kill": len(rows) + 1,
            "seconds": lasted,
            "update": reached[-1] if reached else 0,
            "checkpoint": int(names[-1].split("-")[1].split(".")[0]) if names else None,
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Lines without times."""
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read_metrics(folder)]


if __name__ == "__main__":
    main()
