"""Stochastic dual dynamic programming on a graph of stages.

Each iteration goes forward along a path, then back along it: at every state visited all that may
follow is solved, and values and slopes become a cut. The value at the start is a lower bound on the
optimal cost, whatever path was taken.

A cut is as good as those after it were when it was made: over twenty stages most are stale. Now
and then a **sweep** goes through the stages from the last to the first and makes a new cut at
every state visited so far; level-one selection then drops the stale ones.

Source: Pereira & Pinto (1991), Mathematical Programming 52; Dowson (2020), Networks 76(1) (graphs
with cycles).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.cost_to_go import CostToGo, Cuts
from optrl.decomposition.sddp.cuts import Selection
from optrl.decomposition.sddp.forward import ForwardPass, OwnPolicy, walk
from optrl.decomposition.sddp.graph import Continuation, PolicyGraph
from optrl.decomposition.sddp.initial_bound import initialize
from optrl.decomposition.sddp.node_solver import NodeSolution, NodeSolver
from optrl.decomposition.sddp.risk import RiskMeasure
from optrl.decomposition.sddp.simulate import Estimate, simulate


@dataclass(frozen=True)
class SddpSettings:
    """How to train.

    Attributes:
        cuts: "single" or "multi", see `cost_to_go`.
        selection: Which cuts are kept, see `CutPool.select`.
        risk: Nested risk measure.
        paths: Forward passes an iteration.
        refresh_every: Iterations after which cuts are selected and programs built anew.
        sweep_growth: A sweep comes when iterations have grown by this factor since the last; 0
            for no sweeps.
        sweep_states: States swept a cost-to-go, the latest.
        longest_path: Steps of a pass in a graph with cycles, at most.
    """

    cuts: Cuts = "single"
    selection: Selection = "level_one"
    risk: RiskMeasure = field(default_factory=RiskMeasure)
    paths: int = 1
    refresh_every: int = 25
    longest_path: int = 200
    sweep_growth: float = 2.0
    sweep_states: int = 400


class Sddp:
    """The cuts of a graph and what it takes to make more of them.

    Attributes:
        graph: The graph.
        settings: How to train.
        forward: How passes go forward.
        to_go: The cuts.
        solvers: By node.
        generator: Draws forward passes.
        iteration: Iterations done.
        bound: Best lower bound so far.
        refreshed: Whether the last iteration ended with programs built anew, so that what comes
            depends on cuts and generator alone.
    """

    def __init__(
        self,
        graph: PolicyGraph,
        settings: SddpSettings | None = None,
        *,
        forward: ForwardPass | None = None,
        lower_bound: float | None = None,
        seed: int = 0,
    ) -> None:
        """Derive the first bounds.

        Args:
            graph: The graph.
            settings: How to train.
            forward: How passes go forward; None for the cuts' own policy.
            lower_bound: What the caller believes all costs-to-go are above; checked, not needed.
            seed: Of the forward passes.

        Raises:
            InitialBoundError: If no bound can be derived, or `lower_bound` is not proved.
        """
        self.graph = graph
        self.settings = SddpSettings() if settings is None else settings
        self.forward: ForwardPass = OwnPolicy() if forward is None else forward
        self.to_go = CostToGo(graph, self.settings.cuts, self.settings.risk)
        self.solvers = {name: NodeSolver(name, self.to_go) for name in graph.stages}
        self.generator = np.random.default_rng(seed)
        self.iteration = 0
        initialize(self.to_go, self.solvers, lower_bound)
        self.bound = -np.inf
        self.refreshed = False

    def iterate(self) -> float:
        """One iteration; returns the lower bound after it.

        Raises:
            StageInfeasibleError: If a stage cannot go on from a state of the pass.
        """
        self.iteration += 1
        settings = self.settings
        passes = [
            walk(
                *(self.graph, self.solvers, self.forward, self.generator),
                *(self.iteration, settings.longest_path),
            )
            for _ in range(settings.paths)
        ]
        # Step by step over all passes, so that each cut builds on all of those after it.
        for depth in reversed(range(max(map(len, passes)))):
            for steps in passes:
                if depth < len(steps) and steps[depth].continuation:
                    self.cut(steps[depth].continuation, steps[depth].state)
        swept = sweeps_at(self.iteration, settings.sweep_growth)
        if swept:
            self.sweep()
        self.bound = max(self.bound, self.lower_bound())
        self.refreshed = swept or self.iteration % settings.refresh_every == 0
        if self.refreshed:
            self.to_go.select(settings.selection, self.iteration, 2 * settings.refresh_every)
            self.refresh()
        return self.bound

    def sweep(self) -> None:
        """Make cuts anew at the states visited so far, from the last stage to the first."""
        structure = self.graph.structure
        # Around a cycle there is no last stage; any order does.
        order = list(nx.topological_sort(nx.condensation(structure)))
        member = nx.condensation(structure).graph["mapping"]
        rank = {name: order.index(member[name]) for name in structure}

        def latest(continuation: Continuation) -> int:
            return max(rank[child] for child, _ in continuation)

        for continuation in sorted(self.graph.distinct, key=latest, reverse=True):
            pool = self.to_go.pools[self.to_go.keys(continuation)[0]]
            for state in pool.visited[-self.settings.sweep_states :]:
                self.cut(continuation, state)

    def cut(self, continuation: Continuation, state: FloatArray) -> None:
        """Make a cut at a state, from all that may follow."""
        after = self.to_go.successors(continuation)
        solved = [self.solvers[s.node].solve(state, s.outcome, self.iteration) for s in after]
        self.to_go.learn(
            continuation,
            state,
            np.array([s.value for s in solved]),
            np.array([s.gradient for s in solved]),
            self.iteration,
        )

    def lower_bound(self) -> float:
        """Value of the start under the cuts at hand."""
        values, probability = [], []
        for name, share in self.graph.first.items():
            chances = self.graph.outcome_probabilities(name).tolist()
            for k, chance in enumerate(chances):
                solved = self.solvers[name].solve(self.graph.initial_state, k, self.iteration)
                values.append(solved.value)
                probability.append(share * chance)
        return self.settings.risk(np.array(values), np.array(probability))

    def refresh(self) -> None:
        """Build programs anew: what follows depends on cuts and generator alone."""
        for solver in self.solvers.values():
            solver.refresh()

    def decide(self, node: str, state: FloatArray, outcome: int = 0) -> NodeSolution:
        """What the policy of the cuts does at a node, state and outcome."""
        return self.solvers[node].solve(state, outcome)

    def simulate(self, paths: int, seed: int, *, confidence: float = 0.95) -> Estimate:
        """Statistical upper bound; see `simulate.simulate`."""
        generator = np.random.default_rng([seed, self.iteration])
        return simulate(
            *(self.graph, self.solvers, self.settings.risk, paths, generator),
            confidence=confidence,
        )

    @property
    def solves(self) -> int:
        """Programs solved so far."""
        return sum(solver.solves for solver in self.solvers.values())


def sweeps_at(iteration: int, growth: float) -> bool:
    """Whether a sweep belongs to an iteration, a function of its number alone."""
    if growth <= 1:
        return False
    at = _FIRST_SWEEP
    while at < iteration:
        at = max(at + 4, int(at * growth))
    return at == iteration


_FIRST_SWEEP = 8
