"""Learned policies on the six published dual-sourcing instances, and the pretrained one beyond.

All costs are exact: orders are whole units, and the cost of a policy is that of its Markov chain
(`optrl.testbeds.exact_rule`), the optimum that of the dynamic program, which only judges.

* specialists: a network for each instance, by `optrl.learning.pathwise` with orders in whole lots
  (``lots=true``), from random weights, the last update's policy;
* generalist: the shipped network for all (``policy="pretrained"``), as it is, without seconds;
* off the table: the shipped network on random systems that are none of the six: regular lead time
  1 to 5, largest demand 2 to 8, backorder cost 20 to 120 and premium 0.6 to 4 times the holding
  cost. They are drawn from one seed and their names say what was drawn.

Peers, in the same table: the best capped dual-index policy of each instance, by search with exact
costs, and the published A3C policies.

    python benchmarks/learned_dual_sourcing.py [--parts specialists,generalist,off-table]
        [--updates 1000] [--paths 1024] [--out docs/results/learned_dual_sourcing.csv]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from learned_policies import exact_gap, summary, trained
from result_table import commit, write_results

from optrl.learning.pathwise import PathwiseSettings
from optrl.policies import find
from optrl.testbeds.base import TestBed
from optrl.testbeds.dual_sourcing import DualSourcingFamily

SEED = 0
COLUMNS = (
    *("instance", "optimum", "specialist_gap_pct", "specialist_half_width_pct"),
    *("specialist_cpu_seconds", "generalist_gap_pct", "generalist_half_width_pct"),
    *("capped_dual_index_gap_pct", "a3c_gap_pct"),
)


def off_table(count: int = 20, seed: int = 2026) -> Iterator[TestBed]:
    """Random systems with their optimum; holding cost 5."""
    generator = np.random.default_rng(seed)
    for k in range(count):
        ratio, premium = np.exp(generator.uniform(np.log([20.0, 0.6]), np.log([120.0, 4.0])))
        lead = 1 + k % 5
        # Long lead times with large demand are beyond the dynamic program that judges.
        largest = int(generator.integers(2, (8, 8, 8, 6, 3)[lead - 1], endpoint=True))
        yield DualSourcingFamily.case(
            lead,
            round(100 + 5 * float(premium), 1),
            backorder_cost=round(5 * float(ratio)),
            largest_demand=largest,
        ).solved()


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", default="specialists,generalist,off-table")
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=1024)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    code, parts = commit(), arguments.parts.split(",")
    settings = PathwiseSettings(
        updates=arguments.updates,
        paths=arguments.paths,
        lots=True,
        width=32,
        periods=12,
        restart=1000,
        learning_rate=1e-2,
        clip=5.0,
    )
    published = list(DualSourcingFamily.cases())
    table: list[dict[str, str]] = []
    for bed in [*published, *(off_table() if "off-table" in parts else ())]:
        row = {"instance": bed.name, "optimum": f"{bed.optimum:.6f}"}
        if bed.published:
            for peer in ("capped_dual_index", "a3c"):
                above = bed.gap(bed.published[peer])
                row[f"{peer}_gap_pct"] = f"{above:.3f}"
            if "specialists" in parts:
                policy, seconds = trained(bed, settings, SEED)
                row |= exact_gap(bed, policy).cells("specialist")
                row["specialist_cpu_seconds"] = f"{seconds:.1f}"
        if not bed.published or "generalist" in parts:
            pretrained = find("pretrained").fit(bed.instance, bed.demand)
            row |= exact_gap(bed, pretrained).cells("generalist")
        table.append(row)
        print(row, flush=True)
    count = len(published)
    told = summary(table[:count], "six instances") + summary(table[count:], "off the table")
    print("\n".join(told))
    if arguments.out is not None:
        columns = {name: [row.get(name) for row in table] for name in COLUMNS}
        remarks = ["all costs exact, orders in whole units; gaps in % of the optimum", *told]
        write_results(arguments.out, pl.DataFrame(columns), code, remarks)


if __name__ == "__main__":
    main()
