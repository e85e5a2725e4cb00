"""Serial systems over a finite horizon: SDDP's bound against two policies, per period.

    python benchmarks/sddp_serial.py docs/results/sddp_serial.csv

Clark and Scarf's recursion gives the average cost of an endless horizon, which bounds no finite
one. So the certificate is taken over a horizon of its own: 20 periods, from the local base-stock
levels of the optimal policy with mean demand on its way, nothing credited for what is left. No
policy costs less than the bound; the cost of the cuts' own policy (on the grouped demand) and of
the optimal policy of the endless horizon (echelon base stock, true normal demand) lie above it.
The endless horizon's optimum stands beside them.

Demand is grouped into equally likely intervals, each at its conditional mean, so that the bound is
one for the normal demand, too. A run ends when a sweep raises the bound by less than 0.2 %, or at a
limit.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from optrl_formulations.network import FloatArray
from result_table import commit, write_results
from scipy import stats

from optrl.decomposition.sddp import (
    DemandOutcomes,
    ImportanceSampling,
    Sddp,
    SddpSettings,
    Stopping,
    replenishment_graph,
    train,
)
from optrl.exact.serial import SerialSystem, solve
from optrl.instance import Instance
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.simulation.rollout import simulate
from optrl.testbeds.serial import SerialBed, SerialFamily
from optrl.testbeds.simulated import mean_half_width

PERIODS, OUTCOMES, PATHS, SCENARIOS = 20, 12, 150, 20_000
STALL, STALL_AFTER, MOST_ITERATIONS = 0.002, 25, 202


def begun(bed: SerialBed, level: FloatArray) -> Instance:
    """The instance from its local base-stock levels, with mean demand in each slot on its way."""
    problem = bed.problem
    assert problem is not None
    instance = bed.instance
    place = {node: k for k, node in enumerate(instance.network.nodes)}
    count = len(level)
    local = np.diff(level, prepend=0.0)
    slots = [max(problem.lead_time[j] - (j == 0) - 1, 0) for j in range(count)]
    on_hand = np.zeros_like(instance.on_hand)
    due = np.zeros((*on_hand.shape, max(slots)))
    for j in range(count):
        node = place[f"stage{j + 1}"]
        due[0, node, : slots[j]] = problem.demand_mean
        # The last period's demand has left the customer's stage and is not yet replaced.
        gone = problem.demand_mean * (slots[j] + (j == 0))
        on_hand[0, node] = max(local[j] - gone, 0.0)
    return replace(instance, on_hand=on_hand, due=due)


def grouped_normal(problem: SerialSystem) -> DemandOutcomes:
    """Equally likely intervals of normal demand, each at its conditional mean."""
    edges = stats.norm.ppf(np.linspace(0, 1, OUTCOMES + 1))
    mean = OUTCOMES * -np.diff(stats.norm.pdf(edges))
    demand = problem.demand_mean + problem.demand_sd * mean
    return DemandOutcomes(np.full(OUTCOMES, 1 / OUTCOMES), demand[:, None])


def measure(bed: SerialBed, seconds: float) -> dict[str, str | float | int]:
    """One row of the table."""
    problem = bed.problem
    assert problem is not None
    level = np.array(solve(problem).level)
    instance = begun(bed, level)
    began = time.process_time()
    graph = replenishment_graph(instance, [grouped_normal(problem)] * PERIODS)
    sddp = Sddp(graph, SddpSettings(sweep_growth=1.5), forward=ImportanceSampling(0.4), seed=1)
    stopping = Stopping(
        stall=STALL, stall_after=STALL_AFTER, iterations=MOST_ITERATIONS, seconds=seconds
    )
    result = train(sddp, stopping)
    spent = time.process_time() - began
    own = sddp.simulate(PATHS, seed=3)
    policy = EchelonBaseStock.at_level(instance, level[::-1])
    generator = np.random.default_rng(7)
    demand = bed.demand.sample(SCENARIOS, instance.start, PERIODS, generator)
    run = simulate(instance, policy, demand, seed=7, dtype=torch.float64)
    cost = run.period_cost.sum(dim=1).numpy()
    return {
        "instance": bed.name,
        "stages": len(level),
        "state_entries": len(graph.initial_state),
        "bound": round(sddp.bound / PERIODS, 4),
        "own_policy": round(own.mean / PERIODS, 4),
        "own_half_width": round(own.half_width / PERIODS, 4),
        "echelon_base_stock": round(float(cost.mean()) / PERIODS, 4),
        "echelon_half_width": round(mean_half_width(cost) / PERIODS, 4),
        "gap_percent": round(100 * (min(own.mean, float(cost.mean())) / sddp.bound - 1), 3),
        "endless_optimum": round(float(bed.solved().optimum or np.nan), 4),
        "stopped": result.stopped,
        "iterations": sddp.iteration,
        "cpu_seconds": round(spent, 1),
    }


def main() -> None:
    """Measure the instances and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0, help="wall time an instance")
    args = parser.parse_args()
    code = commit()
    rows = []
    for bed in SerialFamily.cases():
        assert isinstance(bed, SerialBed)
        rows.append(measure(bed, args.seconds))
        print(rows[-1], flush=True)
        remarks = [
            f"cost a period over {PERIODS} periods; half widths of 95 % intervals; CPU seconds",
            "gap: lower of the two policies' means over the bound; own policy on grouped demand",
        ]
        write_results(args.table, pl.DataFrame(rows), code, remarks)


if __name__ == "__main__":
    main()
