"""Certificates: bounds beside the truth on lost sales, and the certified gap of Iowa's hybrid.

    python benchmarks/certificates.py --part lost_sales --case poisson,9,2 geometric,9,2
    python benchmarks/certificates.py --part iowa --paths 12 --weights out/iowa_penalty.npy

Lost sales: 20 periods from mean demand on hand and in the pipeline, optimum by dynamic program.
SDDP is trained for `--seconds`; its cuts then make the penalty of an information relaxation on
`--paths` paths. Iowa: the weights of position penalties are trained on paths of their own, without
resources and delays, and kept in `--weights`; the bound is then solved on fresh paths of the whole
network, which the policy meets too, with customers merged into relaxed zones. Bounds of paths are
kept beside the weights, so that `--bounds-only` may go ahead of the policy. Rows of a part replace
those of the same part in the table.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from iowa_cost_to_go import learned
from optrl_formulations.network import FloatArray
from result_table import commit, write_results
from scipy import stats
from sddp_lost_sales import MEAN, PERIODS

from optrl.bounds.certificate import Upper, certify
from optrl.bounds.control_variate import controlled
from optrl.bounds.cut_penalty import CutPenalty, Grouping
from optrl.bounds.information_relaxation import Relaxation, information_relaxation
from optrl.bounds.known_bounds import (
    known_perfect_information,
    perfect_information_bound,
    sddp_bound,
)
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty_training import TrainingSettings, train_penalty
from optrl.bounds.position_penalty import PositionPenalty
from optrl.decomposition.sddp import Sddp, SddpSettings, replenishment_graph
from optrl.exact.lost_sales_horizon import solve_horizon
from optrl.simulation.rollout import simulate
from optrl.testbeds.iowa import Iowa
from optrl.testbeds.lost_sales import LostSalesFamily

OUTCOMES = 24
TRAINING_SEED, SEED, IOWA_SEED = 77, 20_260, 20_262
CONTROL = 0.07
"""What Iowa's gap grows by with the worth of demand: least squares on ten paths of other seeds."""
Row = dict[str, str | float | int | None]


def lost_sales(text: str, seconds: float, paths: int) -> list[Row]:
    """The bounds of one instance beside its optimum."""
    family, shortage_cost, lead = text.split(",")
    lead_time = int(lead)
    bed = LostSalesFamily.case(family, float(shortage_cost), lead_time)
    assert bed.problem is not None
    optimum = solve_horizon(bed.problem, PERIODS).cost(np.full(lead_time, MEAN))
    on_hand = np.zeros_like(bed.instance.on_hand)
    due = np.zeros((*on_hand.shape, lead_time - 1))
    on_hand[0, 1] = due[0, 1] = MEAN
    instance = replace(bed.instance, on_hand=on_hand, due=due, horizon=PERIODS)
    groupings = [Grouping.of(bed.problem.demand.probability, OUTCOMES)] * PERIODS
    outcomes = [grouping.outcomes for grouping in groupings]
    began = time.process_time()
    sddp = Sddp(replenishment_graph(instance, outcomes), SddpSettings(sweep_growth=1.5), seed=1)
    while time.process_time() - began < seconds:
        sddp.iterate()
    trained = time.process_time() - began
    source = PathSource(instance, bed.demand, SEED)
    demand = source.demand(0, paths)
    perfect = perfect_information_bound(instance, demand, seed=SEED, paths=source.name)
    cuts = sddp_bound(instance, bed.demand, outcomes, sddp)
    relaxed = information_relaxation(
        source, CutPenalty(instance, bed.demand, groupings, sddp), paths
    )
    rows = []
    for bound, spent in ((perfect, 0.0), (cuts, trained), (relaxed, trained)):
        row = _bound_row(f"lost-sales/{text}", bound, spent)
        rows.append(
            row | {"optimum": optimum, "below_optimum_percent": 100 * (1 - bound.mean / optimum)}
        )
        print(rows[-1], flush=True)
    return rows


