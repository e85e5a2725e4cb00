"""A valid first bound of every cost-to-go, derived from the stages and never guessed.

A bound that is too high gives a wrong answer without complaint, so none is taken on trust.

1. **Constants.** m[i, w] is the least cost of stage i alone under outcome w, over all incoming
   states within the bounds of the columns they come from. Then V[i, w] >= v[i, w] with

       v[i, w] = m[i, w] + sum_e probability_e sum_j arc[i, e, j] sum_u p[j, u] v[j, u].

   Around a cycle this is a linear system; it has a solution where the arcs of every cycle
   multiply to less than 1. Coherent risk measures of the form used here are at least the
   expectation, so that the bound holds under them too.
2. **Cuts.** Where a stage alone has no least cost (stock that can be sold back at the end, without
   limit), no constant is valid. Without cycles the last stages still give exact cuts: from the
   last stage back, cuts are made at states that a myopic pass visits, until the programs before
   them are bounded.

Where neither gives a bound the model is refused, naming the stage and what to bound.
"""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import FloatArray
from scipy.sparse import csr_matrix, hstack

from optrl.decomposition.sddp.cost_to_go import CostToGo
from optrl.decomposition.sddp.cuts import CutPool
from optrl.decomposition.sddp.errors import InitialBoundError, StageInfeasibleError
from optrl.decomposition.sddp.graph import Continuation, PolicyGraph
from optrl.decomposition.sddp.node_solver import NodeSolution, NodeSolver
from optrl.decomposition.sddp.pushing import push_outcome
from optrl.decomposition.sddp.stage import Outcome, Stage
from optrl.solver import InfeasibleError, Model, UnboundedError

_ATTEMPTS = 40
_FAR = 1e6


def initialize(to_go: CostToGo, solvers: dict[str, NodeSolver], given: float | None = None) -> None:
    """Give every cost-to-go its first bound.

    Args:
        to_go: Receives the pools.
        solvers: Of its graph, by node.
        given: A lower bound of all costs-to-go the caller believes in; used only where the
            derived one proves it.

    Raises:
        InitialBoundError: If none can be derived, or `given` is not proved.
    """
    graph = to_go.graph
    constants = constant_bounds(graph)
    for continuation in graph.distinct:
        parts = [constants[s.node][s.outcome] for s in to_go.successors(continuation)]
        probability = [s.probability for s in to_go.successors(continuation)]
        whole = float(np.dot(probability, parts))
        if given is not None and not given <= whole + 1e-9 * (1 + abs(whole)):
            raise InitialBoundError(
                f"the lower bound {given:g} of costs-to-go is not proved before "
                f"{', '.join(repr(c) for c, _ in continuation)}: what can be derived there is "
                f"{whole:g}. A bound that is too high gives a wrong optimum without complaint: "
                "leave it out, or bound the state columns so that it can be derived"
            )
        size = graph.stages[continuation[0][0]].state_size
        lowers = [whole] if to_go.cuts == "single" else parts
        for key, lower in zip(to_go.keys(continuation), lowers, strict=True):
            to_go.pools.setdefault(key, CutPool(size, lower))
    if all(np.isfinite(pool.lower) for pool in to_go.pools.values()):
        return
    if not graph.is_acyclic:
        raise InitialBoundError(_unbounded(graph))
    _cut_back(to_go, solvers)


def constant_bounds(graph: PolicyGraph) -> dict[str, FloatArray]:
    """A bound of the cost from each node on, by outcome; -inf where there is none.

    Raises:
        InitialBoundError: If the arcs of a cycle are not discounted.
        StageInfeasibleError: If a stage is infeasible whatever its incoming state.
    """
    names = list(graph.stages)
    place = {name: k for k, name in enumerate(names)}
    alone = {name: _least_costs(graph, name) for name in names}
    follow = np.zeros((len(names), len(names)))
    for name, row in graph.continuations.items():
        for leaving, continuation in zip(graph.stages[name].exits, row, strict=True):
            for child, probability in continuation:
                follow[place[name], place[child]] += leaving.probability * probability
    if not graph.is_acyclic:
        _check_discount(names, follow)
    mean = np.array([graph.outcome_probabilities(n) @ alone[n] for n in names])
    # An unbounded stage leaves everything before it unbounded; it must not enter the system.
    endless = ~np.isfinite(mean)
    for _ in names:
        endless = endless | ((follow > 0) @ endless.astype(float) > 0)
    total = np.full(len(names), -np.inf)
    bounded = np.flatnonzero(~endless)
    system = np.eye(len(bounded)) - follow[np.ix_(bounded, bounded)]
    total[bounded] = np.linalg.solve(system, mean[bounded])
    result = {}
    for k, name in enumerate(names):
        leads = follow[k] > 0
        result[name] = alone[name] + follow[k][leads] @ total[leads]
    return result


