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
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import torch
from learned_policies import Gap, exact_gap, summary
from result_table import commit, write_results

from optrl.demand.negative_binomial import NegativeBinomial
from optrl.demand.paths import steady
from optrl.learning.base import Subject
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.system_family import single_places
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies import find
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_inputs import NeuralInputs
from optrl.policies.pretrained_kinds import SinglePlacesKind
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


def specialists(updates: int, paths: int, start: str) -> tuple[dict[str, Gap], float]:
    """Learn all 32 side by side and judge each; CPU seconds of one."""
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
        weights = resources.files("optrl.policies") / "weights" / SinglePlacesKind.weights
        settings = replace(settings, start=str(weights), depth=3, learning_rate=5e-4)
    began = time.process_time()
    learner = Pathwise.begin(Subject(instance, demand, endless=True), settings, SEED)
    seconds, found = time.process_time() - began, dict[str, Gap]()
    for k in range(learner.total):
        began = time.process_time()
        told = learner.update()
        seconds += time.process_time() - began
        if (k + 1) % 100 == 0 or k + 1 == learner.total:
            found = judged(learner, kinds)
            gaps = [each.percent for each in found.values()]
            print(
                f"{k + 1} updates, {seconds / one.size:.1f} CPU seconds each: loss "
                f"{told['loss']:.4f}, gap in % {np.mean(gaps):.4f}, at most {max(gaps):.4f}",
                flush=True,
            )
    return found, seconds / one.size


def judged(learner: Pathwise, kinds: list[tuple[str, float]]) -> dict[str, Gap]:
    """Gap of each network on its own instance."""
    found, networks = dict[str, Gap](), learner.network
    assert isinstance(networks, SeparatePolicies)
    space = InputSpace(max(LEAD_TIMES))
    for bed in grid():
        assert bed.problem is not None
        family = bed.name.split("/")[1].split("-")[0]
        item = kinds.index((family, bed.problem.shortage_cost))
        copy = LEAD_TIMES.index(bed.problem.lead_time) * len(kinds) + item
        inputs = NeuralInputs.of(bed.instance, bed.demand, space)
        found[bed.name] = exact_gap(bed, NeuralPolicy(networks.alone(copy), inputs))
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
    code, parts = commit(), arguments.parts.split(",")
    learned: dict[str, Gap] = {}
    seconds = 0.0
    if "specialists" in parts:
        learned, seconds = specialists(arguments.updates, arguments.paths, arguments.start)
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
            row |= learned[bed.name].cells("specialist")
            row["specialist_cpu_seconds"] = f"{seconds:.1f}"
        if pretrained is not None:
            row |= exact_gap(bed, pretrained.fit(bed.instance, bed.demand)).cells("generalist")
        family = bed.name.split("/")[1].split("-")[0]
        peer = peers.get((family, bed.problem.shortage_cost, bed.problem.lead_time))
        if peer is not None and bed.name in {each.name for each in beds[:32]}:
            row["capped_base_stock_gap_pct"] = peer["capped_base_stock_gap_pct"]
            row["projected_inventory_level_gap_pct"] = peer["pil_gap_pct"]
        table.append(row)
    told = summary(table[:32], "32 instances") + summary(table[32:], "off the grid")
    print("\n".join(told))
    if arguments.out is not None:
        columns = [{column: row.get(column) for column in COLUMNS} for row in table]
        remarks = [
            "all costs exact, orders in whole units; gaps and half-widths in % of the optimum; "
            "the 32 instances first, then systems off the grid"
        ]
        write_results(arguments.out, pl.DataFrame(columns, infer_schema_length=None), code, remarks)


if __name__ == "__main__":
    main()
