"""PPO on one of Zipkin's lost-sales instances: its learning curve, and its gap to the optimum.

Poisson demand of mean 5, lead time 4, shortage cost 4. Gijsbrechts et al. (2022) report 3-7 % for
A3C on these instances. The policy is trained on episodes of 100 periods and judged on a long run
of other demand, rounded to whole orders. Writes the learning curve, with the exact optimum beside
it.

Usage: python benchmarks/ppo_lost_sales.py [--steps N] [--seed N] [--folder DIR] [--out FILE]

A run that is stopped goes on from its last checkpoint when it is started again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from optrl.env.encoding import EncodingSettings
from optrl.learning.ppo import PPOPolicy, PPOSettings, train_ppo
from optrl.simulation.rollout import simulate
from optrl.testbeds.lost_sales import LostSalesFamily

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = PPOSettings(truncates=True)
ENCODING = EncodingSettings(largest=2.0, whole=True, forecast=0, clock=False)


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/ppo_lost_sales")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/ppo_lost_sales.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bed = LostSalesFamily.case("poisson", 4.0, 4).solved()
    assert bed.optimum is not None
    training = replace(bed.instance, horizon=100)
    begun = time.process_time()
    train_ppo(
        training,
        bed.demand,
        options.folder,
        steps=options.steps,
        seed=options.seed,
        resume=True,
        settings=SETTINGS,
        encoding=ENCODING,
        told=lambda line: print({k: round(v, 3) for k, v in line.items()}, flush=True),
    )
    seconds = time.process_time() - begun
    policy = PPOPolicy.load(options.folder, training, bed.demand)
    demand = bed.demand.sample(1000, 0, 600, np.random.default_rng(2**20 + options.seed))
    run = simulate(bed.instance, policy, demand, seed=0, warm_up=100)
    each = run.period_cost[:, 100:].mean(dim=1)
    cost = float(each.mean())
    half = 1.96 * float(each.std()) / len(each) ** 0.5
    print(
        f"{bed.name}: cost {cost:.4f} +- {half:.4f}, optimum {bed.optimum:.4f}, "
        f"gap {100 * (cost / bed.optimum - 1):.2f} %, {seconds:.0f} CPU seconds of training"
    )
    curve = json.loads((options.folder / "training.json").read_text())["curve"]
    table = pl.DataFrame(curve).select("steps", pl.col("cost").alias("training_cost"))
    final = pl.DataFrame(
        {"steps": [curve[-1]["steps"]], "judged_cost": [cost], "half_width": [half]}
    )
    table = table.join(final, on="steps", how="left").with_columns(optimum=pl.lit(bed.optimum))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(options.out, float_precision=4)


if __name__ == "__main__":
    main()
