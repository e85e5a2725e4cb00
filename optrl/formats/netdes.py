"""Fixed-charge network flow under uncertainty, as mpi-sppy's example ``netdes`` keeps it.

Arcs are opened before costs, capacities and demand are known; then flow is routed:

    minimize  sum_e fixed_e x_e + sum_s p_s sum_e cost_es y_es
    subject to outflow - inflow = b_is, 0 <= y_es <= capacity_es x_e, x_e in {0, 1}

A file has a header that ends in a line ``+``; then number of nodes, density, ratio of costs,
adjacency and fixed costs (rows apart by semicolons), number of scenarios, probabilities, and for
each scenario costs, capacities and b (supply positive).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from optrl_formulations.extensive_form import Scenarios
from optrl_formulations.network import FloatArray

from optrl.formats.problem import (
    FormatError,
    OpenParameters,
    Problem,
    parse_integer,
    parse_number,
    read_text,
)
from optrl.formats.two_stage_parts import binary_first


def recognizes(path: Path, head: str) -> bool:
    """The header's words."""
    return "Fixed - charge Network Flow" in head and "Adjacency Matrix" in head


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format.
    """
    lines = _Lines(path)
    nodes = parse_integer(path, *lines.next("the number of nodes"), "the number of nodes", low=1)
    lines.next("the density")
    lines.next("the ratio of costs")
    tail, head = np.nonzero(lines.matrix(nodes, nodes, "the adjacency"))
    fixed = lines.matrix(nodes, nodes, "fixed costs")[tail, head]
    count = parse_integer(path, *lines.next("the number of scenarios"), "scenarios", low=1)
    probability = lines.matrix(1, count, "probabilities")[0]
    if abs(probability.sum() - 1) > 1e-6:
        raise FormatError(
            path, lines.line, "probabilities must sum to 1", "Correct them.", f"{probability.sum()}"
        )
    cost, capacity, supply = [], [], []
    for s in range(count):
        cost.append(lines.matrix(nodes, nodes, f"costs of scenario {s}")[tail, head])
        capacity.append(lines.matrix(nodes, nodes, f"capacities of scenario {s}")[tail, head])
        supply.append(lines.matrix(1, nodes, f"supplies of scenario {s}")[0])
    arcs = np.arange(len(tail))
    flow = len(arcs) + arcs
    links, balance = arcs, len(arcs) + np.arange(nodes)
    one, b = np.ones(len(arcs)), np.array(supply)
    scenarios = Scenarios(
        probability=probability / probability.sum(),
        cost_column=flow,
        cost=np.array(cost),
        entry_row=links,
        entry_column=arcs,
        entry=-np.array(capacity),
        row=balance,
        row_lower=b,
        row_upper=b,
    )
    stages = binary_first(
        np.concatenate([fixed, cost[0]]),
        len(arcs),
        0,
        (
            np.concatenate([np.full(len(arcs), -np.inf), b[0]]),
            np.concatenate([np.zeros(len(arcs)), b[0]]),
        ),
        [
            (links, flow, one),
            (links, arcs, -capacity[0]),
            (balance[tail], flow, one),
            (balance[head], flow, -one),
        ],
        scenarios,
        lambda k: (
            f"{'open' if k < len(arcs) else 'flow'} {tail[k % len(arcs)]}-{head[k % len(arcs)]}"
        ),
    )
    size = {"nodes": nodes, "arcs": len(arcs), "scenarios": count}
    return (Problem(path.stem, size, stages.extensive_form, stages=stages),)


class _Lines:
    """Lines after the header, without the dashed ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        numbered = list(enumerate(read_text(path).splitlines(), start=1))
        start = next((k for k, (_, text) in enumerate(numbered) if text.strip() == "+"), None)
        if start is None:
            raise FormatError(path, None, "no line '+' ends the header", "Restore it.")
        self._left = [(n, t) for n, t in numbered[start + 1 :] if t.strip() and t[:2] != "--"]
        self.line = numbered[start][0]

    def next(self, what: str) -> tuple[str, int]:
        """The next line and its number."""
        if not self._left:
            raise FormatError(
                self._path, self.line, f"the file ends where {what} is expected", "Complete it."
            )
        self.line, text = self._left.pop(0)
        return text.strip(), self.line

    def matrix(self, rows: int, columns: int, what: str) -> FloatArray:
        """The next line as a matrix."""
        text, line = self.next(what)
        parts = [row.split(",") for row in text.split(";")]
        if len(parts) != rows or any(len(row) != columns for row in parts):
            raise FormatError(
                self._path, line, f"{what} must be {rows} rows of {columns} numbers", "Correct it."
            )
        return np.array([[parse_number(self._path, w, line, what) for w in row] for row in parts])
