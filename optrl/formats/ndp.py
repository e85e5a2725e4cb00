"""Multicommodity network design under a chance constraint, in the format of CC-NDP.

Arcs are opened at a fixed cost so that all demands can be routed at once with a probability of at
least 1 - alpha; flow itself costs nothing:

    minimize  sum_a fixed_a x_a
    subject to sum_s p_s z_s <= alpha                             z_s = 1 gives scenario s up
               outflow - inflow = demand_ks (1 - z_s)  at each commodity's origin, and likewise
               sum_k y_kas <= capacity_a x_a           each scenario s and arc a

The z are decided with the arcs, which changes nothing and leaves scenarios apart. The file does
not state alpha; 0.1 is that of the published results.

Source: github.com/N-Wouda/CC-NDP (format and instances); Rahmaniani et al. (2018), SIAM Journal on
Optimization 28(1) (topologies).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from optrl_formulations.extensive_form import Scenarios

from optrl.formats.problem import FormatError, OpenParameters, Problem, Tokens, read_text
from optrl.formats.two_stage_parts import binary_first

_ALPHA = 0.1


def recognizes(path: Path, head: str) -> bool:
    """The suffix."""
    return path.suffix.lower() == ".ndp"


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format.
    """
    words = Tokens(path, read_text(path))
    n, a, k, s = (
        words.integer(f"the number of {what}", low=1)
        for what in ("nodes", "arcs", "commodities", "scenarios")
    )
    arcs = np.array([[words.number("an arc") for _ in range(5)] for _ in range(a)])
    pairs = np.array([[words.integer("a commodity", low=1) for _ in range(2)] for _ in range(k)])
    rows = np.array([[words.number("a scenario", low=0) for _ in range(k + 1)] for _ in range(s)])
    ends = arcs[:, :2].astype(np.int64) - 1
    if not words.done() or ends.min() < 0 or max(ends.max() + 1, pairs.max()) > n:
        raise FormatError(
            path, words.line, "nodes or counts do not fit the first line", "Correct them."
        )
    probability, demand = rows[:, 0], rows[:, 1:]
    if abs(probability.sum() - 1) > 1e-6:
        raise FormatError(
            path, words.line, "probabilities must sum to 1", "Correct them.", f"{probability.sum()}"
        )
    probability = probability / probability.sum()
    capacity, fixed = arcs[:, 3], arcs[:, 4]
    # Columns: x, z, then y by commodity and arc. Rows: the chance, arcs, then balances.
    flow = a + s + np.arange(k * a).reshape(k, a)
    link = 1 + np.arange(a)
    balance = 1 + a + np.arange(k * n).reshape(k, n)
    one = np.ones(k * a)
    places = np.concatenate(
        [balance[np.arange(k), pairs[:, 0] - 1], balance[np.arange(k), pairs[:, 1] - 1]]
    )
    sides = np.concatenate([demand, -demand], axis=1)
    # Scenario s lets its own z take its demand away: one entry a place and a column.
    entry = np.zeros((s, s, 2 * k))
    entry[np.arange(s), np.arange(s)] = sides
    scenarios = Scenarios(
        probability=probability,
        entry_row=np.tile(places, s),
        entry_column=np.repeat(a + np.arange(s), 2 * k),
        entry=entry.reshape(s, s * 2 * k),
        row=places,
        row_lower=sides,
        row_upper=sides,
    )
    height, zero = 1 + a + k * n, np.zeros(k * n)
    stages = binary_first(
        np.concatenate([fixed, np.zeros(s + k * a)]),
        a + s,
        1,
        (
            np.concatenate([np.full(1 + a, -np.inf), zero]),
            np.concatenate([[_ALPHA], np.zeros(a), zero]),
        ),
        [
            (np.zeros(s, dtype=np.int64), a + np.arange(s), probability),
            (link, np.arange(a), -capacity),
            (np.tile(link, k), flow.ravel(), one),
            (balance[:, ends[:, 0]].ravel(), flow.ravel(), one),
            (balance[:, ends[:, 1]].ravel(), flow.ravel(), -one),
        ],
        scenarios,
        lambda c: f"arc {c}" if c < a else f"give up {c - a}" if c < a + s else f"flow {c - a - s}",
    )
    assert stages.core.matrix.shape == (height, a + s + k * a)
    size = {"nodes": n, "arcs": a, "commodities": k, "scenarios": s}
    notes = (f"at most {_ALPHA:g} of the probability may go unserved",)
    problem = Problem(
        path.stem, size, stages.extensive_form, {"alpha": _ALPHA}, notes=notes, stages=stages
    )
    return (problem,)
