"""Value functions inside linear programs: exactness, and what they cost to solve.

Exactness: random functions of each kind at random points, embedded value against the float64
forward pass, and against a random linear objective that moves the point. Time: a stage problem of
the Iowa network (4 weeks, customers merged) with a network of 2 x 64 units over stock and
pipeline of every item and node, fitted to a convex function with kinks at typical stocks. All
forms go through the same compiler and solver, from the same states; seconds are CPU seconds of
one thread, medians over states. The peer OMLT (big-M) takes networks without skip connections, so
that there are two networks.

    python benchmarks/embedding.py [examples/iowa/instance] [--quick] [--table FILE]
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import torch
from embedding_stage import HIDDEN, Stage, by_item, fitted, iowa, with_omlt
from optrl_formulations.joining import AffineMap
from optrl_formulations.linear_program import LinearProgram
from scipy.sparse import csr_matrix

from optrl.networks.input_convex import InputConvexNetwork
from optrl.solver import Model, NoSolutionError, compile_model
from optrl.values.base import ValueFunction, verify
from optrl.values.cuts import MaxAffine
from optrl.values.embedding import embed
from optrl.values.input_convex import InputConvex
from optrl.values.partially_convex import PartiallyConvex
from optrl.values.relu import Relu
from optrl.values.separable import Separable
from optrl.values.tightening import tightened

FIELDS = (
    "measure",
    "form",
    "rows",
    "columns",
    "binaries",
    "cases",
    "first_seconds",
    "again_seconds",
    "first_ratio",
    "again_ratio",
    "largest_difference",
    "note",
)


def random_value(kind: str, generator: np.random.Generator) -> ValueFunction:
    """A random function on -3 <= x <= 3 of 2 to 8 arguments."""
    k = int(generator.integers(2, 9))
    lower, upper = np.full(k, -3.0), np.full(k, 3.0)
    if kind == "separable":
        width = generator.uniform(0, 2, (k, 5))
        width[:, -1] = np.inf
        return Separable(width, np.sort(generator.normal(size=(k, 5)), axis=1), lower)
    if kind == "cuts":
        return MaxAffine.on_box(
            generator.normal(size=20), generator.normal(size=(20, k)), lower, upper
        )
    hidden = (16, 16) if kind == "input_convex" else (8, 8)
    network = InputConvexNetwork(
        k, hidden, generator=torch.Generator().manual_seed(int(generator.integers(2**31)))
    )
    value = InputConvex.of_arrays(network.export())
    if kind == "input_convex":
        return value
    signs = tuple(w * generator.choice([-1.0, 1.0], w.shape) for w in value.network.hidden_weight)
    return Relu.on_box(replace(value.network, hidden_weight=signs), lower, upper)


def exactness(kind: str, cases: int) -> float:
    """Largest relative difference over random functions and objectives."""
    worst = 0.0
    for case in range(cases):
        generator = np.random.default_rng([case, 17])
        value = random_value(kind, generator)
        model = pyo.ConcreteModel()
        model.y = pyo.Var(range(value.size), bounds=(-2.9, 2.9))
        model.objective = pyo.Objective(
            expr=pyo.quicksum(
                float(c) * y
                for c, y in zip(generator.normal(size=value.size), model.y.values(), strict=True)
            )
        )
        base = compile_model(model)
        identity = AffineMap({"y": csr_matrix(np.eye(value.size))}, {}, np.zeros(value.size))
        embedding = embed(base, value, identity)
        solver = Model(embedding.program)
        solution = solver.solve(relative_gap=1e-9)
        worst = max(
            worst,
            verify(value, embedding.points(solver, solution), embedding.embedded(solver, solution)),
        )
    return worst


@dataclass(frozen=True)
class Timing:
    """CPU seconds of first solve and re-solves, and objectives by state."""

    first: float
    again: float
    objectives: list[float]
    note: str = ""


def timed(
    program: LinearProgram,
    stage: Stage,
    stocks: int,
    limit: float,
    check: Callable[[Model, Any], float] | None = None,
    scaling: bool = True,
) -> tuple[Timing, float]:
    """Solve from several states; the first solve starts cold, later ones from the last basis."""
    slot = next(n for n in program.data if n.endswith("initial_on_hand"))
    model = Model(program, scaling=scaling)
    seconds: list[float] = []
    objectives: list[float] = []
    worst, note = 0.0, ""
    for stock in stage.stocks[:stocks]:
        model.push_data(slot, stock)
        began = time.process_time()
        try:
            solution = model.solve(time_limit=limit, relative_gap=1e-6)
        except NoSolutionError:
            seconds.append(time.process_time() - began)
            objectives.append(np.nan)
            note = f"no solution within {limit:g} s"
            continue
        seconds.append(time.process_time() - began)
        objectives.append(solution.objective)
        if solution.status.name != "OPTIMAL":
            note = f"stopped after {limit:g} s of wall time, gap {solution.gap:.1%}"
        if check is not None:
            worst = max(worst, check(model, solution))
    again = float(np.median(seconds[1:])) if len(seconds) > 1 else seconds[0]
    return Timing(seconds[0], again, objectives, note), worst


def times(stage: Stage, name: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of the table, one a form; "unscaled" is `Model(program, scaling=False)`."""
    lps, mips, limit = (3, 1, 10.0) if quick else (11, 2, 60.0)
    bare, _ = timed(stage.base, stage, lps, limit)
    yield row(name, "bare LP", stage.base, bare, bare, lps)
    upper = 20.0 * stage.scale
    for skips in (True, False):
        value = fitted(stage, skips, 200 if quick else 1500)
        label = "skip connections" if skips else "no skip connections"
        epigraph = embed(stage.base, value, stage.arguments)
        found, worst = timed(epigraph.program, stage, lps, limit, epigraph.check)
        form = f"input-convex epigraph, {label}"
        yield row(name, form, epigraph.program, found, bare, lps, worst)
        plain, worst = timed(epigraph.program, stage, lps, limit, epigraph.check, scaling=False)
        assert np.allclose(plain.objectives, found.objectives, rtol=1e-6)
        yield row(name, f"{form}, unscaled", epigraph.program, plain, bare, lps, worst)
        interval = Relu.on_box(value.network, np.zeros_like(upper), upper)
        began = time.process_time()
        bounds = tightened(value.network, np.zeros_like(upper), upper)
        spent = time.process_time() - began
        for kind, network in (
            ("interval bounds", interval),
            (f"LP bounds ({spent:.1f} s)", Relu(value.network, bounds)),
        ):
            big = embed(stage.base, network, stage.arguments)
            mip, worst = timed(big.program, stage, mips, limit, big.check)
            agree(found, mip)
            yield row(name, f"big-M, {kind}, {label}", big.program, mip, bare, mips, worst)
        if not skips:
            peer = with_omlt(stage, interval)
            mip, _ = timed(peer, stage, mips, limit)
            agree(found, mip)
            yield row(name, f"OMLT big-M, {label}", peer, mip, bare, mips)


