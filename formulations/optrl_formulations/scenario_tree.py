"""Scenario trees: what is known when a decision is taken.

A tree node at depth d has seen the demand of periods 0, ..., d - 1. Roots (depth 0) have seen
nothing. The decision of period d is taken at a node of depth d that has children, before it is
known which child comes true; demand, sales and end-of-period stock of period d belong to the
children. Indexing decisions by tree node is non-anticipativity itself: two scenarios that share
a node share its decision, and no equality rows are needed (the node or arborescent form, see
Birge & Louveaux, Introduction to Stochastic Programming, 2nd ed., section 3.5; Shapiro,
Dentcheva & Ruszczynski, Lectures on Stochastic Programming, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optrl_formulations.network import FloatArray, IntArray


@dataclass(frozen=True)
class ScenarioTree:
    """A forest of equal depth; parents precede children.

    Attributes:
        parent: Index of each node's parent, -1 for roots, shape (nodes,).
        probability: Unconditional probability of each node, shape (nodes,); the roots sum to 1
            and children sum to their parent.
    """

    parent: IntArray
    probability: FloatArray

    def __post_init__(self) -> None:
        if self.parent.shape != self.probability.shape or self.parent.ndim != 1:
            raise ValueError("parent and probability must be vectors of equal length")
        if (self.parent >= np.arange(len(self.parent))).any():
            raise ValueError("parents must precede their children")
        if not np.isclose(self.probability[self.parent < 0].sum(), 1.0):
            raise ValueError("the probabilities of the roots must sum to 1")
        inner = np.zeros(len(self.parent))
        np.add.at(inner, self.parent[self.outcomes], self.probability[self.outcomes])
        has_children = np.isin(np.arange(len(self.parent)), self.parent)
        if not np.allclose(inner[has_children], self.probability[has_children]):
            raise ValueError("the probabilities of children must sum to their parent's")
        if len(set(self.depth[~has_children].tolist())) != 1:
            raise ValueError("all leaves must have the same depth")

    @cached_property
    def depth(self) -> IntArray:
        """Number of periods each node has seen, shape (nodes,)."""
        depth = np.zeros(len(self.parent), dtype=np.int64)
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                depth[node] = depth[parent] + 1
        return depth

    @property
    def periods(self) -> int:
        """Number of periods T."""
        return int(self.depth.max())

    @cached_property
    def outcomes(self) -> IntArray:
        """Nodes that are outcomes of a period (all but the roots), ascending, shape (M,)."""
        return np.flatnonzero(self.parent >= 0)

    @cached_property
    def decisions(self) -> IntArray:
        """Nodes at which a decision is taken (all but the leaves), ascending."""
        return np.flatnonzero(self.depth < self.depth.max())

    @cached_property
    def leaves(self) -> IntArray:
        """Nodes of full depth, ascending."""
        return np.flatnonzero(self.depth == self.depth.max())

    @cached_property
    def ancestors(self) -> IntArray:
        """``ancestors[node, d]`` is the node's ancestor at depth d, -1 beyond its own depth."""
        table = np.full((len(self.parent), self.periods + 1), -1, dtype=np.int64)
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                table[node] = table[parent]
            table[node, self.depth[node]] = node
        return table

    @classmethod
    def chain(cls, periods: int) -> ScenarioTree:
        """One scenario: the deterministic problem."""
        return cls(np.arange(-1, periods, dtype=np.int64), np.ones(periods + 1))

    @classmethod
    def two_stage(
        cls, periods: int, scenarios: int, probability: FloatArray | None = None
    ) -> ScenarioTree:
        """One decision before any demand is seen, then each scenario on its own path."""
        return cls._paths(periods, scenarios, probability, shared_root=True)

    @classmethod
    def forest(
        cls, periods: int, scenarios: int, probability: FloatArray | None = None
    ) -> ScenarioTree:
        """Scenarios that share nothing: every decision knows its whole path."""
        return cls._paths(periods, scenarios, probability, shared_root=False)

    @classmethod
    def _paths(
        cls, periods: int, scenarios: int, probability: FloatArray | None, shared_root: bool
    ) -> ScenarioTree:
        weights = np.full(scenarios, 1 / scenarios) if probability is None else probability
        roots = 1 if shared_root else scenarios
        first = np.zeros(scenarios, dtype=np.int64) if shared_root else np.arange(scenarios)
        later = roots + np.arange(scenarios * (periods - 1), dtype=np.int64)
        return cls(
            np.concatenate([np.full(roots, -1, dtype=np.int64), first, later]),
            np.concatenate([[1.0] if shared_root else weights, np.tile(weights, periods)]),
        )

    @classmethod
    def branching(cls, branches: Sequence[int]) -> ScenarioTree:
        """A balanced tree whose nodes of depth d have ``branches[d]`` equally likely children."""
        parent, probability, level = [-1], [1.0], [0]
        for count in branches:
            following = []
            for node in level:
                for _ in range(count):
                    following.append(len(parent))
                    parent.append(node)
                    probability.append(probability[node] / count)
            level = following
        return cls(np.array(parent, dtype=np.int64), np.array(probability))

    def scenario_nodes(self, leaf: int) -> IntArray:
        """Outcome nodes on the path to `leaf`, by period, shape (T,)."""
        return self.ancestors[leaf, 1:]
