"""Dual-guided policy: the stage problem with cost-to-go, small as a program, large by prices.

Items share capacity and nothing else, so that prices on capacity take them apart. Each period

1. the stage problem is stated with values of inventory positions after it
   (`optrl.policies.position_stage`), in which what capacity is worth later counts
   (`optrl.policies.fluid_prices`);
2. prices are searched, from those of the last period on; at prices all items answer in one
   vectorized pass (`optrl.decomposition.allocation`);
3. a plan that keeps all capacities, stocks and lots is recovered from the answers, by a program
   over the few items that are undecided at the prices.

While the problem is small, one program over all items takes the place of 2 and 3 and gives the
same, up to the duality gap that each `Repair` tells. Where orders of a period hang together
otherwise (storage, joint fixed costs, several lanes to choose from) the policy solves the program
of `cost_to_go`, as long as that is small enough.

Source: Geoffrion (1974), Mathematical Programming Study 2; Adelman & Mersereau (2008), Relaxations
of weakly coupled stochastic dynamic programs, Operations Research 56(3) (policies from prices).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.decomposition.allocation.nearby import settle
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.recovery import Recovered, Repair, allocate, allocate_whole
from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.policies.base import ProgramReport
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.fluid_prices import FluidPrices
from optrl.policies.learned_worth import LearnedWorth
from optrl.policies.planned import PlannedFlows
from optrl.policies.position_stage import PositionStage, has_several_ways, not_separable
from optrl.policies.position_values import Shape
from optrl.policies.price_forecast import PriceForecast
from optrl.policies.rolled_plan import StageDecision, roll
from optrl.simulation.state import Decision, State
from optrl.solver.highs import Progress
from optrl.stages.stage_problem import StageState

How = Literal["auto", "priced", "forecast", "monolithic", "program"]
"""How the stage problem is solved.

* ``priced``: by prices and recovery;
* ``forecast``: near prices that a network forecasts, in a few passes;
* ``monolithic``: the same problem as one program over all items;
* ``program``: the program of `cost_to_go`, over a few periods and all lanes;
* ``auto``: ``program`` where the problem does not fall apart, else ``monolithic`` up to
  `SMALL_STAGE` orders and ``priced`` above.
