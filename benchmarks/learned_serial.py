"""Learned policies on the ten published serial systems, told nothing of echelon stock.

A network for each system, by `optrl.learning.pathwise` from random weights, the last update's
policy: it sees the state of each stage and messages of its neighbours and asks for orders. Costs
are simulated, demand and orders being continuous: 4096 paths of 1000 periods after 200 of warm-up.
The optimum is that of the recursion of Clark and Scarf, which only judges. Two gaps:

* above the optimum, with the 95 % half-width of the simulated cost;
* above the optimal echelon levels on the same demand, with the 95 % half-width of the mean
  difference, which is far more precise.

    python benchmarks/learned_serial.py [--updates 600] [--paths 256] [--instances 1,2,...]
        [--out docs/results/learned_serial.csv]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch
from learned_policies import summary, trained
from result_table import commit, write_results

from optrl.exact.serial import solve
from optrl.learning.pathwise import PathwiseSettings
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.serial import SerialBed, SerialFamily
from optrl.testbeds.simulated import mean_half_width

SEED, TEST_SEED = 0, 2026
PATHS, WARM_UP, PERIODS, BLOCK = 4096, 200, 1000, 512


def simulated(bed: SerialBed, policies: list[DecidingPolicy]) -> np.ndarray:
    """Cost a period of policies on the same demand, shape (policies, paths)."""
    found = []
    for block in range(PATHS // BLOCK):
        generator = np.random.default_rng([TEST_SEED, block])
        demand = bed.demand.sample(BLOCK, bed.instance.start, WARM_UP + PERIODS, generator)
        runs = [
            simulate(bed.instance, policy, demand, seed=0, warm_up=WARM_UP) for policy in policies
        ]
        found.append([run.period_cost[:, WARM_UP:].double().mean(dim=1).numpy() for run in runs])
    return np.concatenate(found, axis=1)


def row(bed: SerialBed, settings: PathwiseSettings) -> dict[str, str]:
    """Train on a system and judge what was learned."""
    assert bed.problem is not None
    assert bed.optimum is not None
    policy, seconds = trained(bed, settings, SEED)
    # Stocking nodes stand from the supplier down.
    level = np.array(solve(bed.problem).level)[::-1]
    cost, optimal = simulated(bed, [policy, EchelonBaseStock.at_level(bed.instance, level)])
    percent = 100 / bed.optimum
    return {
        "instance": bed.name,
        "optimum": f"{bed.optimum:.6f}",
        "learned_cost": f"{cost.mean():.6f}",
        "gap_pct": f"{percent * (cost.mean() - bed.optimum):.4f}",
        "half_width_pct": f"{percent * mean_half_width(cost):.4f}",
        "paired_gap_pct": f"{percent * (cost - optimal).mean():.4f}",
        "paired_half_width_pct": f"{percent * mean_half_width(cost - optimal):.4f}",
        "cpu_seconds": f"{seconds:.1f}",
    }


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--paths", type=int, default=256)
    parser.add_argument("--instances", default="1,2,3,4,5,6,7,8,9,10")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    code = commit()
    settings = PathwiseSettings(
        updates=arguments.updates,
        paths=arguments.paths,
        periods=30,
        width=32,
        learning_rate=1e-2,
        clip=5.0,
    )
    table = []
    for bed in SerialFamily.cases():
        assert isinstance(bed, SerialBed)
        if bed.name.split("/")[1] in arguments.instances.split(","):
            table.append(row(bed, settings))
            print(table[-1], flush=True)
    told = summary(table, f"{len(table)} systems")
    print("\n".join(told))
    if arguments.out is not None:
        remarks = [
            f"{PATHS} paths of {PERIODS} periods after {WARM_UP}; gaps and 95 % half-widths in % "
            "of the optimum",
            *told,
        ]
        write_results(arguments.out, pl.DataFrame(table), code, remarks)


if __name__ == "__main__":
    main()
