"""A replenishment problem that is solved again and again as time moves on.

The problem is compiled once for a tree of fixed shape; every new period pushes state, demand,
order calendar, frozen orders, capacities and stock values into the program and solves from the
last basis. Problems with fixed costs, minimum quantities or set-ups are built anew, since their
order limits follow demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, Network
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData, StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.solver import InfeasibleError, Model, Solution
from optrl.solver.highs import Progress

# Columns above which a first solve by interior point and crossover beats the dual simplex.
_LARGE = 20_000


FrozenRule = Literal["fixed", "at_most", "fixed_if_possible"]


@dataclass(frozen=True)
class StageState:
    """What a decision sees, for one scenario.

    Attributes:
        on_hand: Shape (N, V).
        due: [..., k] arrives k + 1 periods from now, shape (N, V, K).
        backlog: Shape (N, V).
    """

    on_hand: FloatArray
    due: FloatArray
    backlog: FloatArray


@dataclass(frozen=True)
class StageSolution:
    """A solved stage problem, decoded.

    Attributes:
        layout: Components of the problem.
        solution: What the solver found.
    """

    layout: ReplenishmentLayout
    solution: Solution

    def _dense(self, name: str) -> FloatArray:
        n, v, a, nodes = self.layout.shape
        shape = {"order": (n, a, nodes), "serve": (n, a, nodes)}.get(name, (n, v, nodes))
        index = self.layout.demand if name == "unmet" else getattr(self.layout, name)
        dense: FloatArray = index.scatter(self.solution.values(name), shape)
        return np.maximum(dense, 0.0)

    @property
    def order(self) -> FloatArray:
        """Released by tree node of decision, shape (N, A, tree nodes).

        Whole lots, and nothing where the lane is not used: what a solver's tolerance leaves there
        would be charged a fixed cost when carried out.
        """
        order = self._dense("order")
        layout = self.layout
        item, lane, node = layout.lots
        count = np.round(self.solution.values("lots"))
        order[item, lane, node] = layout.network.lot_size[item, lane] * count
        item, lane, node = layout.used
        order[item, lane, node] *= self.solution.values("used") > 0.5
        lane, node = layout.lane_used
        order[:, lane, node] *= self.solution.values("lane_used") > 0.5
        return order

    @property
    def serve(self) -> FloatArray:
        """Served over serving lanes by outcome, shape (N, A, tree nodes)."""
        return self._dense("serve")

    def prices(self) -> FloatArray:
        """Price of each resource by tree node of its row, shape (R, tree nodes).

        What the plan's expected cost falls by with one more unit of capacity; for problems with
        integers, with the integers fixed.
        """
        fixed = self.solution
        if fixed.row_dual is None:
            fixed = fixed.fixed_duals()
        duals = fixed.duals("capacity")
        shape = (len(self.layout.network.resources), len(self.layout.tree.parent))
        return np.maximum(-self.layout.resource_rows.scatter(duals, shape), 0.0)


class StageProblem:
    """A replenishment problem over a tree of fixed shape, for one network.

    Args:
        network: Network, its customers usually merged (`optrl.aggregation`).
        tree: What is known when.
        demand_pairs: Which items have demand at which nodes, shape (N, V).
        frozen: Orders fixed from period `frozen_start` on, shape (N, A, F).
        frozen_as: "fixed" takes frozen orders as they are; "at_most" lets less be released, as
            the simulator does where stock or capacity falls short; "fixed_if_possible" is the
            first, or the second where the first is infeasible.
        frozen_start: Absolute period of the first frozen orders.
        delivery: How lanes with random arrivals bring orders in.
        held: Stock that none of its item's lanes touches, see `ReplenishmentLayout`.
    """

    def __init__(
        self,
        network: Network,
        tree: ScenarioTree,
        demand_pairs: BoolArray,
        *,
        frozen: FloatArray | None = None,
        frozen_as: FrozenRule = "fixed",
        frozen_start: int = 0,
        delivery: Delivery | None = None,
        held: BoolArray | None = None,
    ) -> None:
        """See the class."""
        self.network = network
        self.tree = tree
        self.demand_pairs = demand_pairs
        self.frozen = frozen if frozen is not None and frozen.size else None
        self.frozen_as: FrozenRule = frozen_as
        self.frozen_start = frozen_start
        self.delivery = delivery
        # The calendar moves with the period, so it becomes bounds; columns exist for all periods.
        always = replace(
            network,
            review_period=np.ones_like(network.review_period),
            review_offset=np.zeros_like(network.review_offset),
            closed=frozenset(),
        )
        self._always = always
        self._layout = ReplenishmentLayout(always, tree, 0, demand_pairs, held)
        self._model: Model | None = None

    def solve(
        self,
        state: StageState,
        period: int,
        demand: FloatArray,
        stock_values: tuple[StockValue, ...] = (),
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> StageSolution:
        """Solve the problem as seen in absolute period `period`.

        Args:
            state: What the decision sees.
            period: Absolute period of the first decision.
            demand: Demand by tree node of its outcome, shape (N, V, tree nodes).
            stock_values: Value of stock for uncertainty that the tree leaves out; their number
                and shapes stay the same from call to call.
            time_limit: Seconds.
            relative_gap: At which a MIP may stop.
            progress: Called with the state of a long MIP.

        Raises:
            optrl.solver.InfeasibleError: If no plan satisfies all limits, naming those in conflict.
        """
        layout = replace(self._layout, first_period=period)
        data = ReplenishmentData(
            on_hand=state.on_hand,
            due=state.due,
            backlog=state.backlog,
            demand=demand,
            frozen=self._frozen_from(period),
            stock_values=stock_values,
            delivery=_countable(self.delivery, stock_values, self.network),
        )
        built = self._model is None or bool(len(layout.used) or len(layout.lane_used))
        if self._model is None or built:
            self._model = Model(self._program(layout, data))
        else:
            self._push(self._model, layout, data)
        fixed = self.frozen_as != "at_most"
        self._model.push_bounds("order", *self._order_bounds(layout, fixed))
        self._model.push_bounds("serve", upper=self._serve_limits(layout))
        self._model.push_bounds("unmet", upper=np.full(len(layout.demand), np.inf))
        model, large = self._model, built and len(self._model.program.cost) > _LARGE

        def run() -> StageSolution:
            solution = model.solve(
                time_limit=time_limit,
                relative_gap=relative_gap,
                interior_point=large,
                progress=progress,
            )
            return StageSolution(layout, solution)

        try:
            return run()
        except InfeasibleError:
            if self.frozen is None or self.frozen_as != "fixed_if_possible":
                raise
            model.push_bounds("order", *self._order_bounds(layout, fixed=False))
            return run()

    def _program(self, layout: ReplenishmentLayout, data: ReplenishmentData) -> LinearProgram:
        """What is loaded; a derived problem may add to it."""
        return build_replenishment(layout, data)

    def price(self, solved: StageSolution, network: Network) -> StageSolution:
        """The program just solved with other shortage costs, no more unmet than it left.

        Where a program's shortage costs were raised to have demand served first, its prices hold
        the raised costs. With the true ones and unmet demand held at most where it is, the same
        solution stays optimal (what is gained by less unmet demand is worth less, and more is not
        allowed), and prices are in true money.

        Args:
            solved: The last solution of this problem.
            network: The same network with the shortage costs to price with.
        """
        if self._model is None:
            raise ValueError("nothing was solved yet")
        item, place, node = solved.layout.demand
        weight = solved.layout.node_probability[node]
        self._model.push_cost("unmet", network.shortage_cost[item, place] * weight)
        self._model.push_bounds("unmet", upper=np.maximum(solved.solution.values("unmet"), 0.0))
        for name in ("used", "lots", "lane_used"):
            whole = np.round(solved.solution.values(name))
            self._model.push_bounds(name, whole, whole)
        priced = StageSolution(solved.layout, self._model.solve())
        if solved.solution.program.has_integers:
            # Bounds and costs are no longer those that `solve` counts on.
            self._model = None
        else:
            own = self.network.shortage_cost
            self._model.push_cost("unmet", own[item, place] * weight)
        return priced

    def _push(self, model: Model, layout: ReplenishmentLayout, data: ReplenishmentData) -> None:
        model.push_data("demand", layout.demand.gather(data.demand))
        model.push_data("initial_on_hand", layout.initial_on_hand.gather(data.on_hand))
        due = layout.initial_due(data.due.shape[2])
        model.push_data("initial_due", due.gather(data.due))
        if layout.network.unmet == "backorder":
            model.push_data("initial_backlog", layout.initial_backlog.gather(data.backlog))
        model.push_row_bounds(
            "capacity", np.full(len(layout.resource_rows), -np.inf), layout.resource_capacity
        )
        weight = layout.node_probability[self.tree.outcomes][None, :, None]
        for k, value in enumerate(data.stock_values):
            name = f"stock_value_{k}"
            model.push_bounds(name, np.zeros(value.width.size), value.width.ravel())
            model.push_cost(name, -(value.marginal_value * weight).ravel())

    def _frozen_from(self, period: int) -> FloatArray | None:
        """Frozen orders from `period` on, for the limits that integers need."""
        if self.frozen is None or period < self.frozen_start:
            return None
        return self.frozen[:, :, period - self.frozen_start :]

    def _serve_limits(self, layout: ReplenishmentLayout) -> FloatArray:
        network, tree = self.network, self.tree
        item, lane, node = layout.serve
        calendar = network.open_periods(layout.first_period, tree.periods)
        is_open = calendar[lane, tree.depth[node] - 1]
        limits: FloatArray = np.where(is_open, network.maximum_quantity[item, lane], 0.0)
        return limits

    def _order_bounds(
        self, layout: ReplenishmentLayout, fixed: bool
    ) -> tuple[FloatArray, FloatArray]:
        network, tree = self.network, self.tree
        item, lane, node = layout.order
        depth = tree.depth[node]
        calendar = network.open_periods(layout.first_period, tree.periods)
        is_open = calendar[lane, depth]
        upper = np.where(is_open, network.maximum_quantity[item, lane], 0.0)
        lower = np.zeros(len(upper))
        if self.frozen is not None:
            offset = layout.first_period + depth - self.frozen_start
            firm = (offset >= 0) & (offset < self.frozen.shape[2])
            upper[firm] = self.frozen[item[firm], lane[firm], offset[firm]]
            if fixed:
                lower[firm] = upper[firm]
        return lower, upper


def _countable(
    delivery: Delivery | None, values: tuple[StockValue, ...], network: Network
) -> Delivery | None:
    """The lanes whose pipeline no stock value counts; the others deliver after their lead time."""
    if delivery is None or not values:
        return delivery
    counted = np.logical_or.reduce([value.transit_nodes.any(axis=0) for value in values])
    keep = ~counted[network.destination[delivery.lanes]]
    return Delivery(delivery.lanes[keep], delivery.fraction[:, keep], delivery.pending[:, keep])
