"""Iowa by programs of four weeks that end in position values, against other policies.

    python benchmarks/iowa_cost_to_go.py --simulated 12 [--few 4]
    python benchmarks/iowa_cost_to_go.py --updated

Simulated years are those of `benchmarks/certificates.py`. An *informed* policy has its belief about
the level of demand updated each week with the demand it has met (`optrl.evaluation.updated`) and
knows when the year ends, as the objective does; the same is offered to all. On the kept weeks the
forecast is fitted anew every quarter besides (`optrl.evaluation.refitted`), for all of them alike.
The hybrid is the informed program of four weeks (`learned`).

What is chosen was chosen on simulated years of another seed and on history before the start alone,
demand fitted to what came before: weeks 84-135, 97-148, 110-161 and 127-178 (`--search`,
`--history`). The kept weeks are looked at once, with what was chosen. Every policy meets the same
demand and the same random arrivals; differences to the hybrid are paired, over the paths that the
policy met (`--few` where it is slow), with the half-width of their 95 % interval. Times are of the
processor, a decision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch
from optrl_formulations.network import FloatArray
from result_table import commit, write_results
from scipy import stats

from optrl.bounds.paths import PathSource
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

Row = dict[str, str | float | int | None]

SHAPE = Shape(position=0.13, stock=0.7, overage=1.5, lead_time=0.0)
SEED = 20_260
"""Of the simulated years of `benchmarks/certificates.py`."""
REPLAYS = (84, 97, 110, 127)
EVERY = 13
"""Weeks between fits of forecasts in replays."""


def shaped(instance: Instance, demand: DemandModel) -> CostToGo:
    """The program with the shape that was chosen."""
    return CostToGo(PositionEnding(instance, demand, HORIZON, SHAPE), demand, horizon=HORIZON)


def far_sighted(instance: Instance, demand: DemandModel) -> Lookahead:
    """Half a year of lookahead."""
    return Lookahead(instance, demand, horizon=26, time_limit=None)


def informed(make: Make) -> Make:
    """A policy told when the horizon ends, whose belief is updated with the demand it meets."""

    def made(instance: Instance, demand: DemandModel) -> DecidingPolicy:
        return Updated(instance, until(demand, instance.start + instance.horizon), make)

    return made


def learned(instance: Instance, demand: DemandModel) -> DecidingPolicy:
    """The hybrid: the chosen program, informed."""
    return informed(shaped)(instance, demand)


HYBRID = "cost_to_go (4 weeks, chosen shape), informed"


@dataclass(frozen=True)
class Contender:
    """A policy that is compared.

    Attributes:
        make: Fits it.
        slow: Whether it meets few paths only.
    """

    make: Make
    slow: bool = False


def contenders() -> dict[str, Contender]:
    """All that is compared, the hybrid first."""
    echelon, base = find("echelon_base_stock").fit, find("base_stock").fit
    return {
        HYBRID: Contender(learned),
        "echelon_base_stock, informed": Contender(informed(echelon)),
        "base_stock, informed": Contender(informed(base)),
        "echelon_base_stock": Contender(echelon),
        "cost_to_go (4 weeks, chosen shape)": Contender(shaped),
        "cost_to_go (4 weeks, by name)": Contender(CostToGo.fit),
        "lookahead (26 weeks), informed": Contender(informed(far_sighted), slow=True),
        "lookahead (26 weeks)": Contender(far_sighted, slow=True),
    }


def replayed_history() -> None:
    """Cost of replays of history, in millions, with forecasts fitted anew more or less often."""
    base = Iowa.case().instance
    for name, each in contenders().items():
        if each.slow:
            continue
        for every in (EVERY, base.horizon):
            costs = []
            for start in REPLAYS:
                known = replace(base, start=start)
                paths = base.demand.between(start, start + base.horizon)[None]
                policy = Refitted(known, each.make, every=every)
                run = simulate(known, policy, paths, seed=0, dtype=torch.float64)
                costs.append(round(float(run.total_cost) / 1e6, 4))
            print(name, every, costs, round(sum(costs), 4), flush=True)


def search(trials: int) -> None:
    """Try shapes on history, from the chosen one on, and print them."""
    bed = Iowa.case()
    settings = SearchSettings(
        scenarios=0,
        replays=REPLAYS,
        horizon=HORIZON,
        refit=EVERY,
        first=(SHAPE.position, SHAPE.stock, SHAPE.overage),
        lead_time=SHAPE.lead_time,
    )
    learner = PositionSearch(Subject(bed.instance, bed.demand), settings, 0)
    for _ in range(trials):
        print(round(learner.trial(), 1), round(learner.best, 1), learner.shape, flush=True)


def played(
    instance: Instance, policy: DecidingPolicy, demand: FloatArray, seed: int
) -> tuple[FloatArray, float]:
    """Cost of each path and CPU seconds of a decision."""
    began = time.process_time()
    run = simulate(instance, policy, demand, seed=seed, dtype=torch.float64)
    seconds = time.process_time() - began
    return run.total_cost.numpy(), seconds / (demand.shape[0] * demand.shape[3])


def compared(instance: Instance, model: DemandModel, paths: int, few: int) -> Iterator[Row]:
    """Rows of policies on simulated years, or on the kept weeks where there are no paths."""
    source = PathSource(instance, model, SEED)
    demand = source.demand(0, paths) if paths else kept_demand(instance)
    hybrid: FloatArray | None = None
    for name, each in contenders().items():
        met = demand[:few] if each.slow and paths else demand
        policy = each.make(instance, model) if paths else Refitted(instance, each.make, every=EVERY)
        cost, seconds = played(instance, policy, met, SEED if paths else 0)
        hybrid = cost if hybrid is None else hybrid
        difference = cost - hybrid[: len(cost)]
        several = len(cost) > 1
        width = stats.t.ppf(0.975, len(cost) - 1) * stats.sem(difference) if several else None
        yield {
            "demand": "simulated" if paths else "kept weeks",
            "policy": name,
            "paths": len(cost),
            "cost": float(cost.mean()),
            "above hybrid": float(difference.mean()),
            "half width": width,
            "cpu seconds a decision": seconds,
        }


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", type=int, default=0, help="trials on history, then stop")
    parser.add_argument("--history", action="store_true", help="replay history, then stop")
    parser.add_argument("--simulated", type=int, default=1, help="simulated paths of 52 weeks")
    parser.add_argument("--few", type=int, default=4, help="simulated paths of slow policies")
    parser.add_argument(
        "--updated", action="store_true", help="the kept weeks instead, forecasts fitted anew"
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
    remarks = [f"{instance.horizon} weeks, money in {instance.money}; {SHAPE}"]
    if asked.updated:
        remarks.append(f"forecasts fitted anew every {EVERY} weeks, in the time of a decision")
    rows = []
    for row in compared(instance, bed.demand, 0 if asked.updated else asked.simulated, asked.few):
        print(row, flush=True)
        rows.append(row)
        table = pl.DataFrame(rows, infer_schema_length=None).with_columns(
            pl.col(pl.Float64).round_sig_figs(6)
        )
        write_results(target, table, code, remarks)


if __name__ == "__main__":
    main()
