"""Lower bounds by SDDP on lost sales over 20 periods against the dynamic program, on one core.

    python benchmarks/sddp_lost_sales.py docs/results/sddp_lost_sales.csv --case poisson,4,1 ...

Each instance starts from mean demand on hand and in every slot of the pipeline; costs are not
discounted. Demand is grouped by conditional means, so that the bound is one for the true demand.
A run ends when the bound is within the target of the optimum (0.5 % for lead times 1 and 2, 1.5 %
for 3 and 4) or when the CPU seconds are spent.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from result_table import commit, write_results

from optrl.decomposition.sddp import Sddp, SddpSettings, group_by_means, replenishment_graph
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.testbeds.lost_sales import LostSalesFamily

PERIODS, MEAN = 20, 5
FAMILIES = ("poisson", "geometric")


@dataclass(frozen=True)
class Case:
    """One of the 32 instances."""

    family: str
    shortage_cost: float
    lead_time: int

    @property
    def target(self) -> float:
        """Gap to reach."""
        return 0.005 if self.lead_time <= 2 else 0.015


def measure(
    case: Case, seconds: float, outcomes: int, growth: float
) -> dict[str, str | float | int]:
    """One row of the table."""
    bed = LostSalesFamily.case(case.family, case.shortage_cost, case.lead_time)
    assert bed.problem is not None
    began = time.process_time()
    optimum = solve_horizon(bed.problem, PERIODS).cost(np.full(case.lead_time, MEAN))
    exact = time.process_time() - began
    on_hand = np.zeros_like(bed.instance.on_hand)
    on_hand[0, 1] = MEAN
    due = np.zeros((*on_hand.shape, case.lead_time - 1))
    due[0, 1] = MEAN
    instance = replace(bed.instance, on_hand=on_hand, due=due)

    began = time.process_time()
    grouped = group_by_means(bed.problem.demand.probability, outcomes)
    graph = replenishment_graph(instance, [grouped] * PERIODS)
    sddp = Sddp(graph, SddpSettings(sweep_growth=growth), seed=1)
    spent = 0.0
    while spent < seconds and sddp.bound < optimum * (1 - case.target):
        sddp.iterate()
        spent = time.process_time() - began
    if sddp.bound > optimum * (1 + 1e-6):
        raise SystemExit(f"{case}: the bound {sddp.bound} is above the optimum {optimum}")
    gap = 1 - sddp.bound / optimum
    return {
        "demand": case.family,
        "shortage_cost": case.shortage_cost,
        "lead_time": case.lead_time,
        "optimum": round(optimum, 5),
        "bound": round(sddp.bound, 5),
        "gap_percent": round(100 * gap, 3),
        "target_percent": 100 * case.target,
        "met": "yes" if gap <= case.target else "no",
        "cpu_seconds": round(spent, 1),
        "iterations": sddp.iteration,
        "programs_solved": sddp.solves,
        "outcomes": len(grouped.probability),
        "dynamic_program_seconds": round(exact, 2),
    }


def main() -> None:
    """Measure the cases asked for and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--case", nargs="*", help="family,shortage cost,lead time; all 32 if none")
    parser.add_argument("--seconds", type=float, default=300.0, help="CPU seconds an instance")
    parser.add_argument("--outcomes", type=int, default=24)
    parser.add_argument("--growth", type=float, default=1.5, help="of iterations between sweeps")
    args = parser.parse_args()
    asked = args.case or [
        f"{f},{p},{lead}" for f in FAMILIES for p in (4, 9, 19, 39) for lead in (1, 2, 3, 4)
    ]
    code = commit()
    rows = []
    for text in asked:
        family, shortage_cost, lead_time = text.split(",")
        case = Case(family, float(shortage_cost), int(lead_time))
        rows.append(measure(case, args.seconds, args.outcomes, args.growth))
        print(rows[-1], flush=True)
        write_results(args.table, pl.DataFrame(rows), code, ["CPU seconds of one thread"])


if __name__ == "__main__":
    main()
