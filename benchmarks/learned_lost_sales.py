"""Learned policies on the 32 lost-sales instances of Zipkin (2008), and the pretrained one beyond.

Three kinds of figures, all exact: the cost of a policy whose orders are whole units is that of its
Markov chain (`optrl.testbeds.exact_rule`), the optimum that of the dynamic program.

* specialists: a network for each instance, by `optrl.learning.pathwise`; the 32 learn side by side
  as items and places of one instance (``separate=true``), sharing no weight, and each is charged
  1/32 of the CPU seconds. They begin as copies of the shipped network, or with ``--from random``
  with random weights;
* generalist: the shipped network for all (``policy="pretrained"``), as it is, without seconds;
* off the grid: the shipped network on random systems that are none of the 32: mean demand 2 to 12,
  shortage cost 4 to 40, lead time 1 to 4, Poisson, geometric or negative binomial demand. They are
  drawn from one seed and their names say what was drawn.

Peers, in the same table: the best capped base-stock and projected inventory level policies of each
instance, parameters by search with exact costs.

    python benchmarks/learned_lost_sales.py [--parts specialists,generalist,off-grid]
        [--from pretrained] [--updates 300] [--paths 256]
        [--out docs/results/learned_lost_sales.csv]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.exact.errors import ExactError
from optrl.learning.base import Subject
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.system_family import single_places
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies import find
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_inputs import NeuralInputs
from optrl.policies.pretrained import WEIGHTS
from optrl.simulation.rollout import DecidingPolicy
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.lost_sales import LostSalesBed, LostSalesFamily
from optrl.testbeds.published import results

LEAD_TIMES = (1, 2, 3, 4)
SIZES = {"poisson": np.inf, "geometric": 1.0}
SEED = 0
COLUMNS = (
    *("instance", "optimum", "specialist_gap_pct", "specialist_half_width_pct"),
    *("specialist_cpu_seconds", "generalist_gap_pct", "generalist_half_width_pct"),
    *("capped_base_stock_gap_pct", "projected_inventory_level_gap_pct"),
)


def grid() -> Iterator[LostSalesBed]:
    """The 32 instances."""
    for bed in LostSalesFamily.cases():
        assert isinstance(bed, LostSalesBed)
        yield bed


def off_grid(count: int = 20, seed: int = 2026) -> Iterator[LostSalesBed]:
    """Random systems with their optimum."""
    generator = np.random.default_rng(seed)
    families = ("poisson", "geometric", "negative_binomial", "negative_binomial")
    for k in range(count):
        mean, cost = np.exp(generator.uniform(np.log([2.0, 4.0]), np.log([12.0, 40.0])))
        size = float(np.exp(generator.uniform(np.log(1.0), np.log(10.0))))
        yield LostSalesFamily.case(
            families[k % 4],
            round(float(cost), 1),
            1 + k // 4 % 4,
            mean=round(float(mean), 1),
            size=round(size, 1) if k % 4 > 1 else 1.0,
        ).solved()


def gap(bed: LostSalesBed, policy: DecidingPolicy) -> tuple[float, float]:
    """Cost above the optimum and half the distance of its bounds, both in % of the optimum."""
    assert bed.optimum is not None
    cost = exact_cost(bed, policy)
    return 100 * (cost.cost / bed.optimum - 1), 50 * (cost.upper - cost.lower) / bed.optimum


def specialists(updates: int, paths: int, start: str) -> dict[str, dict[str, float]]:
    """Learn all 32 side by side and judge each."""
    kinds = [(family, cost) for cost in (4.0, 9.0, 19.0, 39.0) for family in SIZES]
    one = np.ones((len(kinds), len(LEAD_TIMES)))
    costs = np.array([[cost] for _, cost in kinds]) * one
    sizes = np.array([[SIZES[family]] for family, _ in kinds]) * one
    instance = single_places(LEAD_TIMES, 5.0 * one, costs, "lost")
    demand = NegativeBinomial(np.arange(1, 1 + len(LEAD_TIMES)), steady(5.0 * one), sizes)
    settings = PathwiseSettings(
        updates=updates, paths=paths, separate=True, slots=max(LEAD_TIMES), learning_rate=1e-2
    )
    if start == "pretrained":
        weights = resources.files("optrl.policies") / "weights" / WEIGHTS
        settings = replace(settings, start=str(weights), depth=3, learning_rate=5e-4)
    began = time.process_time()
    learner = Pathwise.begin(Subject(instance, demand, endless=True), settings, SEED)
    seconds, found = time.process_time() - began, {}
    for k in range(learner.total):
        began = time.process_time()
        told = learner.update()
        seconds += time.process_time() - began
        if (k + 1) % 100 == 0 or k + 1 == learner.total:
            found = judged(learner, kinds, seconds / one.size)
            gaps = [each["gap"] for each in found.values()]
            print(
                f"{k + 1} updates, {seconds / one.size:.1f} CPU seconds each: loss "
                f"{told['loss']:.4f}, gap in % {np.mean(gaps):.4f}, at most {max(gaps):.4f}",
                flush=True,
            )
    return found


def judged(
    learner: Pathwise, kinds: list[tuple[str, float]], seconds: float
) -> dict[str, dict[str, float]]:
    """Gap of each network on its own instance; infinite where its chain is too large."""
    found, networks = {}, learner.network
    assert isinstance(networks, SeparatePolicies)
    space = InputSpace(max(LEAD_TIMES))
    for bed in grid():
        assert bed.problem is not None
        family = bed.name.split("/")[1].split("-")[0]
        item = kinds.index((family, bed.problem.shortage_cost))
        copy = LEAD_TIMES.index(bed.problem.lead_time) * len(kinds) + item
        inputs = NeuralInputs.of(bed.instance, bed.demand, space)
        try:
            above, half_width = gap(bed, NeuralPolicy(networks.alone(copy), inputs))
        except ExactError:
            above, half_width = np.inf, np.inf
        found[bed.name] = {"gap": above, "half_width": half_width, "seconds": seconds}
    return found


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", default="specialists,generalist,off-grid")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--paths", type=int, default=256)
    parser.add_argument(
        "--from", dest="start", choices=("pretrained", "random"), default="pretrained"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = arguments.parts.split(",")
    learned: dict[str, dict[str, float]] = {}
    if "specialists" in parts:
        learned = specialists(arguments.updates, arguments.paths, arguments.start)
    pretrained = find("pretrained") if "generalist" in parts or "off-grid" in parts else None
    peers = {
        (row["demand"], float(row["shortage_cost"]), int(row["lead_time"])): row
        for row in results("lost_sales")
    }
    table: list[dict[str, str]] = []
    beds = list(grid()) + (list(off_grid()) if "off-grid" in parts else [])
    for bed in beds:
        assert bed.problem is not None
        row = {"instance": bed.name, "optimum": f"{bed.optimum:.5f}"}
        if bed.name in learned:
            one = learned[bed.name]
            row["specialist_gap_pct"] = f"{one['gap']:.4f}"
            row["specialist_half_width_pct"] = f"{one['half_width']:.4f}"
            row["specialist_cpu_seconds"] = f"{one['seconds']:.1f}"
        if pretrained is not None:
            above, half_width = gap(bed, pretrained.fit(bed.instance, bed.demand))
            row["generalist_gap_pct"] = f"{above:.4f}"
            row["generalist_half_width_pct"] = f"{half_width:.4f}"
        family = bed.name.split("/")[1].split("-")[0]
        peer = peers.get((family, bed.problem.shortage_cost, bed.problem.lead_time))
        if peer is not None and bed.name in {each.name for each in beds[:32]}:
            row["capped_base_stock_gap_pct"] = peer["capped_base_stock_gap_pct"]
            row["projected_inventory_level_gap_pct"] = peer["pil_gap_pct"]
        table.append(row)
    for name, some in (("32 instances", table[:32]), ("off the grid", table[32:])):
        for column in (c for c in COLUMNS if c.endswith(("gap_pct", "seconds"))):
            values = [float(row[column]) for row in some if column in row]
            if values:
                print(f"{name}: {column}: mean {np.mean(values):.4f}, largest {max(values):.4f}")
    if arguments.out is not None:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
        lines = [
            f"# command: python {' '.join(sys.argv)}",
            f"# commit: {commit.stdout.strip()}; all costs exact, orders in whole units; gaps and "
            "half-widths in % of the optimum; the 32 instances first, then systems off the grid",
            ",".join(COLUMNS),
            *(",".join(row.get(column, "") for column in COLUMNS) for row in table),
        ]
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
