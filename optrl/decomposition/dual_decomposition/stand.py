"""Blocks with the best multipliers found for them and the points met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.dual_decomposition.block import Answer, ScenarioBlock
from optrl.decomposition.dual_decomposition.bundle import Bundle


class Stand:
    """Of one set of blocks.

    Attributes:
        blocks: G of them.
        bundle: Points met.
        centre: Multipliers of the best bound, shape (G, K).
        best: That bound, -inf before the first round.
    """

    def __init__(
        self, problem: TwoStage, groups: Sequence[Sequence[int]], multipliers: FloatArray
    ) -> None:
        """Load the blocks' programs."""
        self.blocks = [ScenarioBlock(problem, group) for group in groups]
        share = np.array([block.share for block in self.blocks])
        scale = 1.0 + np.abs(problem.first.cost[problem.state])
        self.bundle = Bundle(share, problem.state, scale)
        self.centre, self.best = multipliers, -np.inf
        self._first_cost = problem.first.cost
        self._met: list[list[FloatArray]] = [[] for _ in groups]

    def add(self, answers: Sequence[Answer]) -> None:
        """Points of all blocks, in order."""
        points = [(k, a.cost, a.x) for k, a in enumerate(answers) if a.x is not None]
        self.bundle.add(points)
        for block, _, x in points:
            self._met[block].append(x)

    def take(self, asked: FloatArray, answers: Sequence[Answer], promised: float) -> None:
        """A round: its bound, its points, and what it kept of what was promised."""
        bound = sum(a.bound for a in answers)
        if promised > self.best:
            self.bundle.learn((bound - self.best) / (promised - self.best))
        if bound > self.best:
            self.centre, self.best = asked, bound
        self.add(answers)

    @property
    def every_block_has_a_point(self) -> bool:
        """Whether the bundle's model is bounded."""
        return all(self._met)

    def merged(self) -> tuple[list[list[int]], FloatArray]:
        """Groups of scenarios two by two, and their multipliers.

        The block whose last first stage costs least joins the one whose costs most: merging
        brings most where blocks disagree.
        """
        cost = np.array([float(self._first_cost @ m[-1]) if m else 0.0 for m in self._met])
        order = np.argsort(cost, kind="stable").tolist()
        half = len(order) // 2
        pairs = [[order[k], order[-1 - k]] for k in range(half)]
        pairs += [[order[half]]] if len(order) % 2 else []
        groups = [[s for k in pair for s in self.blocks[k].scenarios] for pair in pairs]
        return groups, np.array([self.centre[pair].sum(axis=0) for pair in pairs])
