"""Policies on the kept weeks of examples/iowa, with the perfect-information bound.

    python benchmarks/iowa_replay.py [INSTANCE] [TABLE]

Demand is fitted on the weeks before the start; every policy then meets the same real demand and
the same random arrivals of suppliers' orders. Writes the table with the command and commit that
made it.
"""

import subprocess
import sys
from pathlib import Path

import polars as pl
import torch

from optrl.demand.fit import fit
from optrl.evaluation.judge import judge, kept_demand
from optrl.policies import names
from optrl.tables import load, write_file

SEED = 0
# A tree of eight leaves over the whole way through the network takes minutes a decision here.
LEFT_OUT = ("multi_stage",)


def main() -> None:
    """Judge and write."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples/iowa/instance")
    table = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/results/iowa_replay.csv")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    instance = load(folder)
    result = judge(
        instance,
        [name for name in names() if name not in LEFT_OUT],
        kept_demand(instance),
        fit(instance),
        seed=SEED,
        told=lambda line: print(line, flush=True),
    )
    rounded = result.with_columns(pl.col(pl.Float64).round_sig_figs(7))
    header = (
        f"# command: python benchmarks/iowa_replay.py {folder} {table}\n"
        f"# commit: {commit}; {instance.horizon} kept weeks, one scenario, seed {SEED}; "
        f"money in {instance.money}; left out as too slow: {', '.join(LEFT_OUT)}\n"
    )
    table.parent.mkdir(parents=True, exist_ok=True)
    with write_file(table) as path:
        path.write_text(header + rounded.write_csv(), encoding="utf-8")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200):
        print(rounded.select("policy", "cost", "above_bound_percent", "fill_rate", "turns"))


if __name__ == "__main__":
    main()
