"""A node's programs, solved hot; cuts enter only where a solution violates them.

A program with exits holds the same cuts once an exit, and a pool soon has hundreds. So a program
begins with the few that keep it bounded; after each solve all cuts are evaluated at the outgoing
states in one product, the highest one is added where it is violated, and the dual simplex goes on
from the basis at hand. What is solved in the end is the program with all cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray
from scipy.sparse import csr_matrix

from optrl.decomposition.sddp.cost_to_go import CostToGo
from optrl.decomposition.sddp.errors import InitialBoundError, StageInfeasibleError
from optrl.decomposition.sddp.graph import Continuation
from optrl.decomposition.sddp.node_program import NodePrograms, build_node
from optrl.decomposition.sddp.pushing import push_outcome, push_state
from optrl.decomposition.sddp.stage import Outcome, Stage
from optrl.solver import InfeasibleError, Model, Solution, UnboundedError

_TOLERANCE = 1e-7
_CROWDED = 6


@dataclass(frozen=True)
class NodeSolution:
    """A node solved at a state and outcome.

    Attributes:
        value: Optimal value, cost-to-go included.
        gradient: Its derivative with respect to the incoming state, shape (K,).
        cost: Expected cost of this stage alone (over its exits).
        exit_states: Outgoing state of each exit, shape (exits, K').
        x: Values of the stage's own columns.
    """

    value: float
    gradient: FloatArray
    cost: float
    exit_states: tuple[FloatArray, ...]
    x: FloatArray


class _Loaded:
    """One program and which cuts and mixtures its rows hold."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.cuts: set[tuple[int, int]] = set()
        self.mixtures: set[tuple[int, int]] = set()
        self.pool_rows: list[tuple[str, int]] = []
        self.first_row = len(model.program.row_lower)


class NodeSolver:
    """See the module's docstring.

    Attributes:
        node: Name in the graph.
        stage: Its stage.
        solves: Programs solved so far.
    """

    def __init__(self, node: str, to_go: CostToGo) -> None:
        """Build the programs; the pools they need must exist."""
        self.node, self.stage = node, to_go.graph.stages[node]
        self.solves = 0
        self._to_go = to_go
        self._built: NodePrograms | None = None
        self._loaded: dict[int, _Loaded] = {}

    def refresh(self) -> None:
        """Forget basis and rows, so that what follows depends on the cuts alone."""
        self._loaded = {}

    def solve(self, state: FloatArray, outcome: int, iteration: int = 0) -> NodeSolution:
        """Solve at an incoming state.

        Raises:
            StageInfeasibleError: With the rows in conflict.
            InitialBoundError: If cuts do not bound the program from below.
        """
        seen = self.stage.outcomes[outcome]
        loaded = self._program(seen.program)
        self._push(loaded.model, state, seen)
        solution = self._run(loaded.model, state, seen)
        while self._add_violated(loaded, solution.x):
            solution = self._run(loaded.model, state, seen)
        self._note_binding(loaded, solution, iteration)
        return self._decoded(solution)

    def steer(self, state: FloatArray, outcome: int, fixed: dict[str, FloatArray]) -> NodeSolution:
        """Solve with column blocks held at values, as another policy decides.

        Raises:
            StageInfeasibleError: If the stage does not allow them.
        """
        seen = self.stage.outcomes[outcome]
        loaded = self._program(seen.program)
        model, program = loaded.model, loaded.model.solved
        before = {name: program.columns[name].slice for name in fixed}
        bounds = {
            name: (program.column_lower[where].copy(), program.column_upper[where].copy())
            for name, where in before.items()
        }
        for name, values in fixed.items():
            low, high = bounds[name]
            model.push_bounds(name, *(2 * (np.clip(np.ravel(values), low, high),)))
        try:
            return self.solve(state, outcome)
        finally:
            for name, (low, high) in bounds.items():
                model.push_bounds(name, low, high)

    def escape(
        self, state: FloatArray, outcome: int, floor: float
    ) -> list[tuple[Continuation, FloatArray]]:
        """Where an unbounded program goes when costs-to-go are held above a floor.

        Returns:
            Continuations and outgoing states of exits whose cost-to-go lies on the floor.
        """
        seen = self.stage.outcomes[outcome]
        self.refresh()
        loaded = self._program(seen.program)
        self._push(loaded.model, state, seen)
        wide = loaded.model.solved
        for name in ("cost_to_go", "cost_to_go_part"):
            where = wide.columns[name].slice
            loaded.model.push_bounds(name, lower=np.maximum(wide.column_lower[where], floor))
        x = self._run(loaded.model, state, seen).x
        self.refresh()
        found = []
        for terms in self.programs.terms:
            for theta, columns in zip(terms.theta, terms.state, strict=True):
                if x[theta] <= floor * (1 - 1e-9):
                    found.append((terms.pool, x[columns]))
        return [(self._to_go.continuation_of(key), beyond) for key, beyond in found]

    @property
    def programs(self) -> NodePrograms:
        """The node's programs, built when first asked for."""
        if self._built is None:
            self._built = build_node(self.node, self.stage, self._to_go)
        return self._built

    def _program(self, number: int) -> _Loaded:
        loaded = self._loaded.get(number)
        if loaded is not None:
            rows = len(loaded.pool_rows)
            if rows > _CROWDED * (loaded.first_row + 100):
                loaded = None
        if loaded is None:
            loaded = self._loaded[number] = _Loaded(
                Model(self.programs.programs[number], pricing="devex")
            )
            self._add_initial(loaded)
        return loaded

    def _push(self, model: Model, state: FloatArray, outcome: Outcome) -> None:
        push_state(model, self.stage, state)
        push_outcome(model, outcome)

    def _run(self, model: Model, state: FloatArray, outcome: Outcome) -> Solution:
        self.solves += 1
        try:
            return model.solve()
        except InfeasibleError as error:
            label = outcome.label or str(self.stage.outcomes.index(outcome))
            raise StageInfeasibleError(
                f"node {self.node!r}, outcome {label!r} is infeasible at incoming state "
                f"{_named(self.stage, state)}: {error}. Earlier stages can bring this state about, "
                "so give the stage a way out at a cost (a slack, a purchase in need), or bound the "
                "state before",
                self.node,
                label,
            ) from error
        except UnboundedError as error:
            raise InitialBoundError(
                f"node {self.node!r} is unbounded at incoming state "
                f"{_named(self.stage, state)}: {error}"
            ) from error

    def _add_initial(self, loaded: _Loaded) -> None:
        for t, terms in enumerate(self.programs.terms):
            for k in range(self._to_go.pools[terms.pool].initial):
                members = np.arange(len(terms.theta))
                self._add_cuts(loaded, t, members, np.full(len(members), k))
        for m, mixed in enumerate(self.programs.mixed):
            self._add_mixtures(loaded, m, np.arange(len(mixed.theta)), 0)

    def _add_violated(self, loaded: _Loaded, x: FloatArray) -> bool:
        added = False
        for t, terms in enumerate(self.programs.terms):
            pool = self._to_go.pools[terms.pool]
            height, best = pool.evaluate(x[terms.state])
            short = height - x[terms.theta] > _TOLERANCE * np.maximum(1.0, np.abs(height))
            short &= best >= 0
            members = np.flatnonzero(short)
            new = [m for m in members.tolist() if (terms.theta[m], best[m]) not in loaded.cuts]
            if new:
                self._add_cuts(loaded, t, np.array(new), best[new])
                added = True
        for m, mixed in enumerate(self.programs.mixed):
            weights = self._to_go.mixtures[mixed.continuation]
            heights = x[mixed.parts] @ weights.T
            best = heights.argmax(axis=1)
            height = heights.max(axis=1)
            short = height - x[mixed.theta] > _TOLERANCE * np.maximum(1.0, np.abs(height))
            for k in np.flatnonzero(short).tolist():
                if (int(mixed.theta[k]), int(best[k])) not in loaded.mixtures:
                    self._add_mixtures(loaded, m, np.array([k]), int(best[k]))
                    added = True
        return added

    def _add_cuts(self, loaded: _Loaded, t: int, members: IntArray, cuts: IntArray) -> None:
        terms = self.programs.terms[t]
        pool = self._to_go.pools[terms.pool]
        states, size = terms.state[members], terms.state.shape[1]
        columns = np.column_stack([terms.theta[members], states])
        values = np.column_stack([np.ones(len(members)), -pool.gradient[cuts]])
        self._add_rows(loaded, columns, values, pool.intercept[cuts])
        loaded.cuts.update(zip(terms.theta[members].tolist(), cuts.tolist(), strict=True))
        loaded.pool_rows.extend((terms.pool, k) for k in cuts.tolist())
        assert size == pool.gradient.shape[1]

    def _add_mixtures(self, loaded: _Loaded, m: int, members: IntArray, mixture: int) -> None:
        mixed = self.programs.mixed[m]
        weights = self._to_go.mixtures[mixed.continuation][mixture]
        columns = np.column_stack([mixed.theta[members], mixed.parts[members]])
        values = np.tile(np.concatenate([[1.0], -weights]), (len(members), 1))
        self._add_rows(loaded, columns, values, np.zeros(len(members)))
        loaded.mixtures.update((theta, mixture) for theta in mixed.theta[members].tolist())
        loaded.pool_rows.extend(("", -1) for _ in members)

    @staticmethod
    def _add_rows(
        loaded: _Loaded, columns: IntArray, values: FloatArray, lower: FloatArray
    ) -> None:
        rows = len(columns)
        present = values != 0
        ends = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
        shape = (rows, len(loaded.model.program.cost))
        matrix = csr_matrix((values[present], columns[present], ends), shape=shape)
        name = f"cuts {len(loaded.pool_rows)}"
        loaded.model.add_rows(name, matrix, lower, np.full(rows, np.inf))

    def _note_binding(self, loaded: _Loaded, solution: Solution, iteration: int) -> None:
        assert solution.row_dual is not None
        dual = solution.row_dual[loaded.first_row :]
        binding: dict[str, list[int]] = {}
        for row in np.flatnonzero(dual > 1e-9).tolist():
            key, cut = loaded.pool_rows[row]
            if key:
                binding.setdefault(key, []).append(cut)
        for key, cuts in binding.items():
            self._to_go.pools[key].touch(np.array(cuts), iteration)

    def _decoded(self, solution: Solution) -> NodeSolution:
        built, x = self.programs, solution.x
        after = built.exit_theta >= 0
        later = float(built.exit_probability[after] @ x[built.exit_theta[after]])
        own = x[: len(self.stage.programs[0].cost)] if self.stage.exits else x
        cost = solution.objective - later
        if "excess" in solution.loaded.columns:
            cost = float(self.stage.programs[0].cost @ own) + solution.loaded.offset
        gradients = [solution.gradient(name) for name in self.stage.incoming]
        return NodeSolution(
            value=solution.objective,
            gradient=np.concatenate(gradients) if gradients else np.zeros(0),
            cost=cost,
            exit_states=tuple(x[e.columns] for e in self.stage.exits),
            x=own,
        )


def _named(stage: Stage, state: FloatArray) -> str:
    names = stage.state_names()
    shown = [f"{n} = {v:g}" for n, v in zip(names[:8], state[:8].tolist(), strict=True)]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(shown) or "(none)") + more
