"""The inner problem of an information relaxation: a path's program with linear penalties.

    minimize  cost(x, path) - sum over t, k of multiplier[t, k] (y[t, k](x) - reference[t, k])

x are the flows of a path whose demand and arrivals are known, y[t] the columns of the state after
the decision of period t (`optrl.values.state_columns`), before its demand is seen. It is the
perfect-information program with other costs: multipliers only move the objective.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from optrl_formulations.joining import AffineMap
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout

from optrl.bounds.errors import BoundError
from optrl.bounds.zones import Zones
from optrl.evaluation.perfect_information import KnownFuture
from optrl.instance import Instance
from optrl.solver import Model, UnboundedError
from optrl.stages.coarse import CoarseView
from optrl.stages.stage_problem import StageProblem
from optrl.values.program_state import program_columns
from optrl.values.state_columns import StateColumns


class _Penalized(StageProblem):
    """A stage problem whose columns cost something more."""

    added: Mapping[str, FloatArray] = MappingProxyType({})
    """What is added to the costs of columns, by block."""

    @property
    def layout(self) -> ReplenishmentLayout:
        """Components of the program."""
        return self._layout

    def _program(self, layout: ReplenishmentLayout, data: ReplenishmentData) -> LinearProgram:
        program = super()._program(layout, data)
        self._own = {name: program.cost[block.slice] for name, block in program.columns.items()}
        cost = program.cost.copy()
        for name, more in self.added.items():
            cost[program.columns[name].slice] += more
        return replace(program, cost=cost)

    def _push(self, model: Model, layout: ReplenishmentLayout, data: ReplenishmentData) -> None:
        super()._push(model, layout, data)
        for name, more in self.added.items():
            model.push_cost(name, self._own[name] + more)


@dataclass(frozen=True)
class InnerSolution:
    """An inner problem solved.

    Attributes:
        value: Its optimal value: in expectation a lower bound.
        columns: Columns of the state after each decision in its solution, shape (T, K).
        seconds: Time to solve.
    """

    value: float
    columns: FloatArray
    seconds: float


class InnerProblem:
    """Inner problems of one instance, path after path, from the last basis.

    Args:
        instance: The instance.
        columns: Which columns of the state multipliers are of, at the moment ``after_decision``.
        weight: Typical demand, shape (N, D); pairs of zero weight have no demand at all.
        periods: Periods T of a path.
        seed: Seed of random arrivals.
        merge: Whether to merge customers into relaxed zones (`optrl.bounds.zones`).
    """

    def __init__(
        self,
        instance: Instance,
        columns: StateColumns,
        weight: FloatArray,
        periods: int,
        *,
        seed: int,
        merge: bool = False,
    ) -> None:
        """See the class."""
        if columns.moment != "after_decision":
            raise BoundError(
                "multipliers are of what is known before demand: take the columns of a state "
                "after its decision"
            )
        self.columns, self.periods = columns, periods
        self._zones: Zones | None = None
        self._known = KnownFuture(
            *(instance, weight, periods, seed, _Penalized), see=self._zoned if merge else None
        )
        self._map: AffineMap | None = None

    def solve(
        self,
        path: FloatArray,
        multiplier: FloatArray,
        reference: FloatArray,
        scenario: int,
        *,
        time_limit: float | None = None,
    ) -> InnerSolution:
        """Solve for one path.

        Args:
            path: Demand, shape (N, D, T).
            multiplier: Shape (T, K).
            reference: Shape (T, K).
            scenario: Number of the scenario, for random arrivals.
            time_limit: Seconds.

        Raises:
            BoundError: If the program is unbounded: the multipliers pay for stock without end.
        """
        problem = self._known.prepare(scenario)
        assert isinstance(problem, _Penalized)
        expressions = self._expressions(problem)
        flat = multiplier.ravel()
        problem.added = {name: -(matrix.T @ flat) for name, matrix in expressions.columns.items()}
        try:
            solved = self._known.solve(path, scenario, time_limit=time_limit)
        except UnboundedError as error:
            raise BoundError(
                f"the multipliers of scenario {scenario} pay for orders without end, so that they "
                f"bound nothing ({error}); weaken the penalty, or limit orders by a resource"
            ) from error
        values = {name: solved.solution.values(name) for name in expressions.columns}
        y = expressions.evaluate(values, self._start(solved.layout))
        constant = flat @ (y - reference.ravel()) - sum(
            flat @ (matrix @ values[name]) for name, matrix in expressions.columns.items()
        )
        value = solved.solution.bound - float(constant)
        if self._zones is not None:
            value += self._zones.constant(path)
        return InnerSolution(value, y.reshape(multiplier.shape), solved.solution.seconds)

    def _zoned(self, instance: Instance, weight: FloatArray) -> CoarseView:
        self._zones = Zones.of(instance, weight)
        return self._zones.view

    def _expressions(self, problem: _Penalized) -> AffineMap:
        """State columns as expressions of the program, period after period.

        Orders count by what they bring in expectation, also where arrivals are random: what is on
        its way must be known when it is penalized.
        """
        if self._map is None:
            view = self._known.view
            self._map = program_columns(
                self.columns,
                problem.layout,
                view.instance.due.shape[2],
                list(range(self.periods)),
                delivery=view.delivery(problem.tree),
            )
        return self._map

    def _start(self, layout: ReplenishmentLayout) -> dict[str, Any]:
        start = self._known.view.start()
        return {
            "initial_on_hand": layout.initial_on_hand.gather(start.on_hand),
            "initial_due": layout.initial_due(start.due.shape[2]).gather(start.due),
            "initial_backlog": layout.initial_backlog.gather(start.backlog),
        }
