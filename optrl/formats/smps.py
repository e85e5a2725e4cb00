"""Two-stage stochastic programs in SMPS: a core file, a time file and a stochastic file.

The core (.cor) is an MPS file; the time file (.tim) names the first column and row of each
stage; the stochastic file (.sto) changes numbers of the core by INDEP (independent numbers),
BLOCKS (independent groups of numbers) or SCENARIOS. Any of the three files, or their common
stem, stands for all. The deterministic equivalent is solved.

Probabilities that sum to 1 within 1e-4 are accepted and normalized, with a note: published files
round them. Supported are two stages with an implicit time file and discrete values that replace
those of the core; anything else is an error that says so.

Source: Birge et al. (1987), A standard input format for multiperiod stochastic linear programs,
    COAL Newsletter 17, 1-19. Gassmann and Schweitzer (2001), A comprehensive input format for
    stochastic linear programs, Annals of Operations Research 104, 89-125.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from optrl_formulations.extensive_form import TwoStageProgram
from optrl_formulations.network import BoolArray

from optrl.formats.mps import parse as parse_core
from optrl.formats.problem import FormatError, OpenParameters, Problem, read_text
from optrl.formats.smps_core import Core
from optrl.formats.smps_stochastic import read_stochastic

_SUFFIXES = {"core": (".cor", ".core"), "time": (".tim", ".time"), "sto": (".sto", ".stoch")}
_ALL = tuple(suffix for group in _SUFFIXES.values() for suffix in group)


def recognizes(path: Path, head: str) -> bool:
    """One of the three suffixes, or a stem beside which the core file lies."""
    if path.suffix.lower() in _ALL:
        return True
    return not path.exists() and _beside(path, "core") is not None


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the three files.

    Raises:
        FormatError: If a file is missing or does not follow the format.
    """
    stem = path.with_suffix("") if path.suffix.lower() in _ALL else path
    files = {}
    for kind, suffixes in _SUFFIXES.items():
        found = _beside(stem, kind)
        if found is None:
            raise FormatError(
                path,
                None,
                f"the {kind} file {stem.name}{suffixes[0]} is missing",
                "Put the three files side by side.",
            )
        files[kind] = found
    program = parse_core(files["core"])
    core = Core.of(program, files["core"])
    first_columns, first_rows = _stages(files["time"], core)
    scenarios, notes = read_stochastic(files["sto"], core)
    stages = TwoStageProgram(program, first_columns, first_rows, scenarios)

    size = {
        "scenarios": len(scenarios.probability),
        "first_stage_columns": int(first_columns.sum()),
        "second_stage_columns": int((~first_columns).sum()),
        "first_stage_rows": int(first_rows.sum()),
        "second_stage_rows": int((~first_rows).sum()),
    }
    return (Problem(stem.name, size, stages.extensive_form, notes=notes, stages=stages),)


def _beside(stem: Path, kind: str) -> Path | None:
    for suffix in _SUFFIXES[kind]:
        for name in (stem.name + suffix, stem.name + suffix.upper()):
            if stem.with_name(name).is_file():
                return stem.with_name(name)
    return None


def _stages(path: Path, core: Core) -> tuple[BoolArray, BoolArray]:
    """Which columns and rows of the core are of the first stage."""
    periods: list[tuple[int, str, str]] = []
    section = ""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("*"):
            continue
        if not line[0].isspace():
            section = words[0].upper()
            if section not in ("TIME", "PERIODS", "ENDATA") or "EXPLICIT" in line.upper():
                raise FormatError(
                    path,
                    number,
                    "only the implicit time file is supported: TIME, PERIODS, ENDATA",
                    "Order core and time file by stage.",
                    line.strip(),
                )
            continue
        if section != "PERIODS" or len(words) != 3:
            raise FormatError(
                path, number, "a line of PERIODS is column, row, period", "Correct it.", line
            )
        periods.append((number, words[0], words[1]))
    if len(periods) != 2:
        raise FormatError(
            path,
            periods[-1][0] if periods else None,
            "two stages are supported",
            "Merge the later stages.",
            f"{len(periods)} periods",
        )
    at, column, row = periods[1]
    if column not in core.columns or row not in core.rows:
        unknown = column if column not in core.columns else row
        raise FormatError(path, at, "the core has no such name", "Correct it.", unknown)
    return (
        np.arange(len(core.columns)) < core.columns[column],
        np.arange(len(core.rows)) < core.rows[row],
    )
