"""A training killed ten times at random moments: does it end the same, and what did it cost?

Trains once without a kill and once killed by SIGKILL again and again and resumed each time, both
through the command line, as a user or a scheduler would. Compares the policies byte by byte and
the metrics line by line. Goodput is the time of the updates and validations that count over all
time: once as the training itself states it, which counts from when it is called, and once by the
clock from outside, with start-up of the processes, where the run without kills is the useful part.

Usage: python benchmarks/kill_training.py [--subject NAME] [--learner NAME] [--kills N]
    [--set NAME=VALUE ...] [--folder DIR] [--out FILE]
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

from optrl.learning.folder import JOB
from optrl.learning.metrics import TIMES, read_metrics

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SETTINGS = ("updates=240", "checkpoint_every=10", "validate_every=100")


def main() -> None:
    """Train, kill, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", default="lost-sales/poisson-p4-L4")
    parser.add_argument("--learner", default="pathwise")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", nargs="+", default=SETTINGS, help="settings of the learner")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/kill_training")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/kill_training.csv")
    options = parser.parse_args()
    code = commit()
    shutil.rmtree(options.folder, ignore_errors=True)
    command = [
        *(sys.executable, "-c", "from optrl.cli import main; main()", "train", options.subject),
        *("--learner", options.learner, "--json", "--resume"),
        *(part for text in options.set for part in ("--set", text)),
    ]
    whole, killed = options.folder / "whole", options.folder / "killed"
    seconds, result = run([*command, "--out", str(whole)])
    print(f"not killed: {seconds:.1f} s, goodput {result['goodput']:.1%}", flush=True)
    length = read_metrics(whole)[-1]["seconds"]
    rows = kill_repeatedly(command, killed, length, options.kills, options.seed)
    last, final = run([*command, "--out", str(killed)])
    total = last + sum(row["seconds_of_process"] for row in rows)
    same = contents(whole / "policy") == contents(killed / "policy")
    same_metrics = metrics(whole) == metrics(killed)
    remarks = [
        f"{options.learner} on {options.subject}, {', '.join(options.set)}",
        f"policy after {len(rows)} kills the same to the byte: {'yes' if same else 'NO'}; metrics "
        f"the same but for times: {'yes' if same_metrics else 'NO'}",
        f"goodput of {len(rows)} kills {final['goodput']:.1%} as the training states it, "
        f"{seconds / total:.1%} by the clock from outside ({total:.0f} s, not killed "
        f"{seconds:.0f} s); goodput without kills {result['goodput']:.1%}",
        f"load of the machine {os.getloadavg()[2]:.1f} on {os.cpu_count()} cores",
    ]
    print("\n".join(remarks))
    write_results(options.out, pl.DataFrame(rows), code, remarks)
    if not (same and same_metrics):
        raise SystemExit("the killed training ended otherwise")


def run(command: list[str]) -> tuple[float, Any]:
    """Seconds of a process that ends by itself, and what it printed."""
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, check=True)
    return time.monotonic() - begun, json.loads(done.stdout)


def run_and_kill(command: list[str], folder: Path, moment: float) -> float:
    """Seconds of a process that is killed so many seconds after it went on training."""
    begun, first = time.monotonic(), not (folder / JOB).exists()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stderr is not None
    if first:
        while not (folder / JOB).exists() and process.poll() is None:
            time.sleep(0.01)
    else:
        while "resumed at" not in process.stderr.readline() and process.poll() is None:
            pass
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return time.monotonic() - begun
    raise SystemExit(f"the training ended by itself with {process.returncode}")


def kill_repeatedly(
    command: list[str], folder: Path, seconds: float, kills: int, seed: int
) -> list[dict[str, Any]]:
    """Kill a training at random moments that spread over its seconds; a row for each kill."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for kill in range(1, kills + 1):
        moment = float(generator.uniform(0, 1.5 * seconds / (kills + 1)))
        lasted = run_and_kill([*command, "--out", str(folder)], folder, moment)
        reached = [line["update"] for line in read_metrics(folder)]
        names = sorted(path.name for path in folder.glob("checkpoint-*"))
        row = {
            "kill": kill,
            "seconds_of_process": round(lasted, 2),
            "seconds_of_training": round(moment, 2),
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
