"""The stochastic file of SMPS: sections INDEP, BLOCKS and SCENARIOS, to arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optrl_formulations.extensive_form import Scenarios
from optrl_formulations.network import FloatArray, IntArray

from optrl.formats.problem import FormatError, parse_number, read_text
from optrl.formats.smps_core import Core, Target

_SECTIONS = ("STOCH", "INDEP", "BLOCKS", "SCENARIOS", "ENDATA")
_BOUNDS = {"UP": "upper", "LO": "lower", "FX": "fix"}
_TOLERANCE = 1e-4
_MOST_SCENARIOS = 100_000

_Change = dict[Target, float]


@dataclass
class _Group:
    """Alternatives of which one comes true, independently of other groups."""

    name: str
    line: int
    outcomes: list[tuple[float, _Change]]


def read_stochastic(path: Path, core: Core) -> tuple[Scenarios, tuple[str, ...]]:
    """Read a stochastic file.

    Returns:
        The scenarios, and notes on what was normalized.

    Raises:
        FormatError: If the file does not follow the format or uses what is not supported.
    """
    groups = _groups(path, core)
    if not groups:
        raise FormatError(path, None, "there are no scenarios", "Add INDEP, BLOCKS or SCENARIOS.")
    notes = []
    for group in groups:
        total = math.fsum(probability for probability, _ in group.outcomes)
        if abs(total - 1) > _TOLERANCE:
            raise FormatError(
                path,
                group.line,
                f"probabilities of {group.name} must sum to 1",
                "Correct them.",
                f"{total:.9g}",
            )
        if abs(total - 1) > 1e-12:
            notes.append(f"probabilities of {group.name} sum to {total:.9g}: normalized")
        group.outcomes = [(p / total, change) for p, change in group.outcomes]
    count = math.prod(len(group.outcomes) for group in groups)
    if count > _MOST_SCENARIOS:
        raise FormatError(
            path,
            None,
            f"independent numbers span {count} scenarios, more than {_MOST_SCENARIOS}",
            "Sample scenarios and give them as SCENARIOS.",
        )
    return _arrays(path, core, groups, count), tuple(notes)


def _groups(path: Path, core: Core) -> list[_Group]:
    independent: dict[object, _Group] = {}
    scenarios: dict[str, _Change] = {}
    listed: _Group | None = None
    section, change = "", None
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("*"):
            continue
        if not line[0].isspace():
            section, change = _section(path, number, words), None
            continue
        if section == "INDEP":
            target = _target(path, core, words[:2], number)
            value = _value(path, words[2:3], number)
            probability = _probability(path, words[-1:] if len(words) > 3 else [], number)
            name = " ".join(words[:2])
            group = independent.setdefault(target, _Group(name, number, []))
            group.outcomes.append((probability, {target: value}))
        elif section == "BLOCKS" and words[0] == "BL":
            group = independent.setdefault(words[1], _Group(words[1], number, []))
            # A later outcome of a block lists only what differs from the first one.
            change = dict(group.outcomes[0][1]) if group.outcomes else {}
            group.outcomes.append((_probability(path, words[3:4], number), change))
        elif section == "SCENARIOS" and words[0] == "SC":
            change = _inherited(path, scenarios, words, number)
            scenarios[words[1]] = change
            listed = listed or _Group("the scenarios", number, [])
            listed.outcomes.append((_probability(path, words[3:4], number), change))
        elif section in ("BLOCKS", "SCENARIOS") and change is not None:
            _set(path, core, change, words, number)
        else:
            raise FormatError(path, number, "the line belongs to no section", "Move it.", line)
    return [*independent.values(), *([listed] if listed else [])]


def _section(path: Path, line: int, words: list[str]) -> str:
    section = words[0].upper()
    options = {word.upper() for word in words[1:]}
    if section not in _SECTIONS:
        raise FormatError(
            path, line, f"sections are {', '.join(_SECTIONS)}", "Correct it.", words[0]
        )
    if section in ("INDEP", "BLOCKS", "SCENARIOS") and options - {"DISCRETE", "REPLACE"}:
        raise FormatError(
            path,
            line,
            "only DISCRETE values that REPLACE those of the core are supported",
            "Sample the distribution and give SCENARIOS.",
            " ".join(words),
        )
    return section


def _inherited(path: Path, scenarios: dict[str, _Change], words: list[str], line: int) -> _Change:
    if len(words) < 4:
        raise FormatError(
            path,
            line,
            "a scenario is SC, name, parent, probability, period",
            "Complete the line.",
            " ".join(words),
        )
    if words[1] in scenarios:
        raise FormatError(path, line, "the scenario is given twice", "Rename it.", words[1])
    parent = words[2].strip("'\"")
    if parent.upper() == "ROOT":
        return {}
    if parent not in scenarios:
        raise FormatError(
            path, line, "the parent is no earlier scenario", "Give ROOT or correct it.", parent
        )
    return dict(scenarios[parent])


def _set(path: Path, core: Core, change: _Change, words: list[str], line: int) -> None:
    if words[0].upper() in _BOUNDS and len(words) == 4 and words[2] in core.columns:
        target = (_BOUNDS[words[0].upper()], -1, core.columns[words[2]])
        change[target] = _value(path, words[3:], line)
        return
    if len(words) not in (3, 5):
        raise FormatError(
            path,
            line,
            "a change is a name, then pairs of name and value",
            "Correct it.",
            " ".join(words),
        )
    for second, value in zip(words[1::2], words[2::2], strict=True):
        change[_target(path, core, [words[0], second], line)] = _value(path, [value], line)


def _target(path: Path, core: Core, words: list[str], line: int) -> Target:
    target = core.target(words) if len(words) == 2 else None
    if target is None:
        raise FormatError(
            path,
            line,
            "the core has no such column and row, or right-hand side and row",
            "Correct the names.",
            " ".join(words),
        )
    if target[0] == "rhs" and core.is_range(target[1]):
        raise FormatError(
            path,
            line,
            "random right-hand sides of range rows are not supported",
            "Split the row into two.",
            words[1],
        )
    return target


def _value(path: Path, words: Sequence[str], line: int) -> float:
    if not words:
        raise FormatError(path, line, "the value is missing", "Complete the line.")
    return parse_number(path, words[0], line, "the value")


def _probability(path: Path, words: Sequence[str], line: int) -> float:
    if not words:
        raise FormatError(path, line, "the probability is missing", "Complete the line.")
    return parse_number(path, words[0], line, "the probability", low=0)


def _arrays(path: Path, core: Core, groups: list[_Group], count: int) -> Scenarios:
    """All combinations of the groups' outcomes, the last group running fastest."""
    targets = list(dict.fromkeys(t for g in groups for _, change in g.outcomes for t in change))
    position = {target: k for k, target in enumerate(targets)}
    values = np.tile([core.value(target) for target in targets], (count, 1))
    probability = np.ones(count)
    pick = np.unravel_index(np.arange(count), [len(group.outcomes) for group in groups])
    for group, outcome in zip(groups, pick, strict=True):
        probability *= np.array([p for p, _ in group.outcomes])[outcome]
        touched = list(dict.fromkeys(t for _, change in group.outcomes for t in change))
        table = np.array(
            [
                [change.get(target, core.value(target)) for target in touched]
                for _, change in group.outcomes
            ]
        ).reshape(len(group.outcomes), len(touched))
        values[:, [position[target] for target in touched]] = table[outcome]

    def of(*kinds: str) -> IntArray:
        return np.array([k for k, t in enumerate(targets) if t[0] in kinds], dtype=np.int64)

    rows, columns = (np.array([t[k] for t in targets], dtype=np.int64) for k in (1, 2))
    program = core.program
    costs, entries, sides = of("cost"), of("entry"), of("rhs")
    senses = np.array([core.sense[program.rows["row"].label(int(r))] for r in rows[sides]])
    lower: FloatArray = np.where(senses == "L", -np.inf, values[:, sides])
    upper: FloatArray = np.where(senses == "G", np.inf, values[:, sides])
    bounded = np.unique(columns[of("lower", "upper", "fix")])
    column_lower = np.tile(program.column_lower[bounded], (count, 1))
    column_upper = np.tile(program.column_upper[bounded], (count, 1))
    for k in of("lower", "upper", "fix"):
        place = np.searchsorted(bounded, columns[k])
        if targets[k][0] != "upper":
            column_lower[:, place] = values[:, k]
        if targets[k][0] != "lower":
            column_upper[:, place] = values[:, k]
    return Scenarios(
        probability=probability / probability.sum(),
        cost_column=columns[costs],
        cost=values[:, costs] * (-1 if program.maximize else 1),
        entry_row=rows[entries],
        entry_column=columns[entries],
        entry=values[:, entries],
        row=rows[sides],
        row_lower=lower,
        row_upper=upper,
        column=bounded,
        column_lower=column_lower,
        column_upper=column_upper,
    )
