"""Learned policies on the ten one-warehouse instances of Kaynov et al. (2024), and beyond them.

* generalist: one network for all, which learned on random systems of one warehouse with three to
  ten retailers: the shipped one (``policy="pretrained"``), as it is;
* specialists: a network for each published instance, which begins as a copy of it and learns on
  there; its CPU seconds are those of learning on, validations included;
* beyond: the generalist on systems with four to ten retailers that are drawn from a seed of their
  own, none of which it met.

They are held against a classical policy tuned in the same simulator: on the published instances the
cheapest of `docs/results/one_warehouse_multi_retailer.csv` at its levels there, on drawn ones the
cheaper of proportional and min-shortage rationing. All meet the same demand then, which none met
before, 4,096 paths of 1,000 periods after 100 that do not count; orders are in whole units.
Differences are in % of the classical policy's cost, paired path by path, with 95 % half-widths.
Where demand waits, `lower_bound` is what no policy can fall below (`optrl.exact.one_warehouse`).
What the published PPO costs stands beside; its simulator's conventions may differ from ours by some
percent (see `optrl.testbeds.one_warehouse_multi_retailer`).

Usage: python benchmarks/learned_one_warehouse.py [--updates N] [--paths N] [--periods N]
    [--parts specialists,generalist,beyond] [--folder DIR] [--out FILE]

Specialists and rows that are ready are kept in the folder and not worked out again; one that was
stopped halfway is to be deleted.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from optrl_formulations.network import FloatArray, IntArray, Unmet
from result_table import ROOT, commit, write_results

from optrl.exact.one_warehouse import allocation_bound
from optrl.instance import Instance
from optrl.learning.folder import load_policy
from optrl.learning.one_warehouse_family import demand_laws
from optrl.learning.pathwise import PathwiseSettings
from optrl.learning.training import train
from optrl.policies import find
from optrl.policies.pretrained_one_warehouse import OneWarehouseKind
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.testbeds.base import TestBed
from optrl.testbeds.one_warehouse_multi_retailer import (
    RETAILER_HOLDING_COST,
    SHORTAGE_COST,
    WAREHOUSE_HOLDING_COST,
    WARM_UP,
    Case,
    OneWarehouseMultiRetailer,
    classical,
)
from optrl.testbeds.simulated import mean_half_width
from optrl.testbeds.tuning import tune_levels

TABLE = ROOT / "docs/results/one_warehouse_multi_retailer.csv"
RATIONING = ("proportional_rationing", "min_shortage_rationing")
SEED = 2027
"""Of the demand that judges."""
BLOCK = 6144
"""Paths times retailers simulated at a time."""


def drawn(seed: int = 2028) -> Iterator[Case]:
    """Systems with four, six, eight and ten retailers."""
    generator = np.random.default_rng(seed)
    for k, retailers in enumerate((4, 6, 8, 10)):
        unmet: Unmet = "backorder" if k % 2 == 0 else "lost"
        kind: IntArray = generator.integers(0, 4, retailers)
        mean, deviation, size = (
            np.exp(generator.uniform(np.log(low), np.log(high), retailers))
            for low, high in ((0.5, 6.0), (0.8, 5.0), (1.0, 8.0))
        )
        leads = tuple(int(x) for x in generator.integers(1, 4, retailers))
        laws = demand_laws(kind, mean, deviation, size)
        lead = int(generator.integers(1, 6))
        label = f"drawn-{retailers}-{unmet}-L{lead}-{''.join(map(str, leads))}"
        yield Case(label, unmet, lead, leads, laws)


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--paths", type=int, default=4096)
    parser.add_argument("--periods", type=int, default=1000)
    parser.add_argument("--parts", default="specialists,generalist,beyond")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/learned_one_warehouse")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/learned_one_warehouse.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    code, parts = commit(), options.parts.split(",")
    rows = []
    problems = OneWarehouseMultiRetailer.problems()
    for (case, _), bed in zip(problems, OneWarehouseMultiRetailer.cases(), strict=True):
        folder = options.folder / case.label
        row = ready(folder) or published_row(case, bed, folder, parts, options)
        rows.append(keep(folder, row))
    for system in drawn() if "beyond" in parts else ():
        folder = options.folder / system.label
        rows.append(keep(folder, ready(folder) or drawn_row(system, options)))
    remarks = [
        "costs a period, whole units, all policies on the same paths; differences in % of the "
        "classical cost with 95 % half-widths, negative where the learned policy is cheaper",
        *(summary(name, rows[:10]) for name in ("specialist", "generalist")),
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    write_results(options.out, table, code, [line for line in remarks if line])


def ready(folder: Path) -> dict[str, Any] | None:
    """A row that was worked out before."""
    file = folder / "row.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def keep(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Write a row where `ready` finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "row.json").write_text(json.dumps(row), encoding="utf-8")
    print(json.dumps(row), flush=True)
    return row


def published_row(
    case: Case, bed: TestBed, folder: Path, parts: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """The row of a published instance."""
    learned: dict[str, DecidingPolicy] = {}
    seconds = None
    if "specialists" in parts:
        learned["specialist"], seconds = specialist(bed, options.updates, folder / "specialist")
    if "generalist" in parts:
        learned["generalist"] = find("pretrained").fit(bed.instance, bed.demand)
    row = judged(case, *best_of_table(bed.name), learned, options)
    row = {"instance": bed.name, **row, "specialist_cpu_seconds": seconds}
    row["published_ppo"] = round(bed.published["ppo"], 4)
    for name in learned:
        row[f"{name}_to_ppo_pct"] = round(100 * (row[f"{name}_cost"] / row["published_ppo"] - 1), 2)
    return row


def drawn_row(system: Case, options: argparse.Namespace) -> dict[str, Any]:
    """The row of a drawn system."""
    policy = find("pretrained").fit(system.instance(), system.demand_of(1))
    row = judged(system, *best_tuned(system), {"generalist": policy}, options)
    return {"instance": system.label, **row}


def judged(
    system: Case,
    label: str,
    levels: FloatArray,
    learned: Mapping[str, DecidingPolicy],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Costs of the best classical and of learned policies on the same paths."""
    instance, law = system.instance(), system.demand_of(1)
    policies = {"classical": classical(label, instance, levels[None], law), **learned}
    costs = {name: np.empty(0) for name in policies}
    generator, block = np.random.default_rng(SEED), BLOCK // len(system.laws)
    for first in range(0, options.paths, block):
        count = min(block, options.paths - first)
        demand = law.sample(count, 0, WARM_UP + options.periods, generator)
        for name, each in policies.items():
            run = simulate(instance, each, demand, seed=SEED, warm_up=WARM_UP)
            mean = run.period_cost[:, WARM_UP:].double().mean(1).numpy()
            costs[name] = np.append(costs[name], mean)
    base = float(costs["classical"].mean())
    row: dict[str, Any] = {
        "classical": f"{label} ({', '.join(f'{x:g}' for x in levels)})",
        "classical_cost": round(base, 4),
        "classical_half_width": round(mean_half_width(costs["classical"]), 4),
        "lower_bound": bound(system),
    }
    for name in ("specialist", "generalist"):
        row |= {f"{name}_{what}": None for what in ("cost", "pct", "half_width_pct")}
        if name in learned:
            difference = 100 * (costs[name] - costs["classical"]) / base
            row[f"{name}_cost"] = round(float(costs[name].mean()), 4)
            row[f"{name}_pct"] = round(float(difference.mean()), 3)
            row[f"{name}_half_width_pct"] = round(mean_half_width(difference), 3)
    return row