def iowa(
    paths: int,
    weights: Path,
    steps: int,
    unpenalized: int,
    seconds: float,
    write: Callable[[list[Row]], None] | None,
) -> None:
    """The certified gap of Iowa's hybrid in simulation, written after each path.

    Bounds of paths do not depend on the policy: they are kept beside the weights, under the seed
    and the weights they were computed with, and taken from there.
    """
    bed = Iowa.case()
    instance, model = bed.instance, bed.demand
    free = PositionPenalty.even(instance, model)
    if weights.exists():
        penalty = free.with_weights(np.load(weights).ravel())
    else:
        penalty = trained(free, steps)
        weights.parent.mkdir(parents=True, exist_ok=True)
        np.save(weights, penalty.share)
    source = PathSource(instance, model, IOWA_SEED)
    mark = hashlib.sha256(penalty.share.tobytes()).hexdigest()[:8]
    kept = KeptBounds(weights.with_name(f"iowa_bounds_{IOWA_SEED}_{mark}.csv"))
    relaxation, perfect = (Relaxation(source, p, merge=True) for p in (penalty, free))
    costs: list[float] = []
    spent, began = 0.0, time.process_time()
    for number in range(paths):
        if time.process_time() - began > seconds:
            break
        kept.solve("information relaxation", number, relaxation)
        if number < unpenalized:
            kept.solve("perfect information", number, perfect)
        if write is None:
            continue
        start = time.process_time()
        costs.append(cost_of(source, number))
        print(number, round(costs[-1]), flush=True)
        spent += time.process_time() - start
        if number:
            write(certified_rows(source, penalty, np.array(costs), kept, unpenalized, spent))


@dataclass
class KeptBounds:
    """Bounds of paths, kept in a file as they are found.

    Attributes:
        file: A line for each: bound, path, value, CPU seconds.
    """

    file: Path

    def solve(self, bound: str, number: int, relaxation: Relaxation) -> None:
        """Solve a path unless its value is there."""
        if number in self._found(bound):
            return
        began = time.process_time()
        value = relaxation.solve(number).value
        spent = time.process_time() - began
        with self.file.open("a") as lines:
            lines.write(f"{bound},{number},{value!r},{spent:.2f}\n")
        print(bound, number, round(value), round(spent, 1), flush=True)

    def values(self, bound: str, count: int) -> FloatArray:
        """Values of the first paths."""
        return self._first(bound, count)[:, 0]

    def seconds(self, bound: str, count: int) -> float:
        """CPU seconds spent on the first paths."""
        return float(self._first(bound, count)[:, 1].sum())

    def _first(self, bound: str, count: int) -> FloatArray:
        found = self._found(bound)
        return np.array([found[number] for number in range(count)])

    def _found(self, bound: str) -> dict[int, tuple[float, float]]:
        """Value and seconds by path."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        rows = [line.split(",") for line in lines]
        return {int(row[1]): (float(row[2]), float(row[3])) for row in rows if row[0] == bound}


def certified_rows(
    source: PathSource,
    penalty: PositionPenalty,
    costs: FloatArray,
    kept: KeptBounds,
    unpenalized: int,
    seconds: float,
) -> list[Row]:
    """Rows of what was found on the first paths; `seconds` are the policy's."""
    count = len(costs)
    upper = Upper("cost_to_go", costs, source.name)
    name = "information relaxation"
    relaxed = LowerBound(
        *(name, penalty.assumption, penalty.conditions),
        sample=kept.values(name, count),
        paths=source.name,
        seconds=kept.seconds(name, count) + seconds,
    )
    name = "perfect information"
    known = kept.values(name, min(count, unpenalized))
    perfect = known_perfect_information(
        source.instance, known, paths=source.name, seconds=kept.seconds(name, len(known))
    )
    rows = []
    for bound in (controlled(relaxed, source, CONTROL), perfect):
        rows.append(_bound_row("iowa, simulated years", bound, 0.0) | _certified(upper, bound))
        print(rows[-1], flush=True)
    return rows


