"""Two-stage stochastic lookahead by sample average approximation.

Each period the replenishment problem is solved over a sample of demand paths that share the
first decision; everything later follows its own path (ScenarioTree.two_stage). The first decision
weighs all sampled futures, with resources, transshipment and serving alternatives in each.
Recourse knows its whole path, which makes later decisions look better than they can be.

Every decision draws its paths with the same random numbers, so that decisions of neighbouring
periods differ by what changed and not by the sample. Stock and pipeline at the end of the horizon
carry the instance's terminal value.

Source: Kleywegt, Shapiro & Homem-de-Mello (2002), The sample average approximation method for
stochastic discrete optimization, SIAM Journal on Optimization 12(2); Birge & Louveaux,
Introduction to Stochastic Programming, 2nd ed., chapter 9.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.lookahead import elastic
from optrl.policies.sourcing import Sourcing
from optrl.simulation.state import Decision, State
from optrl.stages.coarse import CoarseView

# Keeps the sample apart from demand that a caller draws with the same seed.
_STREAM = 7_201


class TwoStage:
    """See the module's docstring.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        paths: Number of sampled paths.
        horizon: Periods looked ahead; the longest way through the network plus 2 when None.
        ranks: Cheapest lanes kept into each merged customer.
        seed: Of the sample.
        time_limit: Seconds for one decision.
        relative_gap: At which a MIP may stop.
    """

    name: ClassVar[str] = "two_stage"

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        *,
        paths: int = 16,
        horizon: int | None = None,
        ranks: int = 1,
        seed: int = 0,
        time_limit: float | None = 300.0,
        relative_gap: float = 1e-3,
    ) -> None:
        """See the class."""
        self.demand = demand
        self.horizon = _way(Sourcing.of(instance)) + 2 if horizon is None else horizon
        self._paths, self._seed = paths, seed
        self._time_limit, self._relative_gap = time_limit, relative_gap
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        self.view = CoarseView.of(instance, weight, ranks=ranks)
        tree = ScenarioTree.two_stage(self.horizon, paths)
        self._problem = self.view.problem(tree, elastic(self.view.aggregation.network))

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The policy with its defaults and a sample drawn with `seed`."""
        return cls(instance, demand, seed=seed)

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's program and release its first decision."""
        demand = self.sample(period)
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

    def sample(self, period: int) -> FloatArray:
        """Demand of the coarse network by tree node, shape (N, V, tree nodes)."""
        generator = np.random.default_rng([self._seed, _STREAM])
        paths = self.demand.sample(self._paths, period, self.horizon, generator)
        coarse = np.stack([self.view.demand(path) for path in paths], axis=3)
        n, v = coarse.shape[:2]
        # The tree lists the outcomes of a period by path, one period after the other.
        by_node = coarse.reshape(n, v, self.horizon * self._paths)
        return np.concatenate([np.zeros((n, v, 1)), by_node], axis=2)


def _way(sourcing: Sourcing) -> int:
    """Periods from an order at a supplier to the end of what it covers, at its longest."""
    cover = sourcing.lead_time + sourcing.review
    bottom = sourcing.children == 0
    return int(cover[~bottom].max(initial=0)) + int(cover[bottom].max(initial=1))
