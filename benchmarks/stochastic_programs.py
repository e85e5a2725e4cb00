"""Published stochastic programs by decomposition, beside the extensive form where there is one.

    python benchmarks/stochastic_programs.py ../shared/data docs/results/stochastic_programs.csv

Multistage programs go through SDDP for a fixed number of iterations; two-stage ones through
Benders or dual decomposition (`TOGETHER`), to a gap of 1e-4 or `--seconds` of CPU. With `--only`,
rows of other instances stay as they are in the table. The extensive form has as many CPU seconds.
Time of both holds building. Extensive forms that `docs/results/known_values.csv` already holds are
taken from there, with their seconds of wall time on idle cores. `sizes3 published` is sizes3 with
the demands that were published (`SIZES3-dat`); the second scenario of the file itself differs.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from optrl_formulations.extensive_form import TwoStageProgram
from result_table import ROOT, commit, write_results

from optrl.decomposition.benders import Benders, BendersSettings, TwoStageResult
from optrl.decomposition.dual_decomposition import DualDecomposition, DualSettings
from optrl.decomposition.sddp import PolicyGraph, Sddp, Stopping, train, two_stage_graph
from optrl.formats.recognition import read
from optrl.solver import InfeasibleError, Model, NoSolutionError, Progress
from optrl.testbeds.stochastic_programs import PROGRAMS, farmer

ITERATIONS, GAP = 45, 1e-4
SIZES = re.compile(r"param DemandsSecondStage :=(.*?);", re.DOTALL)

# Scenarios that start together in a block, or stay in Benders' master; Benders with none elsewhere.
TOGETHER = {"sizes3": 1, "sizes3 published": 1, "dcap233_200": 40}
RETAINED = {"r04-7-16": 2, "r04-9-16": 2}

Row = dict[str, str | float | int | None]


class SpentError(Exception):
    """The CPU seconds are spent."""


def two_stage(data: Path) -> Iterator[tuple[str, float | None, Callable[[], TwoStageProgram]]]:
    """Name, published or known optimum, and how to read each two-stage program."""

    def of(path: Path) -> Callable[[], TwoStageProgram]:
        def load() -> TwoStageProgram:
            stages = read(path)[0].stages
            assert stages is not None
            return stages

        return load

    yield "farmer", -108_390.0, farmer
    folder = data / "stochastic-network-design"
    known = json.loads((folder / "known_values.json").read_text())
    for path in sorted(folder.glob("*.dat")):
        yield path.stem, known[path.stem]["optimum"], of(path)
    chances = [(p.stem, known[p.stem]["optimum"], of(p)) for p in sorted(folder.glob("*.ndp"))]
    folder = data / "stochastic-smps"
    known = json.loads((folder / "known_values.json").read_text())
    optimum = {name: about.get("optimum") for name, about in known.items()}
    optimum["sizes3"] = known["sizes3"]["optimum_this_file"]
    optimum["dcap233_200"] = known["dcap233_200"]["published_approx"]
    for path in sorted(folder.glob("*.cor")):
        yield path.stem, optimum[path.stem], of(path)
    yield "sizes3 published", known["sizes3"]["published"], lambda: published_sizes(folder)
    yield from chances


def published_sizes(folder: Path) -> TwoStageProgram:
    """sizes3 with the demands of the published .dat files, in thousands."""
    stages = read(folder / "sizes3.cor")[0].stages
    assert stages is not None
    demand = []
    for scenario in (1, 2, 3):
        text = (folder / "SIZES3-dat" / f"Scenario{scenario}.dat").read_text()
        found = SIZES.search(text)
        assert found is not None
        demand.append([float(word) / 1000 for word in found[1].split()[1::2]])
    seen = replace(stages.scenarios, row_lower=np.array(demand))
    return replace(stages, scenarios=seen)


def extensive(stages: TwoStageProgram, seconds: float) -> tuple[float | None, str, float]:
    """Value of the extensive form, how it ended, and CPU seconds."""
    began = time.process_time()
    last: list[Progress] = []

    def spent(progress: Progress) -> None:
        last.append(progress)
        if time.process_time() - began > seconds:
            raise SpentError

    try:
        solved = Model(stages.extensive_form()).solve(relative_gap=GAP, progress=spent)
        value, ended = float(solved.objective), solved.status.value
    except SpentError:
        value = last[-1].objective
        ended = f"seconds, gap {last[-1].gap:.2g}"
    except (NoSolutionError, InfeasibleError) as error:
        raise SystemExit(f"the extensive form has no solution: {error}") from error
    return value, ended, time.process_time() - began


def kept_extensive(name: str) -> tuple[float, str, float] | None:
    """The same of an extensive form that was solved for the table of known values."""
    table = pl.read_csv(ROOT / "docs/results/known_values.csv", comment_prefix="#")
    found = table.filter((pl.col("problem") == name) & (pl.col("format") == "smps"))
    if found.is_empty():
        return None
    row = found.row(0, named=True)
    return row["objective"], f"{row['status']}, kept", row["seconds"]


def decomposed(name: str, graph: PolicyGraph, seconds: float) -> tuple[str, TwoStageResult]:
    """The method that fits, and what it found."""
    if name in TOGETHER:
        dual = DualSettings(gap=GAP, seconds=seconds, together=TOGETHER[name])
        method = f"dual decomposition, {dual.together} together"
        return method, DualDecomposition(graph, dual, clock=time.process_time).run()
    settings = BendersSettings(gap=GAP, seconds=seconds, retained=RETAINED.get(name, 0))
    method = f"Benders, {settings.retained} retained" if settings.retained else "Benders"
    return method, Benders(graph, settings, clock=time.process_time).run()


def two_stages(name: str, known: float | None, program: TwoStageProgram, seconds: float) -> Row:
    """One row of a two-stage program."""
    began = time.process_time()
    method, result = decomposed(name, two_stage_graph(program), seconds)
    spent = time.process_time() - began
    if known is not None and result.bound > known + 1e-3 * abs(known):
        raise SystemExit(f"{name}: the bound {result.bound} lies above the optimum {known}")
    value, ended, extensive_seconds = kept_extensive(name) or extensive(program, seconds)
    return {
        "instance": name,
        "method": method,
        "scenarios": len(program.scenarios.probability),
        "published": known,
        "bound": round(result.bound, 5),
        "value": round(result.value, 5),
        "gap": float(f"{result.gap:.2g}"),
        "ended": result.ended,
        "iterations": result.iterations,
        "cpu_seconds": round(spent, 2),
        "extensive_value": round(value, 5) if np.isfinite(value) else None,
        "extensive_ended": ended,
        "extensive_cpu_seconds": round(extensive_seconds, 2),
    }


def multistage(name: str) -> Row:
    """One row of a multistage program."""
    published = PROGRAMS[name]
    began = time.process_time()
    sddp = Sddp(published.graph(), seed=1)
    train(sddp, Stopping(iterations=ITERATIONS))
    spent = time.process_time() - began
    upper = sddp.simulate(200, seed=2)
    return {
        "instance": name,
        "method": "SDDP",
        "scenarios": None,
        "published": published.optimum,
        "bound": round(sddp.bound, 5),
        "value": round(upper.mean, 5),
        "gap": float(f"{abs(sddp.bound - published.optimum) / abs(published.optimum):.2g}"),
        "ended": f"simulated +- {upper.half_width:.3g}",
        "iterations": ITERATIONS,
        "cpu_seconds": round(spent, 2),
        "extensive_value": None,
        "extensive_ended": "not run",
        "extensive_cpu_seconds": None,
    }


def main() -> None:
    """Measure and write the table after each program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--only", nargs="*", help="names of instances; all if none")
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU seconds of each method")
    args = parser.parse_args()
    code = commit()
    rows: list[Row] = []
    old: list[Row] = []
    if args.only and args.table.exists():
        before = re.search(r"^# commit: (.*)$", args.table.read_text(), re.MULTILINE)
        kept = pl.read_csv(args.table, comment_prefix="#").to_dicts()
        old = [{**row, "code": row.get("code") or (before and before[1])} for row in kept]
    remarks = [
        "CPU seconds of one thread; gap: (value - bound) / |value| but of SDDP's bound to the",
        "published optimum; value of SDDP: mean of 200 simulated paths, with its 95 % interval;",
        "iterations: rounds of SDDP, masters of Benders, rounds of dual decomposition;",
        "seconds: CPU seconds allowed; code: commit of the row",
    ]

    def keep(row: Row) -> None:
        rows.append({**row, "seconds": args.seconds, "code": code})
        print(row, flush=True)
        new = {r["instance"]: r for r in rows}
        stay = [new.pop(r["instance"], r) for r in old]
        table = pl.DataFrame([*stay, *new.values()], infer_schema_length=None)
        write_results(args.table, table, code, remarks)

    for name in PROGRAMS:
        if not args.only or name in args.only:
            keep(multistage(name))
    for name, known, load in two_stage(args.data):
        if not args.only or name in args.only:
            keep(two_stages(name, known, load(), args.seconds))


if __name__ == "__main__":
    main()
