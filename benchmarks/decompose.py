"""Many items under one shared throughput: the decomposition against the whole program in HiGHS.

    python benchmarks/decompose.py docs/results/decompose.csv --items 100 1000 10000 100000

Each run is a process of its own, so that its processor time and peak memory are its own. The whole
program is solved by each method asked for, within a limit of processor time; a method that does
not end is reported as "at least" that. The decomposition is timed until both bounds are certified
within the target, building of its arrays and first prices included.

``lots`` is another problem: items at one place, ordered in lots of their own, some with smallest
quantities, all with fixed costs. Its rows are of a plan in whole lots, and of the bound for such.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import polars as pl
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import Resource
from optrl_formulations.replenishment_arrays import build_replenishment
from result_table import commit, write_results

from optrl.building import build
from optrl.decomposition.blocks.events import Event, Iterated, Stopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.replenishment import OracleName, decompose, whole_plan
from optrl.testbeds.shared_capacity import SharedCapacity

STORES, PERIODS, TIGHTNESS, SWING = 4, 12, 1.0, 0.5
METHODS = ("simplex", "ipm", "pdlp")
_AMPLE, _SMALL = 10, 10_000


def problem(items: int) -> ReplenishmentItems:
    """One path of Poisson demand, known in advance."""
    bed = SharedCapacity.case(items, STORES, TIGHTNESS, periods=PERIODS, swing=SWING)
    generator = np.random.default_rng(1)
    path = bed.demand.sample(1, bed.instance.start, PERIODS, generator)[0]
    return ReplenishmentItems.of(bed.instance, path)


def in_lots(items: int) -> ReplenishmentItems:
    """Items at one place behind one dock, in lots of 2-8, one path of Poisson demand."""
    generator = np.random.default_rng(0)
    mean = generator.gamma(2.0, 2.5, items)
    volume, value = generator.uniform(0.5, 1.5, items), generator.uniform(0.5, 2.0, items)
    lot = generator.integers(2, 9, items).astype(float)
    season = 1 + SWING * np.sin(2 * np.pi * np.arange(PERIODS) / PERIODS)
    demand = generator.poisson(mean[:, None] * season).astype(float)
    dock = Resource("dock", "inbound", volume, np.array([float(volume @ mean)]), node=1)
    instance = build(
        "lots",
        {"supplier": "supplier", "store": "stocking"},
        {("supplier", "store"): 1},
        ["store"],
        unmet="lost",
        horizon=PERIODS,
        items=items,
        holding_cost={"store": value},
        shortage_cost={"store": generator.uniform(9.0, 39.0, items) * value},
        on_hand={"store": np.round(2 * mean)},
        resources_=(dock,),
    )
    fixed = (generator.uniform(0.0, 8.0, items) * value)[:, None]
    two_lots = 2 * lot[:, None] * (generator.random((items, 1)) < 0.3)
    network = replace(
        instance.network, lot_size=lot[:, None], minimum_quantity=two_lots, fixed_cost=fixed
    )
    return ReplenishmentItems.of(replace(instance, network=network), demand[:, None, :])


def planned_in_lots(items: int) -> dict[str, Any]:
    """Gap of a plan in whole lots to the bound for whole lots."""
    whole = in_lots(items)
    began, wall = time.process_time(), time.perf_counter()
    result = decompose(
        whole, oracle="lots", stopping=Stopping(gap=1e-4, iterations=40), with_plan=False
    )
    if result.failure is not None:
        raise RuntimeError(str(result.failure))
    chosen = whole_plan(whole, result)
    return {
        "lower": chosen.lower,
        "upper": chosen.cost,
        "gap": chosen.gap,
        "rounds": len(result.trace),
        "cpu": time.process_time() - began,
        "wall": time.perf_counter() - wall,
        "note": f"{chosen.split} items split, {chosen.decided} decided, answer at the prices "
        f"{chosen.excess:.2%} above a capacity, repair cost {chosen.repair_cost:.4g}",
    }


def decomposed(items: int, oracle: OracleName, target: float) -> dict[str, Any]:
    """Time until the gap is certified."""
    whole = problem(items)
    began, wall = time.process_time(), time.perf_counter()
    first: dict[str, float] = {}
    small = items <= _SMALL

    def told(event: Event) -> None:
        if isinstance(event, Iterated) and event.row.gap <= target:
            first.setdefault("cpu", time.process_time() - began)

    result = decompose(
        whole,
        oracle=oracle,
        stopping=Stopping(gap=1e-4 if small else target, iterations=60),
        with_plan=small,
        told=told,
    )
    if result.failure is not None:
        raise RuntimeError(str(result.failure))
    return {
        "lower": result.lower,
        "upper": result.upper,
        "gap": result.gap,
        "rounds": len(result.trace),
        "cpu_to_target": first.get("cpu"),
        "cpu": time.process_time() - began,
        "wall": time.perf_counter() - wall,
    }


def whole(items: int, method: str) -> dict[str, Any]:
    """Time of HiGHS on the whole program, building included."""
    everything = problem(items)
    began, wall = time.process_time(), time.perf_counter()
    program = build_replenishment(everything.layout, everything.data)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("solver", method)
    load(highs, program)
    highs.run()
    status = highs.getModelStatus()
    optimal = status == highspy.HighsModelStatus.kOptimal
    value = highs.getInfo().objective_function_value + constant(program)
    return {
        "lower": value if optimal else None,
        "upper": value if optimal else None,
        "note": str(status).rsplit(".k", maxsplit=1)[-1],
        "cpu": time.process_time() - began,
        "wall": time.perf_counter() - wall,
    }


def constant(program: LinearProgram) -> float:
    """What the data cost by themselves."""
    return program.offset + sum(float(b.cost @ b.value) for b in program.data.values())


def load(highs: highspy.Highs, program: LinearProgram) -> None:
    """Pass a program at its data."""
    shift, matrix = program.row_shift(), program.matrix
    highs.passModel(
        *(matrix.shape[1], matrix.shape[0], matrix.nnz),
        *(int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), 0.0),
        *(program.cost, program.column_lower, program.column_upper),
        *(program.row_lower - shift, program.row_upper - shift),
        *(matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data),
        np.zeros(len(program.cost), dtype=np.int32),
    )


def measured(arguments: list[str], limit: float) -> dict[str, Any]:
    """Run this file in a process of its own, within a limit of processor time."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))

    done = subprocess.run(
        [sys.executable, __file__, "--one", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=bounded,
    )
    if done.returncode:
        if done.returncode in (-24, -9):
            return {"cpu": limit, "note": f"not solved within {limit:g} CPU s"}
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(kind: str, items: int, target: float) -> dict[str, Any]:
    """One run in this process, with the peak of its resident memory."""
    if kind in METHODS:
        row = whole(items, kind)
    elif kind == "lots":
        row = planned_in_lots(items)
    else:
        row = decomposed(items, "flow" if kind == "flow" else "scenario_lp", target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return row | {"peak_memory_gib": peak}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--items", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--whole", type=int, default=10_000, help="largest N of whole programs")
    parser.add_argument("--blocks-of-programs", type=int, default=10_000, help="largest N of them")
    parser.add_argument("--lots", type=int, default=10_000, help="largest N in whole lots")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--target", type=float, default=0.005)
    parser.add_argument("--limit", type=float, default=600.0, help="CPU seconds of whole programs")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "N"))
    options = parser.parse_args()
    if options.one:
        kind, items = options.one
        print(json.dumps(one(kind, int(items), options.target)))
        return
    code, rows = commit(), []
    for items in options.items:
        kinds = ["flow"]
        kinds += ["lots"] if items <= options.lots else []
        kinds += ["scenario_lp"] if items <= options.blocks_of_programs else []
        kinds += options.methods if items <= options.whole else []
        for kind in kinds:
            arguments = [kind, str(items), "--target", str(options.target)]
            row = {"items": items, "method": kind} | measured(
                [*arguments, "--limit", str(options.limit)],
                options.limit if kind in METHODS else _AMPLE * options.limit,
            )
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
            if options.out is not None:
                write(options.out, rows, code, options)


def write(path: Path, rows: list[dict[str, Any]], code: str, options: argparse.Namespace) -> None:
    """The table so far."""
    table = pl.DataFrame(rows, infer_schema_length=None).sort("items", maintain_order=True)
    numbers = [name for name, kind in table.schema.items() if kind == pl.Float64]
    write_results(
        path,
        table.with_columns(pl.col(numbers).round_sig_figs(7)),
        code,
        [
            f"shared-capacity: {STORES} stores, {PERIODS} periods, tightness {TIGHTNESS:g}, swing "
            f"{SWING:g}, one path of Poisson demand; 12 capacity rows, about 214 columns an item",
            "flow, scenario_lp: the decomposition by that oracle, one process, level bundle; "
            "simplex, ipm, pdlp: HiGHS on the whole program",
            "lots: a plan in whole lots, smallest quantities and fixed costs (1 place, 12 capacity "
            "rows); lower is for whole lots, upper the plan",
            "CPU seconds on one thread of a shared machine, building of arrays included; "
            f"cpu_to_target: until (upper - lower) / upper <= {options.target:g} was certified; "
            "cpu: until 0.0001 and with the plan up to 10,000 items, until the target beyond",
        ],
    )


if __name__ == "__main__":
    main()