def _check_discount(names: list[str], follow: FloatArray) -> None:
    radius = float(np.abs(np.linalg.eigvals(follow)).max())
    if radius >= 1 - 1e-9:
        raise InitialBoundError(
            f"the stages {names[:6]} form a cycle that is not discounted (spectral radius "
            f"{radius:.6g}): its cost has no end. Let the arcs of the cycle sum to less than 1"
        )


def _least_costs(graph: PolicyGraph, name: str) -> FloatArray:
    """Least cost of a stage alone by outcome, over incoming states within their bounds."""
    stage = graph.stages[name]
    lower, upper = state_bounds(graph, name)
    models: dict[int, Model] = {}
    costs = np.zeros(len(stage.outcomes))
    for k, outcome in enumerate(stage.outcomes):
        if outcome.program not in models:
            free = _with_free_state(stage, stage.relaxed()[outcome.program], lower, upper)
            models[outcome.program] = Model(free)
        model = models[outcome.program]
        push_outcome(model, outcome)
        try:
            costs[k] = model.solve().objective
        except UnboundedError:
            costs[k] = -np.inf
            models.pop(outcome.program)
        except InfeasibleError as error:
            raise StageInfeasibleError(
                f"node {name!r}, outcome {outcome.label or k!r} is infeasible at every incoming "
                f"state: {error}",
                name,
                outcome.label or str(k),
            ) from error
    return costs


def state_bounds(graph: PolicyGraph, name: str) -> tuple[FloatArray, FloatArray]:
    """Bounds of what may come into a node: of the columns it comes from, and the first state.

    Bounds that change by outcome are not followed: such columns count as unbounded.
    """
    size = graph.stages[name].state_size
    lower, upper = np.full(size, np.inf), np.full(size, -np.inf)
    if graph.first.get(name, 0.0) > 0:
        lower, upper = graph.initial_state.copy(), graph.initial_state.copy()
    for before, row in graph.continuations.items():
        stage = graph.stages[before]
        for leaving, continuation in zip(stage.exits, row, strict=True):
            if not any(child == name for child, _ in continuation):
                continue
            if any(outcome.lower or outcome.upper for outcome in stage.outcomes):
                return np.full(size, -np.inf), np.full(size, np.inf)
            for program in stage.programs:
                lower = np.minimum(lower, program.column_lower[leaving.columns])
                upper = np.maximum(upper, program.column_upper[leaving.columns])
    nowhere = lower > upper
    return np.where(nowhere, -np.inf, lower), np.where(nowhere, np.inf, upper)


def _with_free_state(
    stage: Stage, program: LinearProgram, lower: FloatArray, upper: FloatArray
) -> LinearProgram:
    """The program with its incoming state as columns."""
    blocks = [program.data[name] for name in stage.incoming]
    start = len(program.cost)
    columns = dict(program.columns)
    columns["incoming state"] = Block("incoming state", start, start + len(lower), str)
    return replace(
        program,
        cost=np.concatenate([program.cost, *(b.cost for b in blocks)]),
        matrix=csr_matrix(hstack([program.matrix, *(b.matrix for b in blocks)], format="csr")),
        column_lower=np.concatenate([program.column_lower, lower]),
        column_upper=np.concatenate([program.column_upper, upper]),
        integrality=np.concatenate([program.integrality, np.zeros(len(lower), dtype=np.bool_)]),
        columns=columns,
        data={name: b for name, b in program.data.items() if name not in stage.incoming},
    )


