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
from optrl_formulations.joining import AffineMap
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.replenishment import add_replenishment
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree
from scipy.sparse import csr_matrix

import optrl
from optrl.demand.fit import fit
from optrl.networks.input_convex import InputConvexNetwork
from optrl.policies.lookahead import elastic
from optrl.solver import Model, NoSolutionError, compile_model
from optrl.stages.coarse import CoarseView, with_root
from optrl.values.base import ValueFunction, verify
from optrl.values.cuts import MaxAffine
from optrl.values.embedding import embed
from optrl.values.input_convex import InputConvex
from optrl.values.partially_convex import PartiallyConvex
from optrl.values.program_state import model_columns, program_columns
from optrl.values.relu import Relu
from optrl.values.separable import Separable
from optrl.values.state_columns import StateColumns
from optrl.values.tightening import tightened

HIDDEN = (64, 64)
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
class Stage:
    """A stage problem, its states, and the state's columns at its end."""

    layout: ReplenishmentLayout
    data: ReplenishmentData
    base: LinearProgram
    columns: StateColumns
    arguments: AffineMap
    stocks: tuple[np.ndarray, ...]
    scale: np.ndarray


def iowa(folder: str, periods: int, states: int) -> Stage:
    """The lookahead's program of the Iowa network over `periods` weeks, without safety values."""
    instance = optrl.load(folder)
    demand = fit(instance)
    path = demand.mean(instance.start, periods)
    view = CoarseView.of(instance, path.mean(axis=2), ranks=2)
    network = elastic(view.aggregation.network)
    pairs = view.demand_pairs
    layout = ReplenishmentLayout(
        network, ScenarioTree.chain(periods), instance.start, pairs, view.held()
    )
    start = view.start()
    data = ReplenishmentData(start.on_hand, start.due, start.backlog, with_root(view.demand(path)))
    columns = StateColumns.of(instance, moment="next_decision", pipeline="total")
    arguments = program_columns(columns, layout, data.due.shape[2])
    generator = np.random.default_rng(0)
    stocks = tuple(
        layout.initial_on_hand.gather(start.on_hand)
        * generator.uniform(0.3, 1.5)
        * generator.uniform(0.5, 1.5, len(layout.initial_on_hand))
        for _ in range(states)
    )
    # Typical numbers of each column: what stands there now, or a week's demand of the item.
    first = columns.gather(
        *(torch.as_tensor(x) for x in (instance.on_hand, instance.due, instance.backlog))
    ).numpy()
    weekly = path.mean(axis=2).sum(axis=1)[columns.item]
    scale = np.maximum(first, 0.5 * weekly + 1.0)
    return Stage(layout, data, build_replenishment(layout, data), columns, arguments, stocks, scale)


def fitted(stage: Stage, skips: bool, steps: int) -> InputConvex:
    """An input-convex network fitted to separable kinks and a joint one."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    scale = torch.as_tensor(stage.scale).float()
    network = InputConvexNetwork(len(stage.arguments), HIDDEN, generator=generator)
    weight = 0.5 + torch.rand(len(stage.arguments), generator=generator)

    def sample(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        u = 2 * torch.rand(rows, len(scale), generator=generator)
        u = u * 1.5 * torch.rand(rows, 1, generator=generator)
        short = (1 - u).clamp(min=0)
        joint = 4 * ((u * weight).mean(1) - 1.0).clamp(min=0) * len(scale) ** 0.5
        value = (weight * (9 * short + 0.3 * u)).sum(1) + joint
        return u * scale, value * 100.0

    network.scale_to(*sample(4096))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        x, y = sample(256)
        ((network(x) - y) / network.value_scale).square().mean().backward()
        optimizer.step()
        if not skips:
            with torch.no_grad():
                network.argument_weight[1].zero_()
                start = sum(HIDDEN) + HIDDEN[-1]
                network.head_bias[start:-1] = 0.0
    arrays = network.export()
    if not skips:
        arrays["output_argument"] = np.zeros_like(arrays["output_argument"])
    return InputConvex.of_arrays(arrays)


def by_item(stage: Stage) -> Stage:
    """The stage problem with each item's whole stock and whole pipeline as arguments."""
    columns = stage.columns
    sums = np.array(
        [
            (columns.item == item) & (columns.kind == kind)
            for item in np.unique(columns.item)
            for kind in np.unique(columns.kind)
        ],
        dtype=float,
    )
    every = stage.arguments
    arguments = AffineMap(
        {name: csr_matrix(sums @ matrix) for name, matrix in every.columns.items()},
        {name: csr_matrix(sums @ matrix) for name, matrix in every.data.items()},
        sums @ every.offset,
    )
    return replace(stage, arguments=arguments, scale=sums @ stage.scale)


def with_omlt(stage: Stage, value: Relu) -> LinearProgram:
    """The same stage problem with OMLT's big-M of the same network."""
    from omlt import OmltBlock
    from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
    from omlt.neuralnet.layer import DenseLayer, InputLayer

    box = value.bounds
    sides = {
        k: (float(low), float(high))
        for k, (low, high) in enumerate(zip(box.argument_lower, box.argument_upper, strict=True))
    }
    definition = NetworkDefinition(scaled_input_bounds=sides)
    before = InputLayer([value.size])
    definition.add_layer(before)
    net = value.network
    output = (net.output_hidden[None], np.array([net.output_bias]))
    weights = [net.argument_weight[0], *net.hidden_weight]
    for weight, bias in (*zip(weights, net.bias, strict=True), output):
        layer = DenseLayer(
            [weight.shape[1]],
            [weight.shape[0]],
            activation="linear" if weight is output[0] else "relu",
            weights=weight.T,
            biases=bias,
        )
        definition.add_layer(layer)
        definition.add_edge(before, layer)
        before = layer
    model = pyo.ConcreteModel()
    model.stage = pyo.Block(concrete=True)
    handles = add_replenishment(model.stage, stage.layout, stage.data)
    model.network = OmltBlock()
    model.network.build_formulation(ReluBigMFormulation(definition))
    expressions = model_columns(stage.arguments, handles)
    model.tie = pyo.Constraint(
        range(value.size), rule=lambda m, k: m.network.inputs[k] == expressions[k]
    )
    model.objective = pyo.Objective(expr=handles.cost + model.network.outputs[0])
    return compile_model(model, handles.data)


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