def bound(system: Case) -> float | None:
    """Lower bound where demand waits."""
    if system.unmet == "lost":
        return None
    leads = np.array(system.retailer_lead_times)
    found = allocation_bound(
        system.laws,
        leads,
        system.warehouse_lead_time,
        warehouse_holding_cost=WAREHOUSE_HOLDING_COST,
        holding_cost=RETAILER_HOLDING_COST,
        shortage_cost=SHORTAGE_COST,
    )
    return round(found.cost, 4)


def best_of_table(name: str) -> tuple[str, FloatArray]:
    """The cheapest policy of the table for an instance, and its levels, shape (M,)."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["instance"] == name]
    cheapest = min(rows, key=lambda row: float(row["cost"]))
    match = re.fullmatch(r"(\w+) \(tuned: (.*)\)", cheapest["policy"])
    assert match is not None
    return match[1], np.array([float(x) for x in match[2].split(",")])


def best_tuned(system: Case) -> tuple[str, FloatArray]:
    """The cheaper of the two ways to ration once tuned, and its levels, shape (M,)."""
    found = []
    for label in RATIONING:

        def kind(instance: Instance, levels: FloatArray, label: str = label) -> DecidingPolicy:
            demand = system.demand_of(len(instance.network.items))
            return classical(label, instance, levels, demand)

        first, law = system.first_levels(echelon=True), system.demand_of(1)
        tuned = tune_levels(system.instance, law, kind, first, warm_up=WARM_UP, scenarios=60)
        found.append((tuned.cost, label, tuned.levels))
    _, label, levels = min(found, key=lambda each: each[0])
    return label, levels


def specialist(bed: TestBed, updates: int, folder: Path) -> tuple[DecidingPolicy, float]:
    """A policy that begins as the shipped network, and CPU seconds of learning, kept beside it."""
    weights = resources.files("optrl.policies") / "weights" / OneWarehouseKind.weights
    settings = PathwiseSettings(
        updates=updates,
        start=str(weights),
        width=32,
        rounds=1,
        levels=True,
        slots=5,
        paths=1024,
        restart=updates,
        learning_rate=3e-3,
        validate_every=max(1, updates // 2),
        checkpoint_every=max(1, updates // 2),
        validation_paths=512,
    )
    spent = folder / "cpu_seconds.json"
    if not spent.exists():
        began = time.process_time()
        train(bed, "pathwise", folder, settings=settings)
        spent.write_text(json.dumps(round(time.process_time() - began, 1)), encoding="utf-8")
    return load_policy(folder, bed.instance, bed.demand), json.loads(spent.read_text("utf-8"))


def summary(name: str, rows: list[dict[str, Any]]) -> str:
    """On how many published instances a learned policy is cheaper, and by how much."""
    if any(row[f"{name}_pct"] is None for row in rows):
        return ""
    below = sum(row[f"{name}_pct"] + row[f"{name}_half_width_pct"] < 0 for row in rows)
    mean = float(np.mean([row[f"{name}_pct"] for row in rows]))
    return f"{name}: cheaper beyond its interval on {below} of {len(rows)}, {mean:.2f} % on average"


if __name__ == "__main__":
    main()
