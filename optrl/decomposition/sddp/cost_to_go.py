"""The costs-to-go of a graph: which pool of cuts stands for which, in single or multi cut.

Single cut: one pool a continuation (what may follow an exit), of averaged cuts. Multi cut: one
pool for each node and outcome that may follow, joined by rows that weigh them with probabilities
or, under a risk measure, with those of the worst distributions met so far (Birge & Louveaux,
1988, European Journal of Operational Research 34(3), for the multi cut).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.cuts import CutPool, Selection
from optrl.decomposition.sddp.graph import Continuation, PolicyGraph
from optrl.decomposition.sddp.risk import RiskMeasure

Cuts = Literal["single", "multi"]


@dataclass(frozen=True)
class Successor:
    """A node and outcome that may follow, with its unconditional probability (discount in)."""

    node: str
    outcome: int
    probability: float


class CostToGo:
    """All pools of a graph.

    Attributes:
        graph: The graph.
        cuts: Single or multi.
        risk: Nested risk measure.
        pools: By key.
        mixtures: In multi cut, weights of successors by continuation, each shape (n, successors).
    """

    def __init__(self, graph: PolicyGraph, cuts: Cuts, risk: RiskMeasure) -> None:
        """Without any pool: `initial_bound` gives the first."""
        self.graph, self.cuts, self.risk = graph, cuts, risk
        self.pools: dict[str, CutPool] = {}
        self._successors = {c: _successors(graph, c) for c in graph.distinct}
        self._number = {c: k for k, c in enumerate(graph.distinct)}
        self.mixtures: dict[Continuation, FloatArray] = {}
        if cuts == "multi":
            for c, after in self._successors.items():
                self.mixtures[c] = np.array([[s.probability for s in after]])

    def successors(self, continuation: Continuation) -> tuple[Successor, ...]:
        """What may follow, outcome by outcome."""
        return self._successors[continuation]

    def number(self, continuation: Continuation) -> int:
        """Number of a continuation in the graph."""
        return self._number[continuation]

    def keys(self, continuation: Continuation) -> list[str]:
        """Keys of the pools that stand for a continuation."""
        if self.cuts == "single":
            return [f"continuation {self._number[continuation]}"]
        return [f"{s.node}, outcome {s.outcome}" for s in self._successors[continuation]]

    def continuation_of(self, key: str) -> Continuation:
        """A continuation that a pool stands for."""
        return next(c for c in self.graph.distinct if key in self.keys(c))

    def weights(self, continuation: Continuation, values: FloatArray) -> FloatArray:
        """Weights of successors whose weighted sum of values is their discounted risk."""
        probability = np.array([s.probability for s in self._successors[continuation]])
        discount = probability.sum()
        return np.asarray(discount * self.risk.weights(values, probability / discount))

    def learn(
        self,
        continuation: Continuation,
        state: FloatArray,
        values: FloatArray,
        gradients: FloatArray,
        iteration: int,
    ) -> None:
        """Take in what all successors cost from a state.

        Args:
            continuation: Whose successors.
            state: Shape (K,).
            values: Shape (successors,).
            gradients: Shape (successors, K).
            iteration: Now.
        """
        weights = self.weights(continuation, values)
        keys = self.keys(continuation)
        if self.cuts == "single":
            self.pools[keys[0]].add(float(weights @ values), weights @ gradients, state, iteration)
            return
        for key, value, gradient in zip(keys, values.tolist(), gradients, strict=True):
            self.pools[key].add(value, gradient, state, iteration)
        known = self.mixtures[continuation]
        if not np.isclose(known, weights, rtol=0, atol=1e-12).all(axis=1).any():
            self.mixtures[continuation] = np.vstack([known, weights])

    def height(self, continuation: Continuation, states: FloatArray) -> FloatArray:
        """The cost-to-go that cuts give at states (n, K), shape (n,)."""
        heights = np.array([self.pools[k].evaluate(states)[0] for k in self.keys(continuation)])
        if self.cuts == "single":
            return np.asarray(heights[0])
        return np.asarray((self.mixtures[continuation] @ heights).max(axis=0))

    def select(self, by: Selection, iteration: int, patience: int) -> None:
        """Drop cuts of all pools; see `CutPool.select`."""
        for pool in self.pools.values():
            pool.select(by, iteration, patience)


def _successors(graph: PolicyGraph, continuation: Continuation) -> tuple[Successor, ...]:
    return tuple(
        Successor(node, k, probability * outcome.probability)
        for node, probability in continuation
        for k, outcome in enumerate(graph.stages[node].outcomes)
        if outcome.probability > 0
    )
