"""Stage programs of a few periods that end in a cost-to-go: short programs with long sight.

Each period a linear or mixed-integer program over the next H >= 1 periods is solved, hot from the
last basis, and its first decision is taken. All limits of the network hold in it, also those that
the cost-to-go was never trained with. What comes after is

* **separable** (`policy="cost_to_go"`, no training needed): concave functions of inventory
  positions (`optrl.policies.position_values`) on expected demand with safety values; a network flow
  stays a network flow;
* **a value function** of stock, pipeline and backlog (`optrl.values`), input-convex or any other
  with an exact embedding, learned by ``optrl train --learner fitted_value``.

For H > 1 recourse may weigh sampled demand: a first decision shared by all paths, then each path on
its own.

Customers that the network cannot tell apart are merged, and storage limits are elastic, as in the
lookahead policy.

Source: Powell, Approximate Dynamic Programming, 2nd ed. (2011), chapter 13 (value functions in
programs); two-stage sampling as in `optrl.policies.two_stage`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_data import StockValue
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.policies.base import ProgramReport
from optrl.policies.horizon_plan import PLANNED_AT_ONCE, needs_whole_horizon, plan_horizon
from optrl.policies.planned import PlannedFlows
from optrl.policies.program_endings import (
    SHAPE_FILE,
    VALUE_FILE,
    Ending,
    PositionEnding,
    ValueEnding,
    read_shape,
)
from optrl.policies.rolled_plan import StageDecision, first_prices, roll
from optrl.simulation.state import Decision, State
from optrl.solver.highs import Progress
from optrl.stages.stage_problem import StageSolution
from optrl.values.base import ValueFunction
from optrl.values.files import load_value
from optrl.values.state_columns import StateColumns

HORIZON = 4
# Keeps the sample apart from demand that a caller draws with the same seed.
_STREAM = 7_301


class CostToGo:
    """See the module's docstring.

    Args:
        ending: What comes after the program's periods.
        demand: What is believed about demand.
        horizon: Periods H of a program.
        paths: Sampled demand paths where recourse matters; 0 for expected demand.
        seed: Of the sample.
        time_limit: Seconds for one decision.
        relative_gap: At which a MIP may stop.
        at_once: Flows up to which `plan` solves one program over the horizon.

    Raises:
        OptrlError: If horizon or paths are out of range.
    """

    name: ClassVar[str] = "cost_to_go"

    def __init__(
        self,
        ending: Ending,
        demand: DemandModel,
        *,
        horizon: int,
        paths: int = 0,
        seed: int = 0,
        time_limit: float | None = 60.0,
        relative_gap: float = 1e-3,
        at_once: int = PLANNED_AT_ONCE,
    ) -> None:
        """See the class."""
        self._at_once = at_once
        if horizon < 1 or paths < 0:
            raise OptrlError(f"horizon {horizon} must be at least 1 and paths {paths} at least 0")
        self.ending, self.demand, self.horizon = ending, demand, horizon
        self._seed, self._paths = seed, paths
        self._time_limit, self._relative_gap = time_limit, relative_gap
        tree = ScenarioTree.two_stage(horizon, paths) if paths else ScenarioTree.chain(horizon)
        self.stage = ending.problem(tree)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """The separable kind as its rule has it: no training, no random numbers."""
        return cls(PositionEnding(instance, demand, HORIZON), demand, horizon=HORIZON, seed=seed)

    @classmethod
    def with_value(
        cls,
        instance: Instance,
        demand: DemandModel,
        value: ValueFunction,
        columns: StateColumns,
        *,
        horizon: int = 1,
        paths: int = 0,
        seed: int = 0,
    ) -> Self:
        """With a learned value function.

        Args:
            instance: The instance.
            demand: What is believed about its demand.
            value: The value function.
            columns: The state that it takes.
            horizon: Periods of a program; 1 is a single decision.
            paths: See the class; a function that stands after the only decision needs none.
            seed: Of the sample.
        """
        ending = ValueEnding(instance, demand, value, columns)
        return cls(ending, demand, horizon=horizon, paths=paths, seed=seed)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], instance: Instance, demand: DemandModel, **how: int
    ) -> Self:
        """The policy of what `save` wrote.

        Args:
            folder: The folder, which nobody vouches for.
            instance: What to decide about.
            demand: What is believed about its demand.
            how: ``horizon`` and ``paths`` for a value function, see `with_value`.

        Raises:
            OptrlError: If the folder holds neither kind, or one that does not fit.
        """
        place = Path(folder)
        if (place / VALUE_FILE).is_file():
            value, columns = load_value(place / VALUE_FILE)
            if columns is None or not isinstance(value, ValueFunction):
                raise OptrlError(f"{place / VALUE_FILE} holds no value function of a state")
            return cls.with_value(instance, demand, value, columns, **how)
        horizon, shape = read_shape(place / SHAPE_FILE)
        return cls(PositionEnding(instance, demand, horizon, shape), demand, horizon=horizon)

    def believing(self, demand: DemandModel) -> Self:
        """The policy with another belief about demand, which shares the program with this one.

        Only data of the program change: expected demand, and breakpoints and slopes of positions.
        """
        other = copy.copy(self)
        other.demand, other.ending = demand, self.ending.believing(demand)
        return other

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write what was learned into an existing folder."""
        self.ending.write(Path(folder))

    def decide(self, state: State, period: int) -> Decision:
        """Solve each scenario's program and release its first decision."""
        view = self.ending.view
        released = [view.orders(solved)[:, :, 0] for solved in self._solved(state, period)]
        return Decision(order=torch.as_tensor(np.stack(released)).to(state.on_hand.dtype))

    def plan(
        self,
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[PlannedFlows, ProgramReport]:
        """Plan the instance's horizon on expected demand.

        One program over the horizon that ends in the cost-to-go sees every limit ahead. Where it
        would be too large, the horizon is planned a period after the other by the policy's own
        short programs, unless limits or costs reach over it (`needs_whole_horizon`).

        Args:
            time_limit: Seconds for the one program, or for each of the others.
            relative_gap: At which a MIP may stop; the policy's own when None.
            progress: Called with the state of a long MIP.
        """
        instance, network = self.ending.instance, self.ending.view.aggregation.network
        path = self.demand.mean(instance.start, instance.horizon)
        flows = int(network.allowed.sum()) * instance.horizon
        if flows <= self._at_once or needs_whole_horizon(network):
            ending = self.ending.lasting(instance.horizon)
            return plan_horizon(
                ending.view,
                ending.problem(ScenarioTree.chain(instance.horizon), strict=True),
                path,
                ending.stock_values(instance.start),
                ending.prices,
                method=f"one program over the horizon that ends in {ending.about}",
                time_limit=time_limit,
                relative_gap=self._relative_gap if relative_gap is None else relative_gap,
                progress=progress,
            )

        def decide(state: State, period: int) -> StageDecision:
            (solved,) = self._solved(state, period, time_limit, relative_gap, progress)
            order = self.ending.view.orders(solved)[:, :, 0]
            prices = first_prices(solved, self.ending.prices(self.stage, solved))
            return StageDecision.of(order, prices, solved.solution)

        method = f"programs of {self.horizon} periods that end in {self.ending.about}"
        return roll(instance, path, decide, method=method)

    def _solved(
        self,
        state: State,
        period: int,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[StageSolution]:
        """The program of each scenario, solved."""
        demand, values = self._demand_of(period), self._values_of(period)
        for each in self.ending.view.states(state):
            yield self.stage.solve(
                each,
                period,
                demand,
                values,
                time_limit=self._time_limit if time_limit is None else time_limit,
                relative_gap=self._relative_gap if relative_gap is None else relative_gap,
                progress=progress,
            )

    def _values_of(self, period: int) -> tuple[StockValue, ...]:
        """Stock values by outcome: each path of a period has the period's."""
        values, count = self.ending.stock_values(period), max(self._paths, 1)
        return tuple(
            replace(
                value,
                width=value.width.repeat(count, axis=1),
                marginal_value=value.marginal_value.repeat(count, axis=1),
            )
            for value in values
        )

    def _demand_of(self, period: int) -> FloatArray:
        """Demand of the coarse network by tree node, shape (N, V, tree nodes)."""
        view = self.ending.view
        if not self._paths:
            coarse = view.demand(self.demand.mean(period, self.horizon))[:, :, None]
        else:
            generator = np.random.default_rng([self._seed, _STREAM])
            paths = self.demand.sample(self._paths, period, self.horizon, generator)
            # The tree lists the outcomes of a period by path, one period after the other.
            coarse = np.stack([view.demand(path) for path in paths], axis=3)
        n, v = coarse.shape[:2]
        return np.concatenate([np.zeros((n, v, 1)), coarse.reshape(n, v, -1)], axis=2)
