"""Multi-stage stochastic lookahead on a scenario tree, never beyond the end of the horizon.

Each period the replenishment problem is solved over a tree of sampled demand, and the decision of
its root is released. With more than one branching the next decisions, too, are taken before all of
their future is seen, which a two-stage program (`two_stage`) lets them know. The tree stops where
the instance's horizon ends, so that stock and orders near the end are worth what they still earn.

Where the tree branches, drawn paths are sorted by the period's total demand into strata of equal
probability, whose means are the outcomes; later periods follow one drawn path each. Demand of a
period is then scaled to its expectation. Both take noise of the sample out of the decisions.

Source: Shapiro, Dentcheva & Ruszczynski, Lectures on Stochastic Programming, section 3.1 (scenario
trees) and chapter 5 (sample average approximation); strata: Owen (2013), Monte Carlo Theory,
Methods and Examples, chapter 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.lookahead import default_horizon, elastic
from optrl.policies.sourcing import Sourcing
from optrl.simulation.state import Decision, State
from optrl.stages.coarse import CoarseView
from optrl.stages.stage_problem import StageProblem

# Paths drawn for each path of the tree, to form strata of the periods that branch.
_DRAWS = 32
# Cheapest lanes kept into each merged customer.
_RANKS = 2


# Keeps the sample apart from demand that a caller draws with the same seed; (seed, 0) alone is
# the generator of seed.
_STREAM = 7_202


class MultiStage:
    """See the module's docstring.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        branches: Outcomes sampled in the first periods; later periods follow one path each.
        horizon: Periods looked ahead at most; `lookahead.default_horizon` when None. Give the
            instance's own horizon to look to its end from the first period on.
        seed: Of the sample.
        time_limit: Seconds for one decision.
        relative_gap: At which a MIP may stop.
    """

    name: ClassVar[str] = "multi_stage"

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        *,
        branches: Sequence[int] = (4, 2),
        horizon: int | None = None,
        seed: int = 0,
        time_limit: float | None = 300.0,
        relative_gap: float = 1e-2,
    ) -> None:
        """See the class."""
        self.demand = demand
        self._branches, self._seed = tuple(branches), seed
        self.horizon = default_horizon(Sourcing.of(instance)) if horizon is None else horizon
        self._end = instance.start + instance.horizon
        self._time_limit, self._relative_gap = time_limit, relative_gap
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        self.view = CoarseView.of(instance, weight, ranks=_RANKS)
        self._network = elastic(self.view.aggregation.network)
        self._problem: StageProblem | None = None

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The policy with its defaults and a sample drawn with `seed`."""
        return cls(instance, demand, seed=seed)

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's program and release its first decision."""
        periods = min(max(1, self._end - period), self.horizon)
        if self._problem is None or self._problem.tree.periods != periods:
            self._problem = self._compile(periods)
        demand = self._sample(self._problem.tree, period)
        released = [
            self.view.orders(
                self._problem.solve(
                    stage,
                    period,
                    demand,
                    time_limit=self._time_limit,
                    relative_gap=self._relative_gap,
                )
            )[:, :, 0]
            for stage in self.view.states(state)
        ]
        return Decision(order=torch.as_tensor(np.stack(released)).to(state.on_hand.dtype))

    def _compile(self, periods: int) -> StageProblem:
        counts = (*self._branches, *[1] * periods)[:periods]
        tree = ScenarioTree.branching(counts)
        return self.view.problem(tree, self._network)

    def _sample(self, tree: ScenarioTree, period: int) -> FloatArray:
        """Demand of the coarse network by tree node, shape (N, V, tree nodes)."""
        generator = np.random.default_rng((self._seed, period, _STREAM))
        drawn = self.demand.sample(_DRAWS * len(tree.leaves), period, tree.periods, generator)
        paths, items, places, periods = drawn.shape
        n, v = self.view.demand_pairs.shape
        # Customers are merged period by period, so that paths can stand one after the other.
        joined = self.view.demand(drawn.transpose(1, 2, 0, 3).reshape(items, places, -1))
        coarse = joined.reshape(n, v, paths, periods).transpose(2, 0, 1, 3)
        result = np.zeros((n, v, len(tree.parent)))
        members = {0: np.arange(len(drawn))}
        for node in tree.decisions:
            children = np.flatnonzero(tree.parent == node)
            depth, mine = tree.depth[node], members.pop(int(node))
            if len(children) == 1:
                # A path of its own: one draw stands for the rest, whose mean would not vary.
                result[:, :, children[0]] = coarse[mine[0], :, :, depth]
                members[int(children[0])] = mine
                continue
            total = coarse[mine, :, :, depth].sum(axis=(1, 2))
            strata = np.array_split(mine[np.argsort(total, kind="stable")], len(children))
            for child, stratum in zip(children, strata, strict=True):
                result[:, :, child] = coarse[stratum, :, :, depth].mean(axis=0)
                # Sorting again must not order what follows by what has been seen.
                members[int(child)] = generator.permutation(stratum)
        expected = self.view.demand(self.demand.mean(period, tree.periods))
        for depth in range(1, tree.periods + 1):
            nodes = np.flatnonzero(tree.depth == depth)
            mean = result[:, :, nodes] @ tree.probability[nodes]
            wanted = expected[:, :, depth - 1]
            scale = np.divide(wanted, mean, out=np.ones_like(mean), where=mean > 0)
            result[:, :, nodes] *= scale[:, :, None]
        return result
