"""A stage's program with columns for what comes after.

    minimize   shared cost + weight * sum_e p_e Z_e
               + (1 - weight) * (eta + sum_e p_e excess_e / tail)
    subject to Z_e = cost_e' x + theta_e,   excess_e >= Z_e - eta,   excess_e >= 0
               theta_e >= sum_i mixture_i theta_ei             (multi cut)
               theta >= cuts                                   (added by the solver, as needed)

Source: Rockafellar & Uryasev (2000), Journal of Risk 2(3), for the average value at risk as
linear rows; risk-neutral or with one exit, only theta remains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import csc_matrix, csr_matrix, hstack, vstack

from optrl.decomposition.sddp.cost_to_go import CostToGo
from optrl.decomposition.sddp.errors import StageError
from optrl.decomposition.sddp.graph import Continuation
from optrl.decomposition.sddp.stage import Stage


@dataclass(frozen=True)
class Terms:
    """Columns of the cost-to-go that one pool of cuts bounds.

    Attributes:
        pool: Its key.
        theta: Columns, one an exit, shape (m,).
        state: Columns of the outgoing state of those exits, shape (m, K).
    """

    pool: str
    theta: IntArray
    state: IntArray


@dataclass(frozen=True)
class Mixed:
    """Exits of one continuation in multi cut: their columns, and those they are mixed of.

    Attributes:
        continuation: Whose.
        theta: Shape (m,).
        parts: Shape (m, successors).
    """

    continuation: Continuation
    theta: IntArray
    parts: IntArray


@dataclass(frozen=True)
class NodePrograms:
    """A node's programs and the columns that the solver needs to know.

    Attributes:
        programs: One for each of the stage's.
        exit_probability: Shape (exits,).
        exit_theta: Column of each exit's cost-to-go, -1 where nothing follows, shape (exits,).
        terms: What cuts bound.
        mixed: What mixtures bound; empty in single cut.
    """

    programs: tuple[LinearProgram, ...]
    exit_probability: FloatArray
    exit_theta: IntArray
    terms: tuple[Terms, ...]
    mixed: tuple[Mixed, ...]


def build_node(node: str, stage: Stage, to_go: CostToGo) -> NodePrograms:
    """Extend a stage's programs.

    Raises:
        StageError: If a risk measure over exits lacks the cost of an exit.
    """
    width = len(stage.programs[0].cost)
    continuations = to_go.graph.continuations[node]
    leads = [e for e, c in enumerate(continuations) if c]
    probability = np.array([e.probability for e in stage.exits])
    exit_theta = np.full(len(stage.exits), -1, dtype=np.int64)
    exit_theta[leads] = width + np.arange(len(leads))
    next_column = width + len(leads)
    names: list[tuple[str, int]] = [("cost_to_go", len(leads))]
    grouped: dict[str, list[tuple[int, IntArray]]] = {}
    by_mix: dict[Continuation, list[tuple[int, IntArray]]] = {}
    for e in leads:
        keys = to_go.keys(continuations[e])
        if to_go.cuts == "single":
            columns = np.array([exit_theta[e]])
        else:
            columns = next_column + np.arange(len(keys))
            next_column += len(keys)
            by_mix.setdefault(continuations[e], []).append((int(exit_theta[e]), columns))
        for key, column in zip(keys, columns.tolist(), strict=True):
            grouped.setdefault(key, []).append((column, stage.exits[e].columns))
    names.append(("cost_to_go_part", next_column - width - len(leads)))
    lower = np.full(next_column - width, -np.inf)
    for key, members in grouped.items():
        lower[[column - width for column, _ in members]] = to_go.pools[key].lower
    cost = np.zeros(next_column - width)
    cost[: len(leads)] = probability[leads]
    averse = not to_go.risk.is_neutral and len(stage.exits) > 1
    programs = []
    for program in stage.relaxed():
        wide = _widen(program, names, cost, lower)
        programs.append(_averse(node, wide, stage, exit_theta, to_go) if averse else wide)
    return NodePrograms(
        programs=tuple(programs),
        exit_probability=probability,
        exit_theta=exit_theta,
        terms=tuple(
            Terms(key, np.array([c for c, _ in members]), np.array([s for _, s in members]))
            for key, members in grouped.items()
        ),
        mixed=tuple(
            Mixed(c, np.array([t for t, _ in members]), np.array([p for _, p in members]))
            for c, members in by_mix.items()
        ),
    )


def _widen(
    program: LinearProgram,
    names: list[tuple[str, int]],
    cost: FloatArray,
    lower: FloatArray,
) -> LinearProgram:
    """Append column blocks that no row uses yet."""
    columns = dict(program.columns)
    start = len(program.cost)
    for name, size in names:
        if name in columns:
            raise StageError(f"the program has columns {name!r} already: rename them")
        columns[name] = Block(name, start, start + size, str)
        start += size
    added = start - len(program.cost)
    empty = csr_matrix((program.matrix.shape[0], added))
    return replace(
        program,
        cost=np.concatenate([program.cost, cost]),
        matrix=csr_matrix(hstack([program.matrix, empty], format="csr")),
        column_lower=np.concatenate([program.column_lower, lower]),
        column_upper=np.concatenate([program.column_upper, np.full(added, np.inf)]),
        integrality=np.concatenate([program.integrality, np.zeros(added, dtype=np.bool_)]),
        columns=columns,
    )


def _averse(
    node: str, program: LinearProgram, stage: Stage, exit_theta: IntArray, to_go: CostToGo
) -> LinearProgram:
    """The risk measure over exits in place of their expectation."""
    if stage.outcomes[0].cost:
        raise StageError(
            f"node {node!r}: costs that change by outcome and several exits under a risk measure "
            "do not go together; make the outcomes nodes of a Markov chain"
        )
    risk, old = to_go.risk, len(stage.programs[0].cost)
    probability = np.array([e.probability for e in stage.exits])
    count, width = len(stage.exits), len(program.cost)
    exit_cost = np.zeros((count, width))
    for e, leaving in enumerate(stage.exits):
        if leaving.cost is None:
            raise StageError(
                f"node {node!r}: exit {leaving.label!r} has no cost of its own, which a risk "
                "measure over exits needs; give Exit.cost"
            )
        exit_cost[e, :old] = leaving.cost
        if exit_theta[e] >= 0:
            exit_cost[e, exit_theta[e]] = 1.0
    aside = 1 - risk.expectation_weight
    names = [("value_at_risk", 1), ("excess", count)]
    cost = np.concatenate([[aside], aside / risk.tail * probability])
    lower = np.concatenate([[-np.inf], np.zeros(count)])
    wide = _widen(program, names, cost, lower)
    wide = replace(
        wide, cost=wide.cost - np.append(aside * (probability @ exit_cost), np.zeros(count + 1))
    )
    rows = csr_matrix(np.hstack([-exit_cost, np.ones((count, 1)), np.eye(count)]))
    height = wide.matrix.shape[0]
    data = {name: _taller(block, count) for name, block in wide.data.items()}
    return replace(
        wide,
        matrix=csr_matrix(vstack([wide.matrix, rows], format="csr")),
        row_lower=np.concatenate([wide.row_lower, np.zeros(count)]),
        row_upper=np.concatenate([wide.row_upper, np.full(count, np.inf)]),
        rows={**wide.rows, "excess": Block("excess", height, height + count, str)},
        data=data,
    )


def _taller(block: DataBlock, rows: int) -> DataBlock:
    empty = csc_matrix((rows, block.matrix.shape[1]))
    return replace(block, matrix=csc_matrix(vstack([block.matrix, empty], format="csc")))
