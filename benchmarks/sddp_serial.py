"""Lower bounds by SDDP on serial systems over 20 periods against the exact optimum, per period.

    python benchmarks/sddp_serial.py docs/results/sddp_serial.csv

Instance, start and horizon are one and the same for bound and optimum: 20 periods, from the local
base-stock levels of the endless horizon's optimal policy with mean demand on its way, nothing
credited for what is left. The optimum under normal demand lies between those of two demands on a
grid of 1/50 standard deviation, solved by Clark and Scarf's decomposition. The gap is the bound's
distance from the upper one; a bound above the lower one ends the run with an error.

Demand is grouped by conditional means, so that the bound is one for the normal demand. A run does
not know the optimum: it ends when a sweep raises the bound by less than 0.2 %, or at a limit.
Beside them stand two policies simulated on normal demand over the same periods, echelon base stock
at the optimal levels of each period and at those of the endless horizon, and that horizon's
optimum.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from optrl_formulations.network import FloatArray
from result_table import commit, write_results

from optrl.bounds.known_bounds import sddp_bound
from optrl.decomposition.sddp import (
    DemandOutcomes,
    ImportanceSampling,
    Sddp,
    SddpSettings,
    Stopping,
    group_by_means,
    replenishment_graph,
    train,
)
from optrl.exact.normal_grid import normal_below_grid, normal_on_grid
from optrl.exact.serial import SerialSystem, solve
from optrl.exact.serial_horizon import solve_horizon
from optrl.exact.serial_instance import chain_of
from optrl.instance import Instance
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rollout import simulate
from optrl.testbeds.serial import SerialBed, SerialFamily
from optrl.testbeds.simulated import mean_half_width

PERIODS, OUTCOMES, SCENARIOS = 20, 24, 20_000
POINTS = 50
"""Of the grid, a standard deviation."""
STALL, STALL_AFTER, MOST_ITERATIONS = 0.002, 25, 303
TARGET, CPU_LIMIT = 0.01, 300.0


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
    return replace(instance, on_hand=on_hand, due=due, horizon=PERIODS)


def grouped_normal(problem: SerialSystem) -> DemandOutcomes:
    """Demand not above the normal one in convex order, grouped by conditional means."""
    unit = problem.demand_sd / POINTS
    demand = normal_below_grid(problem.demand_mean, problem.demand_sd, unit)
    values = np.arange(len(demand.probability), dtype=float) * unit
    return group_by_means(demand.probability, OUTCOMES, values)


def optimum(instance: Instance, problem: SerialSystem) -> tuple[float, float, FloatArray]:
    """Optimal cost from the first state, at least and at most, and the latter's levels (N, T)."""
    unit = problem.demand_sd / POINTS
    costs, levels = [], []
    for law in (normal_below_grid, normal_on_grid):
        demand = law(problem.demand_mean, problem.demand_sd, unit)
        chain, state = chain_of(instance, demand, unit)
        solved = solve_horizon(chain, PERIODS)
        costs.append(solved.cost(state))
        levels.append(solved.level)
    return costs[0], costs[1], levels[1]


@dataclass(frozen=True)
class PeriodLevels:
    """Echelon levels by stage and period, the customer's stage first, for the simulator.

    Attributes:
        level: Shape (N, T).
    """

    level: FloatArray

    def at(self, period: int) -> FloatArray:
        """Levels from the supplier down, shape (1, N)."""
        # Levels are infinite where nothing is ordered, or all that is there.
        return np.clip(self.level[::-1, period], -1e9, 1e9)[None]


def simulated(bed: SerialBed, instance: Instance, policy: EchelonBaseStock) -> tuple[float, float]:
    """Cost a period and half width of its interval, on the same paths for each policy."""
    generator = np.random.default_rng(7)
    demand = bed.demand.sample(SCENARIOS, instance.start, PERIODS, generator)
    run = simulate(instance, policy, demand, seed=7, dtype=torch.float64)
    cost = run.period_cost.mean(dim=1).numpy()
    return round(float(cost.mean()), 4), round(mean_half_width(cost), 4)


def measure(bed: SerialBed, seconds: float) -> dict[str, str | float | int]:
    """One row of the table."""
    problem = bed.problem
    assert problem is not None
    level = np.array(solve(problem).level)
    instance = begun(bed, level)
    began = time.process_time()
    least, most, levels = optimum(instance, problem)
    exact = time.process_time() - began

    began = time.process_time()
    outcomes = [grouped_normal(problem)] * PERIODS
    graph = replenishment_graph(instance, outcomes)
    sddp = Sddp(graph, SddpSettings(sweep_growth=1.5), forward=ImportanceSampling(0.4), seed=1)
    stopping = Stopping(
        stall=STALL, stall_after=STALL_AFTER, iterations=MOST_ITERATIONS, seconds=seconds
    )
    result = train(sddp, stopping)
    bound = sddp_bound(instance, bed.demand, outcomes, sddp).mean
    spent = time.process_time() - began
    if bound > least:
        raise SystemExit(f"{bed.name}: the bound {bound} is above the optimum {least}..{most}")
    gap = 1 - bound / most

    best = EchelonBaseStock(Sourcing.of(instance), PeriodLevels(levels))
    cost, half_width = simulated(bed, instance, best)
    endless, endless_half_width = simulated(
        bed, instance, EchelonBaseStock.at_level(instance, level[::-1])
    )
    return {
        "instance": bed.name,
        "stages": len(level),
        "state_entries": len(graph.initial_state),
        "optimum_at_least": round(least / PERIODS, 4),
        "optimum_at_most": round(most / PERIODS, 4),
        "bound": round(bound / PERIODS, 4),
        "gap_percent": round(100 * gap, 3),
        "target_percent": 100 * TARGET,
        "met": "yes" if gap <= TARGET and spent <= CPU_LIMIT else "no",
        "stopped": result.stopped,
        "cpu_seconds": round(spent, 1),
        "iterations": sddp.iteration,
        "outcomes": len(outcomes[0].probability),
        "recursion_seconds": round(exact, 2),
        "optimal_levels": cost,
        "optimal_half_width": half_width,
        "endless_levels": endless,
        "endless_half_width": endless_half_width,
        "endless_optimum": round(float(bed.solved().optimum or np.nan), 4),
    }


def main() -> None:
    """Measure the instances and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=900.0, help="of wall time an instance, at most"
    )
    args = parser.parse_args()
    code = commit()
    rows = []
    for bed in SerialFamily.cases():
        assert isinstance(bed, SerialBed)
        rows.append(measure(bed, args.seconds))
        print(rows[-1], flush=True)
        remarks = [
            f"cost a period over {PERIODS} periods; half widths of 95 % intervals; CPU seconds",
            "gap: bound below the upper end of the optimum; optimal and endless levels: simulated",
        ]
        write_results(args.table, pl.DataFrame(rows), code, remarks)


if __name__ == "__main__":
    main()
