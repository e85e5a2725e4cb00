"""Iowa by programs of four weeks that end in position values, against 26 weeks of lookahead.

    python benchmarks/iowa_cost_to_go.py [--simulated 1] [--table docs/results/iowa_cost_to_go.csv]
    python benchmarks/iowa_cost_to_go.py --updated [--table docs/results/iowa_updated.csv]

In the replay of the kept weeks policies know the forecast that the year begins with, or, with
`--updated`, have it updated every quarter with the demand seen so far, all of them alike. On
simulated demand forecasts are right and stay. What is chosen was chosen on history before the
start alone, demand fitted to what came before: the shape of the position values on weeks 110-161
and 127-178 with one forecast each (`--search` goes on from it), how often to update on these and
weeks 84-135 and 97-148 (`--history`). The kept weeks are looked at once, with what was chosen.
Every policy meets the same demand and the same random arrivals; differences to the lookahead are
paired, with the half-width of their 95 % interval. Times are of the processor, a decision.
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

from optrl.demand.base import DemandModel
from optrl.demand.ending import until
from optrl.evaluation.judge import kept_demand
from optrl.evaluation.refitted import Make, Refitted
from optrl.evaluation.updated import Updated
from optrl.instance import Instance
from optrl.learning.base import Subject
from optrl.learning.position_search import PositionSearch, SearchSettings
from optrl.policies import find
from optrl.policies.cost_to_go import HORIZON, CostToGo
from optrl.policies.lookahead import Lookahead
from optrl.policies.position_values import Shape
from optrl.policies.program_endings import PositionEnding
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.iowa import Iowa

SHAPE = Shape(position=0.13, stock=0.7, overage=1.5, lead_time=0.0)
REPLAYS = (84, 97, 110, 127)
EVERY = 13
"""Weeks between updates of forecasts."""


def replayed_history() -> None:
    """Cost of replays of history, in millions, with forecasts updated more or less often."""
    base = Iowa.case().instance
    makers: dict[str, Make] = {
        "cost_to_go (chosen shape)": learned,
        "echelon_base_stock": find("echelon_base_stock").fit,
    }
    for name, make in makers.items():
        for every in (1, 4, 13, 26, base.horizon):
            costs = []
            for start in REPLAYS:
                known = replace(base, start=start)
                paths = base.demand.between(start, start + base.horizon)[None]
                policy = Refitted(known, make, every=every)
                run = simulate(known, policy, paths, seed=0, dtype=torch.float64)
                costs.append(round(float(run.total_cost) / 1e6, 4))
            print(name, every, costs, round(sum(costs), 4), flush=True)


def search(trials: int) -> None:
    """Try shapes on history, from the chosen one on, and print them."""
    bed = Iowa.case()
    first = (SHAPE.position, SHAPE.stock, SHAPE.overage)
    settings = SearchSettings(
        scenarios=0,
        replays=REPLAYS,
        horizon=HORIZON,
        refit=EVERY,
        first=first,
        lead_time=SHAPE.lead_time,
    )
    learner = PositionSearch(Subject(bed.instance, bed.demand), settings, 0)
    for _ in range(trials):
        print(round(learner.trial(), 1), round(learner.best, 1), learner.shape, flush=True)


def learned(instance: Instance, demand: DemandModel) -> DecidingPolicy:
    """The hybrid: the program with the chosen shape, the year's end known, beliefs updated."""
    return informed(instance, demand, shaped)


def shaped(instance: Instance, demand: DemandModel) -> CostToGo:
    """The program with the shape that was chosen."""
    return CostToGo(PositionEnding(instance, demand, HORIZON, SHAPE), demand, horizon=HORIZON)


def informed(instance: Instance, demand: DemandModel, make: Make) -> DecidingPolicy:
    """A policy told when the horizon ends, whose belief is updated with the demand it meets."""
    return Updated(instance, until(demand, instance.start + instance.horizon), make)


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", type=int, default=0, help="trials on history, then stop")
    parser.add_argument("--history", action="store_true", help="replay history, then stop")
    parser.add_argument("--simulated", type=int, default=1, help="simulated paths of 52 weeks")
    parser.add_argument(
        "--updated", action="store_true", help="kept weeks alone, with forecasts updated"
    )
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.search:
        search(asked.search)
        return
    if asked.history:
        replayed_history()
        return
    code, bed = commit(), Iowa.case()
    name = "iowa_updated" if asked.updated else "iowa_cost_to_go"
    target = asked.table or Path(f"docs/results/{name}.csv")
    instance = bed.instance
    generator = np.random.default_rng(20_251)
    demand: dict[str, FloatArray] = {"kept weeks": kept_demand(instance)}
    if asked.simulated and not asked.updated:
        paths = bed.demand.sample(asked.simulated, instance.start, instance.horizon, generator)
        demand["simulated"] = paths
    makers: dict[str, Make] = {
        "lookahead (26 weeks)": lambda i, d: Lookahead(i, d, horizon=26, time_limit=None),
        "cost_to_go (4 weeks, chosen shape)": learned,
        "cost_to_go (4 weeks, by name)": CostToGo.fit,
        "echelon_base_stock": find("echelon_base_stock").fit,
    }
    rows: list[dict[str, object]] = []
    for where, paths in demand.items():
        peer: FloatArray | None = None
        for name, make in makers.items():
            policy: DecidingPolicy = (
                Refitted(instance, make, every=EVERY)
                if asked.updated
                else make(instance, bed.demand)
            )
            began = time.process_time()
            run = simulate(instance, policy, paths, seed=0, dtype=torch.float64)
            seconds = time.process_time() - began
            cost = run.total_cost.numpy()
            peer = cost if peer is None else peer
            difference, several = cost - peer, len(cost) > 1
            width = stats.t.ppf(0.975, len(cost) - 1) * stats.sem(difference) if several else None
            rows.append(
                {
                    "demand": where,
                    "policy": name,
                    "paths": len(cost),
                    "cost": float(cost.mean()),
                    "less lookahead": float(difference.mean()),
                    "half width": width,
                    "cpu seconds a decision": seconds / (len(cost) * paths.shape[3]),
                }
            )
            print(rows[-1], flush=True)
            table = pl.DataFrame(rows, infer_schema_length=None).with_columns(
                pl.col(pl.Float64).round_sig_figs(6)
            )
            remarks = [f"{instance.horizon} weeks, money in {instance.money}; {SHAPE}"]
            if asked.updated:
                remarks.append(f"forecasts updated every {EVERY} weeks, in the time of a decision")
            write_results(target, table, code, remarks)


if __name__ == "__main__":
    main()
