"""The graph of stages: which follows which with what probability, from where and what state.

Arcs out of an exit sum to at most 1; what is missing to 1 is the probability that nothing more
comes, so that a cycle whose arcs sum to 0.9 is an infinite horizon discounted by 0.9. Nodes of
one period with different demand are a Markov chain (Dowson, 2020, The policy graph decomposition
of multistage stochastic programming problems, Networks 76(1)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.errors import StageError
from optrl.decomposition.sddp.stage import Stage

Arcs = Mapping[str, float]
Continuation = tuple[tuple[str, float], ...]
"""Nodes that may follow, with probabilities, by name; what cuts are made for."""


@dataclass(frozen=True)
class PolicyGraph:
    """See the module's docstring.

    Attributes:
        stages: Stage by the name of its node.
        arcs: Per node, what follows each of its exits: one mapping from node to probability an
            exit; one mapping alone stands for all exits, none where nothing follows.
        first: Probability of each node to be the first; sums to 1.
        initial_state: What the first nodes receive, shape (K,).
    """

    stages: Mapping[str, Stage]
    arcs: Mapping[str, Sequence[Arcs]]
    first: Arcs
    initial_state: FloatArray

    def __post_init__(self) -> None:
        if abs(sum(self.first.values()) - 1) > 1e-9 or min(self.first.values()) < 0:
            raise StageError(f"probabilities of first nodes {dict(self.first)} must sum to 1")
        for name in self.first:
            self._check_arc("the start", len(self.initial_state), name)
        for name, stage in self.stages.items():
            arcs = self.arcs.get(name, ())
            if len(arcs) not in ({0, 1, len(stage.exits)} if stage.exits else {0}):
                raise StageError(
                    f"node {name!r} has {len(stage.exits)} exits, and arcs for {len(arcs)}: give "
                    "one mapping an exit, one for all, or none where nothing follows"
                )
            for children in arcs:
                if min(children.values(), default=0.0) < 0 or sum(children.values()) > 1 + 1e-9:
                    raise StageError(
                        f"arcs out of node {name!r} are {dict(children)}: none may be negative and "
                        "their sum, the discount, must be at most 1"
                    )
                for child in children:
                    for e in stage.exits:
                        self._check_arc(f"node {name!r}", len(e.columns), child)

    def _check_arc(self, source: str, size: int, child: str) -> None:
        if child not in self.stages:
            raise StageError(f"{source} leads to {child!r}, which is no node; add its stage")
        expected = self.stages[child].state_size
        if size != expected:
            raise StageError(
                f"{source} gives a state of {size} entries to node {child!r}, whose incoming state "
                f"has {expected}"
            )

    @classmethod
    def linear(cls, stages: Sequence[Stage], initial_state: FloatArray) -> PolicyGraph:
        """Stages one after the other, named "1", "2", ...: noise independent by stage."""
        names = [str(t + 1) for t in range(len(stages))]
        arcs = {name: ({after: 1.0},) for name, after in pairwise(names)}
        return cls(dict(zip(names, stages, strict=True)), arcs, {names[0]: 1.0}, initial_state)

    @classmethod
    def markovian(
        cls,
        stages: Sequence[Sequence[Stage]],
        transition: Sequence[FloatArray],
        first: FloatArray,
        initial_state: FloatArray,
    ) -> PolicyGraph:
        """Stages whose noise depends on a Markov chain, named "period,state" from "1,1" on.

        Args:
            stages: Stage by period and state of the chain.
            transition: Probabilities from the states of a period to those of the next, T - 1
                matrices.
            first: Probability of each state of the first period.
            initial_state: What the first nodes receive.
        """
        names = [[f"{t + 1},{s + 1}" for s in range(len(row))] for t, row in enumerate(stages)]
        arcs = {
            name: (dict(zip(names[t + 1], transition[t][s].tolist(), strict=True)),)
            for t, row in enumerate(names[:-1])
            for s, name in enumerate(row)
        }
        flat = {
            n: s for ns, ss in zip(names, stages, strict=True) for n, s in zip(ns, ss, strict=True)
        }
        return cls(flat, arcs, dict(zip(names[0], first.tolist(), strict=True)), initial_state)

    def continuation(self, node: str, leaving: int) -> Continuation:
        """What follows an exit, without arcs of probability 0; empty where nothing does."""
        return self.continuations[node][leaving]

    @cached_property
    def continuations(self) -> Mapping[str, tuple[Continuation, ...]]:
        """What follows each exit, by node; equal ones are one object."""
        shared: dict[Continuation, Continuation] = {}
        result = {}
        for name, stage in self.stages.items():
            arcs = self.arcs.get(name, ())
            row = []
            for e in range(len(stage.exits)):
                children = arcs[e if len(arcs) > 1 else 0] if arcs else {}
                key = tuple(sorted((c, float(p)) for c, p in children.items() if p > 0))
                row.append(shared.setdefault(key, key))
            result[name] = tuple(row)
        return result

    @cached_property
    def distinct(self) -> tuple[Continuation, ...]:
        """All continuations that are not empty, each once."""
        found = {c: None for row in self.continuations.values() for c in row if c}
        return tuple(found)

    @cached_property
    def structure(self) -> nx.DiGraph[str]:
        """Nodes and which follows which, without probabilities."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.stages)
        graph.add_edges_from(
            (name, child)
            for name, row in self.continuations.items()
            for continuation in row
            for child, _ in continuation
        )
        return graph

    @property
    def is_acyclic(self) -> bool:
        """Whether no stage comes again."""
        return bool(nx.is_directed_acyclic_graph(self.structure))

    def outcome_probabilities(self, node: str) -> FloatArray:
        """Probabilities of a node's outcomes."""
        return np.array([outcome.probability for outcome in self.stages[node].outcomes])

    @property
    def has_integers(self) -> bool:
        """Whether integers are relaxed in some stage."""
        return any(stage.has_integers for stage in self.stages.values())