def trained(penalty: PositionPenalty, steps: int) -> PositionPenalty:
    """Weights trained without resources and delays, where items are free of each other."""
    instance = penalty.instance
    network = instance.network
    typical = penalty.model.mean(instance.start, instance.horizon).sum(axis=1).mean(axis=1)
    limit = np.minimum(network.maximum_quantity, 8 * typical[:, None])
    free = replace(
        instance, network=replace(network, resources=(), maximum_quantity=limit), arrivals=()
    )
    thresholds, runs, items = penalty.share.shape
    groups = np.broadcast_to(np.arange(runs * items), (thresholds, runs * items)).ravel()
    begin = replace(penalty, instance=free, share=np.full(penalty.share.shape, 0.05))
    found = train_penalty(
        PathSource(free, penalty.model, TRAINING_SEED),
        begin,
        TrainingSettings(steps=steps, rate=0.05, most=0.95),
        groups,
        lambda step, value: print("training", step, round(value), flush=True),
    )
    return penalty.with_weights(found.weights)


def cost_of(source: PathSource, number: int) -> float:
    """What the hybrid costs on a path."""
    instance = source.instance
    run = simulate(
        instance,
        learned(instance, source.model),
        source.demand(number, number + 1),
        seed=source.seed,
        first_scenario=number,
        dtype=torch.float64,
    )
    return float(run.total_cost[0])


def _bound_row(case: str, bound: LowerBound, before: float) -> Row:
    count = len(bound.sample)
    quantile = float(stats.t.ppf(0.975, count - 1)) if count > 1 else float("inf")
    return {
        "case": case,
        "bound": bound.name,
        "value": bound.mean,
        "half_width": None if bound.proved else quantile * bound.standard_error,
        "paths": count,
        "cpu_seconds": bound.seconds + before,
    }


def _certified(upper: Upper, bound: LowerBound) -> Row:
    found = certify(upper, [bound])
    return {
        "policy_cost": found.cost,
        "estimated_gap_percent": 100 * found.estimated_gap / found.bound.mean,
        "certified_gap_percent": 100 * found.gap / found.bound.mean,
        "confidence": found.confidence,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("lost_sales", "iowa"), required=True)
    parser.add_argument("--table", type=Path, default=Path("docs/results/certificates.csv"))
    parser.add_argument("--case", nargs="*", default=["poisson,9,2", "poisson,9,4"])
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds of SDDP")
    parser.add_argument("--paths", type=int, default=100)
    parser.add_argument("--weights", type=Path, default=Path("out/iowa_penalty.npy"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--unpenalized", type=int, default=4)
    parser.add_argument("--budget", type=float, default=1e9, help="CPU seconds of Iowa's paths")
    parser.add_argument("--bounds-only", action="store_true", help="no policy yet, Iowa")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    code = commit()
    if asked.part == "iowa":
        iowa(
            *(asked.paths, asked.weights, asked.steps, asked.unpenalized, asked.budget),
            None
            if asked.bounds_only
            else lambda found: _write(asked.table, found, code, asked.part),
        )
        return
    rows: list[Row] = []
    for text in asked.case:
        rows += lost_sales(text, asked.seconds, asked.paths)
        _write(asked.table, rows, code, asked.part)


COLUMNS = (
    *("case", "bound", "value", "half_width", "paths", "cpu_seconds", "optimum"),
    *("below_optimum_percent", "policy_cost", "estimated_gap_percent", "certified_gap_percent"),
    "confidence",
)


def _write(table: Path, rows: list[Row], code: str, part: str) -> None:
    schema = {name: pl.String if name in ("case", "bound") else pl.Float64 for name in COLUMNS}
    full = [{name: row.get(name) for name in COLUMNS} for row in rows]
    new = pl.DataFrame(full, schema=schema)
    if table.exists():
        old = pl.read_csv(table, comment_prefix="#", schema=schema)
        mine = pl.col("case").str.starts_with("iowa" if part == "iowa" else "lost-sales")
        new = pl.concat([old.filter(~mine), new])
    new = new.sort("case", maintain_order=True).with_columns(pl.col(pl.Float64).round_sig_figs(6))
    remarks = [
        "CPU seconds of one thread, training of cuts included; half widths of 95 %",
        f"Iowa: customers merged, control variate of slope {CONTROL}, with the policy's seconds",
        "the command is the last run's; rows of the other part come from a run of their own",
    ]
    write_results(table, new, code, remarks)


if __name__ == "__main__":
    main()
