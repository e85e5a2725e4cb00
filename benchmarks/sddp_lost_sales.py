"""Lower bounds by SDDP on lost sales over 20 periods against the dynamic program, on one core.

    python benchmarks/sddp_lost_sales.py docs/results/sddp_lost_sales.csv --case poisson,4,1 ...

Each instance starts from mean demand on hand and in every slot of the pipeline; costs are not
discounted. Demand is grouped by conditional means, so that the bound is one for the true demand.
The target is 0.5 % for lead times 1 and 2, 1.5 % for 3 and 4. A run does not know the optimum: it
ends when a sweep, after 25 iterations for each period of lead time, raises the bound by less than
0.35 of the target over the sweep before, or at a limit on iterations or seconds. Forward passes
draw rare demand more often.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from result_table import commit, write_results

from optrl.decomposition.sddp import (
    ImportanceSampling,
    Sddp,
    SddpSettings,
    Stopping,
    group_by_means,
    replenishment_graph,
    train,
)
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.testbeds.lost_sales import LostSalesFamily

PERIODS, MEAN = 20, 5
STALL, STALL_AFTER, MOST_ITERATIONS = 0.35, 25, 303
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


def measure(case: Case, seconds: float, outcomes: int) -> dict[str, str | float | int]:
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
    sddp = Sddp(graph, SddpSettings(sweep_growth=1.5), forward=ImportanceSampling(0.4), seed=1)
    stopping = Stopping(
        stall=case.target * STALL,
        stall_after=STALL_AFTER * case.lead_time,
        iterations=MOST_ITERATIONS,
        seconds=seconds,
    )
    result = train(sddp, stopping)
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
        "met": "yes" if gap <= case.target and spent <= 300 else "no",
        "stopped": result.stopped,
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
    parser.add_argument(
        "--seconds", type=float, default=900.0, help="of wall time an instance, at most"
    )
    parser.add_argument("--outcomes", type=int, default=24)
    args = parser.parse_args()
    asked = args.case or [
        f"{f},{p},{lead}" for lead in (1, 2, 3, 4) for f in FAMILIES for p in (4, 9, 19, 39)
    ]
    code = commit()
    rows = []
    for text in asked:
        family, shortage_cost, lead_time = text.split(",")
        case = Case(family, float(shortage_cost), int(lead_time))
        rows.append(measure(case, args.seconds, args.outcomes))
        print(rows[-1], flush=True)
        write_results(args.table, pl.DataFrame(rows), code, ["CPU seconds of one thread"])


if __name__ == "__main__":
    main()