"""

SMALL_STAGE = 500
"""Orders of a period up to which one program decides."""

LARGE_PROGRAM = 20_000
"""Items times lanes above which the program of `cost_to_go` is refused."""

# A capacity in float32 sums to a little more or less than in float64.
_ROUNDING = {torch.float32: 4e-6, torch.float64: 1e-9}


class DualGuided:
    """See the module's docstring.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        how: How the stage problem is solved.
        toll_share: Share of the price of lasting scarcity that capacity is worth later; 0 for a
            stage problem that does not look beyond its period; that of `worth` when None.
        shape: What was learned about values of positions; the rule's own when None.
        worth: What was learned about them by item, and about the share; nothing when None.
        forecast: Of prices; how="forecast" needs it.
        time_limit: Seconds for the programs of one decision.
        relative_gap: At which programs with integers may stop.

    Attributes:
        how: How the stage problem is solved, no longer ``auto``.
        repairs: What the last decision repaired, by scenario; empty where ``program`` or
            ``forecast`` decides.

    Raises:
        OptrlError: If the stage problem cannot be solved as asked, with what hangs together.
    """

    name: ClassVar[str] = "dual_guided"

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        *,
        how: How = "auto",
        toll_share: float | None = None,
        shape: Shape | None = None,
        worth: LearnedWorth | None = None,
        forecast: PriceForecast | None = None,
        time_limit: float | None = 10.0,
        relative_gap: float = 1e-4,
    ) -> None:
        """See the class."""
        self.instance, self.demand = instance, demand
        self.how = _choose(instance, how)
        if (forecast is None) == (how == "forecast"):
            raise OptrlError(
                f"how={how!r} and a forecast {'missing' if forecast is None else 'given'}: give "
                "how='forecast' and a PriceForecast together"
            )
        self._forecast = forecast
        learned = LearnedWorth() if worth is None else worth
        self._share = learned.toll_share if toll_share is None else toll_share
        self.repairs: tuple[Repair, ...] = ()
        self._time_limit, self._relative_gap = time_limit, relative_gap
        self._program = CostToGo.fit(instance, demand) if self.how == "program" else None
        if self._program is None:
            self.stage = PositionStage(instance, demand, shape, learned)
            sourcing = self.stage.sourcing
            self._later = FluidPrices(instance, demand, sourcing) if self._share else None
            if how == "auto" and len(self.stage.item) > SMALL_STAGE:
                self.how = "priced"
        self._warm: dict[int, FloatArray] = {}

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The policy with its defaults; it draws no random numbers."""
        return cls(instance, demand)

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's stage problem and release what it orders."""
        if self._program is not None:
            return self._program.decide(state, period)
        orders, repairs = [], []
        for s, problem in enumerate(self.problems(state, period)):
            if self._forecast is not None:
                prices = self._forecast.prices(problem, self.lasting(period), period)
                orders.append(self.stage.orders(settle(problem, prices).quantity))
                continue
            found = self._solve(problem, s)
            self._warm[s] = found.repair.prices
            orders.append(self.stage.orders(found.quantity))
            repairs.append(found.repair)
        self.repairs = tuple(repairs)
        return Decision(order=torch.as_tensor(np.stack(orders)).to(state.on_hand.dtype))

    def plan(
        self,
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[PlannedFlows, ProgramReport]:
        """Plan the horizon on expected demand, a decision after the other; see `PlanningPolicy`.

        Afterwards `repairs` holds what was repaired by period.
        """
        if self._program is not None:
            return self._program.plan(
                time_limit=time_limit, relative_gap=relative_gap, progress=progress
            )
        if self._forecast is not None:
            raise OptrlError("a plan searches its prices: use how='priced' or 'monolithic'")
        instance = self.instance
        planner = copy.copy(self)
        planner._warm = {}
        if time_limit is not None:
            planner._time_limit = time_limit / max(1, instance.horizon)
        if relative_gap is not None:
            planner._relative_gap = relative_gap
        path = self.demand.mean(instance.start, instance.horizon)
        repairs: list[Repair] = []

        def decide(state: State, now: int) -> StageDecision:
            began = time.perf_counter()
            decision = planner.decide(state, now)
            (repair,) = planner.repairs
            repairs.append(repair)
            return StageDecision(
                order=decision.order[0].double().numpy(),
                prices=repair.prices,
                status="optimal" if repair.gap <= planner._relative_gap else "feasible",
                gap=repair.gap,
                seconds=time.perf_counter() - began,
                columns=len(planner.stage.item),
                rows=len(instance.network.resources),
            )

        method = f"{self.how}: values of positions, one period after the other"
        flows, report = roll(instance, path, decide, method=method)
        self.repairs = tuple(repairs)
        return flows, report

    def problems(self, state: State, period: int) -> Iterator[Allocation]:
        """The stage problem of each scenario, not for ``program``.

        Args:
            state: What the decision sees.
            period: Absolute period.
        """
        later = self.lasting(period)
        margin = 1.0 - _ROUNDING.get(state.on_hand.dtype, 1e-6)
        parts = [
            part.detach().double().numpy() for part in (state.on_hand, state.due, state.backlog)
        ]
        for s in range(state.on_hand.shape[0]):
            # Float32 rollouts leave dust below zero.
            seen = StageState(*(np.maximum(part[s], 0.0) for part in parts))
            yield self.stage.allocation(seen, period, later, margin=margin)

    def warm(self, scenario: int) -> FloatArray | None:
        """Prices of the last period in a scenario, shape (R,); None before the first."""
        return self._warm.get(scenario)

    def lasting(self, period: int) -> FloatArray:
        """What resources are counted to be worth after a period, shape (R,)."""
        if self._later is None:
            return np.zeros(len(self.instance.network.resources))
        return self._share * self._later.after(period)

    def _solve(self, problem: Allocation, scenario: int) -> Recovered:
        if self.how == "monolithic":
            return allocate_whole(
                problem, time_limit=self._time_limit, relative_gap=self._relative_gap
            )
        return allocate(
            problem,
            self.warm(scenario),
            time_limit=self._time_limit,
            relative_gap=self._relative_gap,
        )


def _choose(instance: Instance, how: How) -> How:
    network = instance.network
    reasons = not_separable(instance)
    if how in ("priced", "forecast", "monolithic"):
        if reasons:
            raise OptrlError(
                f"{instance.name!r} cannot be decided by prices on primary lanes: "
                f"{'; '.join(reasons)}. Use how='program', or the policy cost_to_go"
            )
        return how
    size = len(network.items) * len(network.lanes)
    if how == "auto" and not reasons and (size > LARGE_PROGRAM or not has_several_ways(instance)):
        return "monolithic"
    if how == "auto" and size > LARGE_PROGRAM:
        raise OptrlError(
            f"{instance.name!r} has {size} items times lanes, too many for one program "
            f"({LARGE_PROGRAM}), and cannot be decided by prices: {'; '.join(reasons)}. Leave "
            "that out, or decide fewer items"
        )
    return "program"
