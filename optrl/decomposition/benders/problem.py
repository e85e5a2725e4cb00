"""A policy graph of two stages, seen as Benders' method needs it.

minimize  cost' x + sum_s probability_s Q_s(x[state])    x in the first stage, some integer
Q_s(state) = least cost of the second stage in scenario s, some of its columns integer
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.benders.copied import Recourse, with_copy
from optrl.decomposition.benders.errors import NotTwoStageError
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.decomposition.sddp.pushing import push_outcome, push_state
from optrl.decomposition.sddp.stage import Stage
from optrl.solver import InfeasibleError, Model, UnboundedError


@dataclass(frozen=True)
class Scenario:
    """A node and outcome of the second stage.

    Attributes:
        node: Name in the graph.
        outcome: Its number among the outcomes of the node.
        probability: Unconditional, with the arc's discount.
        label: For messages.
    """

    node: str
    outcome: int
    probability: float
    label: str


@dataclass(frozen=True)
class TwoStage:
    """See the module's docstring.

    Attributes:
        graph: The graph.
        first: Program of the first stage, its outcome pushed, with its integers.
        state: Columns of it that the second stage sees, shape (K,).
        scenarios: S of them.
        lower: Valid lower bound of each Q_s over all states of the relaxed first stage, shape (S,).
    """

    graph: PolicyGraph
    first: LinearProgram
    state: IntArray
    scenarios: tuple[Scenario, ...]
    lower: FloatArray

    @classmethod
    def of(cls, graph: PolicyGraph) -> TwoStage:
        """Take a graph apart.

        Raises:
            NotTwoStageError: If it has other than two stages, or a scenario's cost has no lower
                bound, or no solution whatever the first stage.
        """
        if len(graph.first) != 1:
            raise NotTwoStageError(f"{len(graph.first)} nodes may be first; Benders needs one")
        name = next(iter(graph.first))
        stage = graph.stages[name]
        if len(stage.outcomes) != 1 or len(stage.exits) != 1:
            raise NotTwoStageError(
                f"the first stage {name!r} has {len(stage.outcomes)} outcomes and "
                f"{len(stage.exits)} exits: it needs one of each; make outcomes seen after the "
                "decision those of the second stage"
            )
        follows = graph.continuations[name][0]
        late = [child for child, _ in follows if graph.stages[child].exits]
        if not follows or late:
            raise NotTwoStageError(
                f"after {name!r} come {', '.join(map(repr, late)) or 'no stages'}: Benders needs a "
                "second stage that is the last; use Sddp for more stages"
            )
        scenarios = tuple(
            Scenario(child, k, p * outcome.probability, outcome.label or f"{child}, outcome {k}")
            for child, p in follows
            for k, outcome in enumerate(graph.stages[child].outcomes)
            if outcome.probability > 0
        )
        model = Model(stage.programs[stage.outcomes[0].program])
        push_state(model, stage, graph.initial_state)
        push_outcome(model, stage.outcomes[0])
        state = stage.exits[0].columns
        lower = _least_costs(graph, model.solved, state, scenarios)
        return cls(graph, model.solved, state, scenarios, lower)

    @property
    def free(self) -> LinearProgram:
        """The first stage at no cost."""
        return free_of(self.first)

    def recourse(self, number: int) -> Recourse:
        """A scenario's second stage, its outcome pushed, weighted by its probability."""
        scenario = self.scenarios[number]
        stage = self.second(scenario)
        return Recourse.at(stage, stage.outcomes[scenario.outcome], scenario.probability)

    @property
    def probability(self) -> FloatArray:
        """Of each scenario, shape (S,)."""
        return np.array([s.probability for s in self.scenarios])

    def second(self, scenario: Scenario) -> Stage:
        """The stage of a scenario."""
        return self.graph.stages[scenario.node]

    @property
    def integer_recourse(self) -> bool:
        """Whether the second stage has integers."""
        return any(self.second(s).has_integers for s in self.scenarios)

    @property
    def binary_state(self) -> bool:
        """Whether all that the second stage sees is 0 or 1."""
        p, at = self.first, self.state
        within = (p.column_lower[at] >= 0) & (p.column_upper[at] <= 1)
        return bool((p.integrality[at] & within).all())


def free_of(program: LinearProgram) -> LinearProgram:
    """A program at no cost."""
    return replace(program, cost=np.zeros_like(program.cost), offset=0.0)


def _least_costs(
    graph: PolicyGraph, first: LinearProgram, state: IntArray, scenarios: tuple[Scenario, ...]
) -> FloatArray:
    """Least cost of each scenario by itself, with the first stage at its choice and relaxed."""
    models: dict[tuple[str, int], Model] = {}
    costs = np.zeros(len(scenarios))
    for s, scenario in enumerate(scenarios):
        stage = graph.stages[scenario.node]
        outcome = stage.outcomes[scenario.outcome]
        key = (scenario.node, outcome.program)
        if key not in models:
            recourse = Recourse.of(stage, stage.programs[outcome.program])
            whole, _ = with_copy([recourse], free_of(first), state)
            models[key] = Model(replace(whole, integrality=np.zeros_like(whole.integrality)))
        push_outcome(models[key], outcome)
        try:
            costs[s] = models[key].solve().objective
        except UnboundedError as error:
            raise NotTwoStageError(
                f"the cost of scenario {scenario.label!r} has no lower bound: {error}. Bound the "
                "first stage's columns that it sees, or its own"
            ) from error
        except InfeasibleError as error:
            raise NotTwoStageError(
                f"scenario {scenario.label!r} is infeasible whatever the first stage: {error}"
            ) from error
    return costs
