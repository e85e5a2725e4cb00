"""One warehouse and five stores: a program of one period with a learned cost-to-go.

    python benchmarks/five_stores.py FOLDER [--table docs/results/five_stores.csv]

Trains a pathwise policy, fits the cost-to-go to its rollouts, and simulates both and base stock,
tuned in the same simulator, on the same paths: as trained, and with a throughput limit at the
warehouse that none of them was trained or tuned with. Trainings are kept in FOLDER and continued
there. Differences are path by path, with half of their 95 % interval.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from result_table import commit, write_results
from scipy import stats

from optrl.learning.fitted_value import FittedValueSettings
from optrl.learning.folder import load_policy
from optrl.learning.pathwise import PathwiseSettings
from optrl.learning.training import train
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.one_warehouse_five_stores import WARM_UP, OneWarehouseFiveStores, tuned_levels

SEED = 20_251
GATHERING = 30
TEACHER = PathwiseSettings(
    updates=1000,
    paths=128,
    periods=30,
    width=32,
    validate_every=250,
    checkpoint_every=250,
    validation_paths=64,
    validation_periods=200,
)


@dataclass(frozen=True)
class Played:
    """A policy on the paths of a case.

    Attributes:
        cost: Cost a period of each path.
        milliseconds: Processor time of a decision.
        cut: Units of orders that were cut, a period.
    """

    cost: np.ndarray
    milliseconds: float
    cut: float


def played(case: str, policy: DecidingPolicy, paths: int, periods: int) -> Played:
    """Simulate a policy on a case."""
    bed = OneWarehouseFiveStores.case(case, periods=periods)
    demand = bed.demand.sample(paths, 0, WARM_UP + periods, np.random.default_rng(SEED))
    began = time.process_time()
    run = simulate(
        bed.instance, policy, demand, seed=0, warm_up=WARM_UP, dtype=torch.float64, batch=paths
    )
    seconds = time.process_time() - began
    cost = run.period_cost[:, WARM_UP:].mean(dim=1).numpy()
    cut = sum(float(x[..., WARM_UP:].sum()) for x in run.cut.values()) / (paths * periods)
    return Played(cost, 1000 * seconds / demand[..., 0, :].size, cut)


def half_width(values: np.ndarray) -> float:
    """Half of the 95 % interval of a mean."""
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return quantile * float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def main() -> None:
    """Train, play, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", type=Path, default=Path("docs/results/five_stores.csv"))
    parser.add_argument("--paths", type=int, default=64)
    parser.add_argument("--periods", type=int, default=300)
    parser.add_argument(
        "--teacher", type=Path, help="folder of a pathwise training to use as it is"
    )
    parser.add_argument("--states", type=int, default=512, help="states of a gathering update")
    parser.add_argument("--fits", type=int, default=160, help="fitting updates of a round")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    code = commit()
    bed = OneWarehouseFiveStores.case("open")
    began = time.process_time()
    source = asked.teacher or asked.folder / "teacher"
    if asked.teacher is None:
        train(bed, "pathwise", source, settings=TEACHER, resume=True)
    teacher = load_policy(source, bed.instance, bed.demand)
    taught = time.process_time()
    settings = FittedValueSettings(
        teacher=str(source),
        updates=(GATHERING + asked.fits) * asked.rounds,
        validate_every=(GATHERING + asked.fits) * asked.rounds,
        checkpoint_every=GATHERING + asked.fits,
        rounds=asked.rounds,
        gathering=GATHERING,
        states=asked.states,
        replicates=24,
        periods=12,
        validation_paths=2,
    )
    train(bed, "fitted_value", asked.folder / "value", settings=settings, resume=True)
    done = time.process_time()
    levels = tuned_levels("base_stock")
    rows = []
    for case in ("open", "limited"):
        instance = OneWarehouseFiveStores.case(case).instance
        policies: dict[str, tuple[DecidingPolicy, float]] = {
            "pathwise": (teacher, taught - began),
            "base_stock (tuned)": (BaseStock.at_level(instance, levels[None]), 0.0),
            "cost_to_go (learned)": (
                CostToGo.load(asked.folder / "value" / "policy", instance, bed.demand),
                done - taught,
            ),
            "cost_to_go (by name)": (CostToGo.fit(instance, bed.demand), 0.0),
        }
        results = {}
        for name, (policy, seconds) in policies.items():
            periods = asked.periods if "by name" not in name else 50
            found = played(case, policy, asked.paths if "by name" not in name else 8, periods)
            results[name] = found
            row: dict[str, object] = {
                "case": case,
                "policy": name,
                "cost": float(found.cost.mean()),
                "half_width": half_width(found.cost),
            }
            for other in ("pathwise", "base_stock (tuned)"):
                known = results.get(other)
                if known is None or len(known.cost) != len(found.cost):
                    row |= {f"over {other}": None, f"over {other} half_width": None}
                    continue
                apart = found.cost - known.cost
                row |= {
                    f"over {other}": float(apart.mean()),
                    f"over {other} half_width": half_width(apart),
                }
            row |= {
                "cut a period": found.cut,
                "ms a decision": found.milliseconds,
                "training cpu s": seconds,
            }
            rows.append(row)
            print(row, flush=True)
    table = pl.DataFrame(rows, infer_schema_length=None)
    rounded = table.with_columns(pl.col(pl.Float64).round_sig_figs(5))
    remarks = [
        f"{asked.paths} paths of {asked.periods} periods after {WARM_UP}, the same for all; "
        "cost_to_go by name on 8 paths of 50; training in processor seconds of this call (0 where "
        "it was continued)"
    ]
    write_results(asked.table, rounded, code, remarks)


if __name__ == "__main__":
    main()
