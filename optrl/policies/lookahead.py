"""Rolling-horizon lookahead: a linear or mixed-integer program on expected demand.

Each period the replenishment problem is solved over the coming periods on expected demand, with
the value of safety stock against forecast error (`safety`), and the first decision is taken.
Customers that the network cannot tell apart are merged (`optrl.aggregation`). As a planner it
solves once over the whole horizon.

Expected demand is served as far as stock goes: the order of events does not let stock wait for
later demand, so the program's shortage costs are raised above all that safety stock is worth.

In `decide` storage limits without a price get a high one and service-level targets act through
the safety stock alone: random demand may already have broken them, and a decision is needed still.

Source: rolling-horizon planning on forecasts, surveyed by Chand, Hsu & Sethi (2002), Forecast,
solution, and rolling horizons in operations management problems, M&SOM 4(1).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import Network
from optrl_formulations.replenishment_data import StockValue
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.base import ProgramReport
from optrl.policies.horizon_plan import plan_horizon
from optrl.policies.planned import PlannedFlows
from optrl.policies.safety import SafetyValues
from optrl.policies.sourcing import Sourcing
from optrl.simulation.state import Decision, State
from optrl.solver.highs import Progress
from optrl.stages.coarse import CoarseView, with_root
from optrl.stages.stage_problem import FrozenRule, StageProblem

# Cheapest lanes kept into each merged customer: on examples/iowa the program loses 0.01 % by the
# others and is 2.8 times smaller.
_RANKS = 2


class Lookahead:
    """See the module's docstring.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        horizon: Periods looked ahead in `decide`; `default_horizon` when None.
        safety: Whether stock has a value against forecast error.
        time_limit: Seconds for one decision.
        relative_gap: At which a MIP may stop.
    """

    name: ClassVar[str] = "lookahead"

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        *,
        horizon: int | None = None,
        safety: bool = True,
        time_limit: float | None = 60.0,
        relative_gap: float = 1e-3,
    ) -> None:
        """See the class."""
        self.instance = instance
        self.demand = demand
        self._sourcing = sourcing = Sourcing.of(instance)
        self.horizon = default_horizon(sourcing) if horizon is None else horizon
        self._time_limit, self._relative_gap = time_limit, relative_gap
        self._safety = SafetyValues(instance, demand, sourcing) if safety else None
        weight = demand.mean(instance.start, max(1, instance.horizon)).mean(axis=2)
        planned = serving_first(instance, sourcing) if safety else instance
        self.view = CoarseView.of(planned, weight, ranks=_RANKS)
        self._rolling: StageProblem | None = None

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The policy with its defaults; it draws no random numbers."""
        return cls(instance, demand)

    def believing(self, demand: DemandModel) -> Self:
        """The policy with another belief about demand, which shares the program with this one."""
        other = copy.copy(self)
        other.demand, other._rolling = demand, self._program()
        if self._safety is not None:
            other._safety = SafetyValues(self.instance, demand, self._sourcing)
        return other

    def _program(self) -> StageProblem:
        """The program of a decision, made when it is first needed."""
        if self._rolling is None:
            coarse = elastic(self.view.aggregation.network)
            self._rolling = self._problem(coarse, self.horizon, "fixed_if_possible")
        return self._rolling

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's program and release its first decision."""
        program = self._program()
        demand = with_root(self.view.demand(self.demand.mean(period, self.horizon)))
        values = self._values(period, self.horizon)
        released = []
        for stage in self.view.states(state):
            solved = program.solve(
                stage,
                period,
                demand,
                values,
                time_limit=self._time_limit,
                relative_gap=self._relative_gap,
            )
            released.append(self.view.orders(solved)[:, :, 0])
        return Decision(order=torch.as_tensor(np.stack(released)).to(state.on_hand.dtype))

    def plan(
        self,
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[PlannedFlows, ProgramReport]:
        """Solve once over the instance's horizon, service levels and storage limits kept."""
        instance = self.instance
        path = self.demand.mean(instance.start, instance.horizon)
        true = self.view.with_shortage_cost(instance.network)
        return plan_horizon(
            self.view,
            self._problem(self.view.aggregation.network, instance.horizon, "fixed"),
            path,
            self._values(instance.start, instance.horizon),
            lambda problem, solved: problem.price(solved, true).prices(),
            method="one program over the horizon",
            time_limit=time_limit,
            relative_gap=self._relative_gap if relative_gap is None else relative_gap,
            progress=progress,
        )

    def _problem(self, network: Network, horizon: int, frozen_as: FrozenRule) -> StageProblem:
        return self.view.problem(ScenarioTree.chain(horizon), network, frozen_as)

    def _values(self, period: int, horizon: int) -> tuple[StockValue, ...]:
        if self._safety is None:
            return ()
        aggregation = self.view.aggregation
        return self._safety.at(period, horizon, aggregation.node, len(aggregation.network.nodes))


def default_horizon(sourcing: Sourcing) -> int:
    """Periods to look ahead: half as much again as the longest way to a node, 8 at least."""
    way = sourcing.lead_time + sourcing.review
    longest = int(way.max(initial=1)) + int(way[sourcing.children == 0].max(initial=1))
    return max(8, longest + (longest + 1) // 2)


def serving_first(instance: Instance, sourcing: Sourcing) -> Instance:
    """The instance with shortage costs above what held stock can save over an order's cover.

    Demand that costs more to serve than to miss keeps its shortage cost.
    """
    network = instance.network
    cover = 1 + int((sourcing.lead_time + sourcing.review).max(initial=1))
    short = network.shortage_cost[:, sourcing.demand_nodes]
    worth = short > sourcing.owner_cost + sourcing.serving_cost
    raised = network.shortage_cost.copy()
    raised[:, sourcing.demand_nodes] = np.where(worth, short * cover, short)
    return replace(instance, network=replace(network, shortage_cost=raised))


def elastic(network: Network) -> Network:
    """The network with a price on every storage limit and no service-level rows."""
    dear = 100.0 * float(network.shortage_cost.max(initial=0.0) + network.holding_cost.max())
    return replace(
        network,
        service_level=np.zeros_like(network.service_level),
        resources=tuple(
            replace(r, overflow_cost=min(r.overflow_cost, dear)) if r.kind == "storage" else r
            for r in network.resources
        ),
    )
