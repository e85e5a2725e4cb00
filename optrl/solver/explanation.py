"""Infeasibility and unboundedness in words: components, items, nodes, right-hand sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, FloatArray
from scipy.sparse import csr_matrix

from optrl.solver.conflict import find_conflict
from optrl.solver.highs import Highs

_TERMS_SHOWN = 6
_MEMBERS_SHOWN = 30


@dataclass(frozen=True)
class ConflictMember:
    """A row, a column bound, or the integrality of a column.

    Attributes:
        kind: What it is.
        name: Component and member, for example ``balance[gin, hub, 3]``.
        lower: Lower bound that takes part, None if it does not.
        upper: Upper bound that takes part, None if it does not.
        terms: The first terms of a row, as text.
        data: Data in the row's bounds, name and value.
    """

    kind: Literal["row", "column", "integrality"]
    name: str
    lower: float | None
    upper: float | None
    terms: str = ""
    data: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        if self.kind == "integrality":
            return f"{self.name} must be integer"
        what = "constraint " if self.kind == "row" else "bound "
        body = f"{self.name}: {self.terms}" if self.kind == "row" else self.name
        data = ", ".join(f"{name} = {value:g}" for name, value in self.data)
        return f"{what}{_between(self.lower, body, self.upper)}" + (
            f" (with {data})" if data else ""
        )


@dataclass(frozen=True)
class Conflict:
    """Rows and bounds that contradict each other.

    Attributes:
        members: The rows, bounds and integrality requirements.
        irreducible: Whether each row and bound is known to be needed.
    """

    members: tuple[ConflictMember, ...]
    irreducible: bool

    def __str__(self) -> str:
        rule = (
            "these contradict each other, and relaxing any one of them resolves it"
            if self.irreducible
            else "these contradict each other, though fewer of them may suffice"
        )
        shown = [f"  {member}" for member in self.members[:_MEMBERS_SHOWN]]
        if len(self.members) > _MEMBERS_SHOWN:
            shown.append(f"  and {len(self.members) - _MEMBERS_SHOWN} more")
        return "\n".join([f"{rule}:", *shown])


def explain_infeasibility(
    solved: LinearProgram,
    program: LinearProgram,
    data: Mapping[str, FloatArray],
    time_limit: float = 10.0,
) -> Conflict | None:
    """Name a conflict, or None if the program solved afresh is not infeasible.

    Args:
        solved: The program with the data's part in its row bounds.
        program: The program with its data blocks.
        data: Values of the data blocks.
        time_limit: Seconds for a MIP's deletion filter.
    """
    found = find_conflict(solved, time_limit)
    if found is None:
        return None
    s = found.selection
    by_row = {name: csr_matrix(block.matrix) for name, block in program.data.items()}
    members = [
        ConflictMember(
            "row",
            solved.row_name(row),
            _side(s.row_lower, solved.row_lower, row),
            _side(s.row_upper, solved.row_upper, row),
            _terms(solved, row),
            _data(program, by_row, data, row),
        )
        for row in np.flatnonzero(s.rows).tolist()
    ]
    members += [
        ConflictMember(
            "column",
            solved.column_name(column),
            _side(s.column_lower, solved.column_lower, column),
            _side(s.column_upper, solved.column_upper, column),
        )
        for column in np.flatnonzero(s.columns).tolist()
    ]
    if found.integers:
        used = np.zeros(len(solved.cost), dtype=np.bool_)
        used[solved.matrix[np.flatnonzero(s.rows)].indices] = True
        members += [
            ConflictMember("integrality", solved.column_name(column), None, None)
            for column in np.flatnonzero(used & solved.integrality).tolist()
        ]
    return Conflict(tuple(members), found.irreducible)


def unbounded_columns(solved: LinearProgram) -> tuple[str, ...] | None:
    """Columns of a ray along which the relaxation improves without limit, largest first.

    Returns:
        Up to thirty names; None if the relaxation is not unbounded.
    """
    highs = Highs(threads=1, presolve="off", simplex_strategy=4)
    highs.pass_program(replace(solved, integrality=np.zeros_like(solved.integrality)))
    if highs.run().status != "kUnbounded":
        return None
    ray = highs.primal_ray()
    if ray is None:
        return ()
    order = np.argsort(-np.abs(ray), kind="stable")[:_MEMBERS_SHOWN]
    return tuple(solved.column_name(k) for k in order.tolist() if abs(ray[k]) > 1e-9)


def _side(used: BoolArray, bound: FloatArray, position: int) -> float | None:
    return float(bound[position]) if used[position] else None


def _between(lower: float | None, body: str, upper: float | None) -> str:
    if lower is not None and lower == upper:
        return f"{body} = {lower:g}"
    left = "" if lower is None else f"{lower:g} <= "
    right = "" if upper is None else f" <= {upper:g}"
    return f"{body} >= {lower:g}" if lower is not None and not right else f"{left}{body}{right}"


def _terms(p: LinearProgram, row: int) -> str:
    start, stop = int(p.matrix.indptr[row]), int(p.matrix.indptr[row + 1])
    text = ""
    for k in range(start, min(stop, start + _TERMS_SHOWN)):
        value = float(p.matrix.data[k])
        factor = "" if abs(value) == 1 else f"{abs(value):g} "
        sign = ("- " if value < 0 else "") if k == start else (" - " if value < 0 else " + ")
        text += f"{sign}{factor}{p.column_name(int(p.matrix.indices[k]))}"
    more = stop - start - _TERMS_SHOWN
    return (text or "0") + (f" + {more} more terms" if more > 0 else "")


def _data(
    program: LinearProgram,
    by_row: Mapping[str, csr_matrix],
    data: Mapping[str, FloatArray],
    row: int,
) -> tuple[tuple[str, float], ...]:
    if row >= len(program.row_lower):
        return ()  # an added row
    return tuple(
        (block.member_name(k), float(data[name][k]))
        for name, block in program.data.items()
        for k in by_row[name][[row]].indices[:_TERMS_SHOWN].tolist()
    )
