"""Prices of information along a path, each consistent with the one before.

Cuts approximate the cost-to-go by pieces, and at a kink the slope that one stage takes for the
next is not the slope that the next stage finds at its state: any slope between those of the
neighbouring pieces is one. Multipliers made of such slopes do not fit together along a path. Here
a stage is solved with its incoming state open,

    minimize  stage cost + cost-to-go - slope . state   over states and decisions,

`slope` being what the stage before took at the exit that happened. Its duals are then slopes whose
expectation over the exits is `slope` itself, as far as the state is not held at a bound. The states
that the minimum takes are those where the slope holds: near those of the policy, not its own.

Source: the duality of convex stochastic programs, Rockafellar & Wets (1976), SIAM Journal on
Control and Optimization 14(3) (multipliers of nonanticipativity); Leclère, Carpentier, Chancelier,
Lenoir & Pacaud (2020), Exact converging bounds for stochastic dual dynamic programming via Fenchel
duality, SIAM Journal on Optimization 30(2) (states that are slopes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, hstack

from optrl.decomposition.sddp.algorithm import Sddp
from optrl.decomposition.sddp.errors import SddpError
from optrl.decomposition.sddp.node_solver import NodeSolver
from optrl.decomposition.sddp.stage import Stage

_STATE = "open_state"
_FAR = 50.0
"""How far beyond all visited states an open state may go: cuts bound it long before."""


@dataclass(frozen=True)
class OpenSolution:
    """A stage solved with its state open.

    Attributes:
        state: Incoming state of the minimum, shape (K,).
        exit_states: Outgoing state of each exit, shape (exits, K').
        exit_values: Cost of the exit and its cost-to-go, shape (exits,).
        exit_slopes: Slope of the cost-to-go that holds at each exit, shape (exits, K'); zeros
            where nothing follows.
        duals: Of the rows of each block, shape (rows of the block,).
        values: Of the columns of each block of the stage, shape (columns of the block,).
    """

    state: FloatArray
    exit_states: FloatArray
    exit_values: FloatArray
    exit_slopes: FloatArray
    duals: Mapping[str, FloatArray]
    values: Mapping[str, FloatArray]


class DualPath:
    """The stages of a trained graph, one after the other, with their states open.

    Args:
        sddp: Trained: one node a stage, one outcome a node, exits that lead to one node each, each
            with its own cost, single cut and no risk measure but the expectation.

    Raises:
        SddpError: If it is not such.
    """

    def __init__(self, sddp: Sddp) -> None:
        """See the class."""
        graph = sddp.graph
        self.names = list(graph.stages)
        chain = all(
            len(graph.stages[name].outcomes) == 1
            and all(e.cost is not None for e in graph.stages[name].exits)
            and all([child for child, _ in c] == [after] for c in graph.continuations[name])
            for name, after in zip(self.names[:-1], self.names[1:], strict=True)
        )
        if not chain or sddp.settings.cuts != "single" or not sddp.settings.risk.is_neutral:
            raise SddpError(
                "prices of information are made along one node a stage, with one outcome a node, "
                "exits that have costs of their own, single cut and the expectation as risk measure"
            )
        self._first = graph.initial_state
        self._nodes = [_OpenNode(name, sddp) for name in self.names]

    def __len__(self) -> int:
        return len(self._nodes)

    def solve(self, stage: int, slope: FloatArray | None) -> OpenSolution:
        """Solve a stage.

        Args:
            stage: From 0 on.
            slope: What the stage before took, shape (K,); None for the first stage, whose state
                is known.
        """
        return self._nodes[stage].solve_open(slope, self._first if slope is None else None)


class _OpenNode(NodeSolver):
    """A node whose incoming state is a column."""

    def __init__(self, name: str, sddp: Sddp) -> None:
        super().__init__(name, sddp.to_go)
        self._own = self.stage.programs[0]
        far = [1.0 + float(np.abs(sddp.graph.initial_state).max(initial=0.0))]
        far += [float(np.abs(pool.visited).max(initial=0.0)) for pool in sddp.to_go.pools.values()]
        self._far = _FAR * max(far)
        self.stage, self._state_cost = _opened(self.stage, self._far)

    def solve_open(self, slope: FloatArray | None, state: FloatArray | None) -> OpenSolution:
        """Solve at a slope, or at a state."""
        seen = self.stage.outcomes[0]
        loaded = self._program(0)
        nothing = np.zeros(0)
        self._push(loaded.model, nothing, seen)
        if state is not None:
            loaded.model.push_bounds(_STATE, state, state)
        if slope is not None:
            loaded.model.push_cost(_STATE, self._state_cost - slope)
        solution = self._run(loaded.model, nothing, seen)
        while self._add_violated(loaded, solution.x):
            solution = self._run(loaded.model, nothing, seen)
        x, exits = solution.x, self.stage.exits
        probability = np.array([e.probability for e in exits])
        theta = self.programs.exit_theta
        after = theta >= 0
        values = np.array([0.0 if e.cost is None else e.cost @ x[: len(e.cost)] for e in exits])
        values[after] += x[theta[after]]
        slopes = np.zeros((len(exits), len(exits[0].columns)))
        dual = solution.row_dual
        assert dual is not None
        rows = csr_matrix(solution.solved.matrix[loaded.first_row :])
        weighted = csr_matrix(rows.multiply(dual[loaded.first_row :, None]))
        for e in np.flatnonzero(after).tolist():
            of = np.flatnonzero(rows[:, [theta[e]]].toarray().ravel() > 0)
            taken = weighted[of][:, exits[e].columns].sum(axis=0)
            slopes[e] = -np.asarray(taken).ravel() / probability[e]
        return OpenSolution(
            state=solution.values(_STATE),
            exit_states=np.array([x[e.columns] for e in exits]),
            exit_values=values,
            exit_slopes=slopes,
            duals={name: solution.duals(name) for name in self._own.rows},
            values={name: solution.values(name) for name in self._own.columns},
        )


def _opened(stage: Stage, far: float) -> tuple[Stage, FloatArray]:
    """The stage with columns in place of its incoming data, and their costs."""
    program: LinearProgram = stage.programs[0]
    blocks = [program.data[name] for name in stage.incoming]
    width, more = len(program.cost), sum(len(b.value) for b in blocks)
    cost = np.concatenate([b.cost for b in blocks]) if blocks else np.zeros(0)
    names = stage.state_names()
    wide = replace(
        program,
        cost=np.concatenate([program.cost, cost]),
        matrix=csr_matrix(hstack([program.matrix, *(b.matrix for b in blocks)], format="csr")),
        column_lower=np.concatenate([program.column_lower, np.zeros(more)]),
        column_upper=np.concatenate([program.column_upper, np.full(more, far)]),
        integrality=np.concatenate([program.integrality, np.zeros(more, dtype=np.bool_)]),
        columns={**program.columns, _STATE: Block(_STATE, width, width + more, names.__getitem__)},
        data={k: v for k, v in program.data.items() if k not in stage.incoming},
    )
    return replace(stage, programs=(wide,), incoming=()), cost