def agree(lp: Timing, mip: Timing) -> None:
    """The epigraph's optimum is no more than a big-M solution, and equal where that is optimal."""
    for low, high in zip(lp.objectives, mip.objectives, strict=False):
        if np.isnan(high):
            continue
        assert low <= high + 1e-5 * abs(high), (low, high)
        assert mip.note or abs(low - high) <= 1e-5 * abs(high), (low, high)


def context(stage: Stage, repeats: int) -> Iterator[dict[str, Any]]:
    """Moving a context by pushes against embedding anew, first solve included in neither."""
    network = InputConvexNetwork(
        len(stage.arguments), HIDDEN, contexts=8, generator=torch.Generator().manual_seed(0)
    )
    network.scale_to(
        torch.as_tensor(stage.scale) * 2 * torch.rand(64, len(stage.arguments)),
        1000.0 * torch.randn(64),
        torch.randn(64, 8),
    )
    family = PartiallyConvex.of_arrays(network.export())
    generator = np.random.default_rng(0)
    embedding = embed(stage.base, family.at(np.zeros(8)), stage.arguments)
    model = Model(embedding.program)
    embedding.check(model, model.solve())
    pushes, solves, builds, worst = [], [], [], 0.0
    for _ in range(repeats):
        value = family.at(generator.normal(size=8))
        began = time.process_time()
        embedding = embedding.push(model, value)
        pushes.append(time.process_time() - began)
        began = time.process_time()
        solution = model.solve()
        solves.append(time.process_time() - began)
        worst = max(worst, embedding.check(model, solution))
        began = time.process_time()
        fresh = embed(stage.base, value, stage.arguments)
        builds.append(time.process_time() - began)
        assert np.isclose(Model(fresh.program).solve().objective, solution.objective, rtol=1e-6)
    base = {"measure": "new context", "cases": repeats, "largest_difference": f"{worst:.1e}"}
    yield base | {"form": "pushed", "again_seconds": f"{np.median(pushes):.5f}"}
    yield base | {"form": "solved again after it", "again_seconds": f"{np.median(solves):.4f}"}
    yield base | {"form": "embedded anew", "again_seconds": f"{np.median(builds):.3f}"}


def row(
    measure: str,
    form: str,
    program: LinearProgram,
    found: Timing,
    bare: Timing,
    cases: int,
    worst: float | None = None,
) -> dict[str, Any]:
    """A row of the table."""
    return {
        "measure": measure,
        "form": form,
        "rows": len(program.row_lower),
        "columns": len(program.cost),
        "binaries": int(program.integrality.sum()),
        "cases": cases,
        "first_seconds": f"{found.first:.3f}",
        "again_seconds": f"{found.again:.4f}",
        "first_ratio": f"{found.first / bare.first:.2f}",
        "again_ratio": f"{found.again / bare.again:.2f}",
        "largest_difference": "" if worst is None else f"{worst:.1e}",
        "note": found.note,
    }


def main() -> None:
    """Print rows, write the table, and say whether targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="examples/iowa/instance")
    parser.add_argument("--quick", action="store_true", help="few cases, to see that it runs")
    parser.add_argument("--table", type=Path, help="CSV file to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []

    def keep(found: dict[str, Any]) -> None:
        rows.append(found)
        print("  ".join(f"{k}={v}" for k, v in found.items() if v != ""), flush=True)

    cases = 10 if given.quick else 200
    for kind in ("separable", "cuts", "input_convex", "relu"):
        worst = exactness(kind, cases)
        keep(
            {
                "measure": "exactness",
                "form": kind,
                "cases": cases,
                "largest_difference": f"{worst:.1e}",
                "note": "target 1e-6",
            }
        )
    stage = iowa(given.folder, 4, 11)
    for found in context(stage, 3 if given.quick else 10):
        keep(found)
    for problem, name in ((by_item(stage), "totals by item"), (stage, "every item and node")):
        for found in times(
            problem, f"time, {len(problem.arguments)} arguments: {name}", given.quick
        ):
            keep(found)
    if given.table:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        with given.table.open("w", newline="", encoding="utf-8") as file:
            shown = " ".join(sys.argv[1:])
            file.write(f"# command: python benchmarks/embedding.py {shown}\n")
            file.write(
                f"# commit: {commit}; Iowa network, 4 weeks, networks of 2 x 64 units; "
                f"CPU seconds of one thread, medians; load "
                f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores\n"
            )
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
