"""Forward passes: the states at which cuts are made.

Cuts are valid wherever they are made, so that a pass may follow any policy and any weights on
what may happen; the lower bound stays one. Only how fast it rises differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.errors import SddpError
from optrl.decomposition.sddp.graph import Continuation, PolicyGraph
from optrl.decomposition.sddp.node_solver import NodeSolver

Decide = Callable[[str, FloatArray, int], Mapping[str, FloatArray]]
"""From node, incoming state and outcome to values of column blocks."""


class ForwardPass(Protocol):
    """How a pass goes forward."""

    def held(
        self, node: str, state: FloatArray, outcome: int, iteration: int
    ) -> Mapping[str, FloatArray] | None:
        """Column blocks to hold at values in this step, or None to let the cuts decide."""
        ...

    def weights(self, probability: FloatArray) -> FloatArray:
        """Probabilities to draw outcomes and exits by, from the true ones."""
        ...


@dataclass(frozen=True)
class OwnPolicy:
    """The policy of the cuts themselves, by the true probabilities."""

    def held(
        self, node: str, state: FloatArray, outcome: int, iteration: int
    ) -> Mapping[str, FloatArray] | None:
        """Nothing is held."""
        return None

    def weights(self, probability: FloatArray) -> FloatArray:
        """The true ones."""
        return probability


@dataclass(frozen=True)
class ImportanceSampling:
    """The cuts' policy; rare outcomes are drawn more often, by p**power.

    Attributes:
        power: 1 for the true probabilities, 0 for all alike.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.power <= 1:
            raise SddpError(f"power {self.power} of importance sampling must lie in [0, 1]")

    def held(
        self, node: str, state: FloatArray, outcome: int, iteration: int
    ) -> Mapping[str, FloatArray] | None:
        """Nothing is held."""
        return None

    def weights(self, probability: FloatArray) -> FloatArray:
        """Proportional to p**power."""
        raised = np.where(probability > 0, probability, 1.0) ** self.power * (probability > 0)
        return np.asarray(raised / raised.sum())


@dataclass(frozen=True)
class GivenPolicy:
    """Another policy, learned or classical, decides for the first passes, or for all.

    Attributes:
        decide: Values of column blocks (the orders, say); what they leave open is optimized.
            Values beyond the bounds of a column are clipped.
        iterations: After which the cuts decide; None for never.
    """

    decide: Decide
    iterations: int | None = None

    def held(
        self, node: str, state: FloatArray, outcome: int, iteration: int
    ) -> Mapping[str, FloatArray] | None:
        """What the policy decides."""
        if self.iterations is not None and iteration > self.iterations:
            return None
        return self.decide(node, state, outcome)

    def weights(self, probability: FloatArray) -> FloatArray:
        """The true ones."""
        return probability


@dataclass(frozen=True)
class Step:
    """One step of a pass.

    Attributes:
        node: Where.
        cost: Expected cost of the stage.
        continuation: What may follow; empty at the end.
        state: Outgoing state.
    """

    node: str
    cost: float
    continuation: Continuation
    state: FloatArray


def walk(
    graph: PolicyGraph,
    solvers: Mapping[str, NodeSolver],
    forward: ForwardPass,
    generator: np.random.Generator,
    iteration: int,
    longest: int,
) -> list[Step]:
    """One pass from the start.

    In a graph with cycles the pass ends with the probability that arcs leave over; without, it
    goes on to the last stage.

    Args:
        graph: The graph.
        solvers: By node.
        forward: How.
        generator: Draws outcomes, exits and nodes.
        iteration: Now.
        longest: Steps after which a pass in a cycle ends in any case.
    """
    state, steps = graph.initial_state, []
    arcs = tuple(graph.first.items())
    ends = not graph.is_acyclic
    for _ in range(longest if ends else len(graph.stages)):
        probability = np.array([p for _, p in arcs])
        if ends and generator.random() >= probability.sum():
            break
        node = arcs[draw(forward.weights(probability / probability.sum()), generator)][0]
        outcome = draw(forward.weights(graph.outcome_probabilities(node)), generator)
        solver = solvers[node]
        held = forward.held(node, state, outcome, iteration)
        solved = (
            solver.solve(state, outcome, iteration)
            if held is None
            else solver.steer(state, outcome, dict(held))
        )
        if not solved.exit_states:
            steps.append(Step(node, solved.cost, (), state))
            break
        leaving = draw(forward.weights(solver.programs.exit_probability), generator)
        continuation = graph.continuation(node, leaving)
        state = solved.exit_states[leaving]
        steps.append(Step(node, solved.cost, continuation, state))
        if not continuation:
            break
        arcs = continuation
    return steps


def draw(probability: FloatArray, generator: np.random.Generator) -> int:
    """A number drawn by probabilities that sum to 1."""
    if len(probability) == 1:
        return 0
    place = np.searchsorted(np.cumsum(probability), generator.random(), side="right")
    return int(min(place, np.flatnonzero(probability > 0)[-1]))
