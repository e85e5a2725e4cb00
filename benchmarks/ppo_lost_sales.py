"""PPO on one of Zipkin's lost-sales instances: learning curves, and gaps to the optimum.

Poisson demand of mean 5, lead time 4, shortage cost 4. Gijsbrechts et al. (2022) report 3-7 % for
A3C on these instances. For each seed a policy is trained on episodes of 100 periods. After every
chunk of training the one validated best so far is judged, rounded to whole orders, on one long run
of other demand that all seeds and chunks share; the last one on a longer run of its own. Writes
the learning curves with the exact optimum beside them, and above them the mean gap over seeds with
its t interval.

Usage: python benchmarks/ppo_lost_sales.py [--steps N] [--seeds N...] [--folder DIR] [--out FILE]

A run that is stopped goes on from its last checkpoints when it is started again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from result_table import ROOT, commit, write_results
from scipy import stats

from optrl.env.encoding import EncodingSettings
from optrl.learning.folder import load_policy
from optrl.learning.loop import Progress
from optrl.learning.ppo import PPOSettings
from optrl.learning.training import train
from optrl.simulation.rollout import simulate
from optrl.testbeds.lost_sales import LostSalesBed, LostSalesFamily

ENCODING = EncodingSettings(largest=2.0, whole=True, forecast=0)
SETTINGS = PPOSettings(episode=100, encoding=ENCODING)
STEPS = SETTINGS.environments * SETTINGS.rollout
# Periods before those that count, of every run that judges.
WARM_UP = 100


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=ROOT / "build/ppo_lost_sales")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/ppo_lost_sales.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    code = commit()
    bed = LostSalesFamily.case("poisson", 4.0, 4).solved()
    assert bed.optimum is not None
    curves, gaps = [], []
    for seed in options.seeds:
        curve = trained(bed, seed, options.steps, options.folder / f"seed-{seed}")
        curves.append(curve)
        gaps.append(bed.gap(curve["judged_cost"][-1]))
        print(f"seed {seed}: gap {gaps[-1]:.2f} %", flush=True)
    table = pl.concat(curves).with_columns(optimum=pl.lit(bed.optimum))
    seconds = [curve["training_seconds"].sum() for curve in curves]
    mean, half = float(np.mean(gaps)), float("nan")
    if len(gaps) > 1:
        spread = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
        half = float(stats.t.ppf(0.975, len(gaps) - 1) * spread)
    remarks = [
        f"{bed.name}; mean gap of {len(gaps)} seeds {mean:.2f} % +- {half:.2f} (95 % t interval "
        f"over seeds), from {min(gaps):.2f} to {max(gaps):.2f}",
        f"{np.mean(seconds):.0f} CPU seconds of training a seed, one thread",
    ]
    print("\n".join(remarks))
    rounded = table.with_columns(pl.col(pl.Float64).round(4))
    write_results(options.out, rounded, code, remarks)


def trained(bed: LostSalesBed, seed: int, steps: int, folder: Path) -> pl.DataFrame:
    """Learning curve of one training: a line per chunk, kept beside the checkpoints."""
    log = folder / "judged.jsonl"
    begun = time.process_time()
    settings = replace(SETTINGS, updates=math.ceil(steps / STEPS))

    def told(progress: Progress) -> None:
        nonlocal begun
        last = progress.update == settings.updates
        if progress.message or (progress.update % settings.checkpoint_every and not last):
            return
        seconds = time.process_time() - begun
        cost, half = judged(bed, folder, seed if last else None)
        kept = {
            "seed": seed,
            "steps": progress.update * STEPS,
            "training_cost": progress.metrics["training_cost"],
            "judged_cost": cost,
            "half_width": half,
            "training_seconds": seconds,
        }
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
        print({k: round(v, 3) for k, v in kept.items()}, flush=True)
        begun = time.process_time()

    train(bed, "ppo", folder, settings=settings, seed=seed, resume=True, told=told)
    return pl.read_ndjson(log)


def judged(bed: LostSalesBed, folder: Path, seed: int | None) -> tuple[float, float]:
    """Average cost a period of the folder's policy and half of its 95 % interval.

    On 200 runs that all share, or, given a seed, on 1,000 longer ones of that seed.
    """
    policy = load_policy(folder, bed.instance, bed.demand)
    runs, periods = (200, 300) if seed is None else (1000, 600)
    generator = np.random.default_rng(2**20 + (2**10 if seed is None else seed))
    demand = bed.demand.sample(runs, 0, periods, generator)
    run = simulate(bed.instance, policy, demand, seed=0, warm_up=WARM_UP)
    each = run.period_cost[:, WARM_UP:].mean(dim=1)
    return float(each.mean()), 1.96 * float(each.std()) / len(each) ** 0.5


if __name__ == "__main__":
    main()
