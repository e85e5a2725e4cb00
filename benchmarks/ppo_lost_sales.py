"""PPO on one of Zipkin's lost-sales instances: learning curves, and gaps to the optimum.

Poisson demand of mean 5, lead time 4, shortage cost 4. Gijsbrechts et al. (2022) report 3-7 % for
A3C on these instances. Each training is that of

    optrl train lost-sales/poisson-p4-L4 --learner ppo --updates 489 --seed SEED

and its policy, the one validated best, is then judged on a long run of other demand. Writes the
learning curves with the exact optimum beside them, and above them the mean gap over seeds with its
t interval. The few paths of a validation cost more or less than paths do in the mean: what the best
capped base-stock policy costs on them is written too, beside what it costs exactly.

Usage: python benchmarks/ppo_lost_sales.py [--updates N] [--seeds N...] [--folder DIR] [--out FILE]

A run that is stopped goes on from its last checkpoints when it is started again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
import torch
from result_table import ROOT, commit, write_results
from scipy import stats

from optrl.exact.lost_sales_policies import best_capped_base_stock
from optrl.learning.ppo import PPOSettings
from optrl.learning.training import subject_of, train
from optrl.learning.validation import Validation
from optrl.policies.capped_base_stock import CappedBaseStock
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.lost_sales import LostSalesBed, LostSalesFamily

# Paths and periods that judge, of which the first do not count.
RUNS, PERIODS, WARM_UP = 1000, 600, 100


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=489)
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
        curve = trained(bed, seed, options.updates, options.folder / f"seed-{seed}")
        curves.append(curve)
        gaps.append(100 * (curve["judged_cost"][-1] / bed.optimum - 1))
        print(f"seed {seed}: {gaps[-1]:.2f} % above the optimum", flush=True)
    on_paths, exact = reference(bed)
    table = pl.concat(curves).with_columns(
        optimum=pl.lit(bed.optimum), capped_validation=pl.lit(on_paths), capped_exact=pl.lit(exact)
    )
    remarks = [f"{bed.name}; judged on {RUNS:,} paths of {PERIODS - WARM_UP} periods", spread(gaps)]
    print("; ".join(remarks))
    write_results(options.out, table.with_columns(pl.col(pl.Float64).round(4)), code, remarks)


def trained(bed: LostSalesBed, seed: int, updates: int, folder: Path) -> pl.DataFrame:
    """Learning curve of one training: a line per validation, the last with the policy's cost."""
    done = train(bed, "ppo", folder, settings=PPOSettings(updates=updates), seed=seed, resume=True)
    assert done.policy is not None
    cost, half = judged(bed, done.policy, seed)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = pl.DataFrame(
        [
            {"seed": seed}
            | {key: line[key] for key in ("steps", "training_cost", "validation_cost")}
            for line in lines
            if "validation_cost" in line
        ]
    )
    last = pl.int_range(pl.len()) == pl.len() - 1
    return curve.with_columns(
        pl.col("steps").cast(pl.Int64),
        judged_cost=pl.when(last).then(pl.lit(cost)),
        half_width=pl.when(last).then(pl.lit(half)),
    )


def reference(bed: LostSalesBed) -> tuple[float, float]:
    """Cost of the best capped base-stock policy on the paths of validations, and exactly."""
    assert bed.problem is not None
    best = best_capped_base_stock(bed.problem)
    policy = CappedBaseStock.at_level(bed.instance, *best.parameters)
    settings = PPOSettings()
    paths = Validation(subject_of(bed), settings.validation_scenarios, settings.validation_periods)
    return paths.cost(policy), best.cost.cost


def judged(bed: LostSalesBed, policy: DecidingPolicy, seed: int) -> tuple[float, float]:
    """Average cost a period on demand of its own, and half of its 95 % interval."""
    demand = bed.demand.sample(RUNS, 0, PERIODS, np.random.default_rng(2**20 + seed))
    run = simulate(bed.instance, policy, demand, seed=0, warm_up=WARM_UP)
    each = run.period_cost[:, WARM_UP:].mean(dim=1)
    return float(each.mean()), 1.96 * float(each.std()) / len(each) ** 0.5


def spread(gaps: list[float]) -> str:
    """Mean, interval and range of gaps in words."""
    text = f"gap of {len(gaps)} seeds {np.mean(gaps):.2f} %"
    if len(gaps) > 1:
        error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
        text += f" +- {stats.t.ppf(0.975, len(gaps) - 1) * error:.2f} (95 % t interval over seeds)"
    return f"{text}, from {min(gaps):.2f} to {max(gaps):.2f}"


if __name__ == "__main__":
    main()