def _unbounded(graph: PolicyGraph) -> str:
    alone = [name for name in graph.stages if np.isinf(_least_costs(graph, name)).any()]
    stage = graph.stages[alone[0]]
    lower, upper = state_bounds(graph, alone[0])
    names = stage.state_names()
    open_ended = [n for n, a, b in zip(names, lower, upper, strict=True) if np.isinf([a, b]).any()]
    return (
        f"no lower bound of the cost-to-go can be derived: stage {alone[0]!r} alone gains without "
        f"limit as its incoming state grows. Bound the state columns of the stages before it "
        f"(without bounds: {', '.join(open_ended[:6]) or 'none; bound the decisions'}), which is "
        "also what the real system has"
    )


def _cut_back(to_go: CostToGo, solvers: dict[str, NodeSolver]) -> None:
    graph = to_go.graph
    visited = _myopic_states(graph)
    order = list(reversed(list(nx.topological_sort(graph.structure))))
    done: set[str] = set()
    for child in order:
        for continuation in graph.distinct:
            if child not in {c for c, _ in continuation}:
                continue
            if not all(c in done or c == child for c, _ in continuation):
                continue  # comes again with its last child
            pools = [to_go.pools[key] for key in to_go.keys(continuation)]
            if all(np.isfinite(p.lower) or p.initial for p in pools):
                continue
            for state in visited[child]:
                _cut(to_go, solvers, continuation, state)
        done.add(child)
    for name in graph.first:
        for k in range(len(graph.stages[name].outcomes)):
            _bounded(to_go, solvers, name, graph.initial_state, k)


def _cut(
    to_go: CostToGo,
    solvers: dict[str, NodeSolver],
    continuation: Continuation,
    state: FloatArray,
) -> None:
    """A cut at a state that stays for good."""
    solved = [
        _bounded(to_go, solvers, s.node, state, s.outcome) for s in to_go.successors(continuation)
    ]
    values, gradients = np.array([s.value for s in solved]), np.array([s.gradient for s in solved])
    to_go.learn(continuation, state, values, gradients, 0)
    for key in to_go.keys(continuation):
        to_go.pools[key].initial = len(to_go.pools[key])


def _bounded(
    to_go: CostToGo,
    solvers: dict[str, NodeSolver],
    name: str,
    state: FloatArray,
    outcome: int,
) -> NodeSolution:
    """Solve a node, adding cuts after it where it runs away until it does so no more.

    Whether a feasible linear program is unbounded does not depend on its right-hand sides, so
    that what is bounded at one state is bounded at all.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return solvers[name].solve(state, outcome)
        except InitialBoundError as error:
            away = solvers[name].escape(state, outcome, -_FAR * 2.0**attempt)
            if not away or attempt == _ATTEMPTS - 1:
                raise InitialBoundError(f"{error}. {_unbounded(to_go.graph)}") from error
        solvers[name].refresh()
        for continuation, beyond in away:
            _cut(to_go, solvers, continuation, beyond)
    raise AssertionError("the last attempt returns or raises")


def _myopic_states(graph: PolicyGraph) -> dict[str, list[FloatArray]]:
    """A state or two for each node, from a pass that looks at each stage's cost alone."""
    states: dict[str, list[FloatArray]] = {name: [] for name in graph.stages}
    for name in graph.first:
        states[name].append(graph.initial_state)
    for name in nx.topological_sort(graph.structure):
        stage = graph.stages[name]
        if not stage.exits or not states[name]:
            continue
        likely = max(stage.outcomes, key=lambda o: o.probability)
        x = _myopic(stage, states[name][0], likely)
        for leaving, continuation in zip(stage.exits, graph.continuations[name], strict=True):
            for child, _ in continuation:
                if len(states[child]) < 2:
                    states[child].append(x[leaving.columns])
    return states


def _myopic(stage: Stage, state: FloatArray, outcome: Outcome) -> FloatArray:
    program = stage.relaxed()[outcome.program]
    for attempt in (program, replace(program, cost=np.zeros_like(program.cost))):
        model = Model(attempt)
        for name, part in stage.split(state).items():
            model.push_data(name, part)
        push_outcome(model, replace(outcome, cost={} if attempt is not program else outcome.cost))
        try:
            return model.solve().x
        except UnboundedError:
            continue
    raise InitialBoundError("a stage without costs is unbounded, which cannot be")
