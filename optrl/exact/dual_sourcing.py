"""Dual sourcing: a cheap slow supplier and a dear fast one, backorders, the optimal average cost.

Events of a period: arrivals, both orders (the expedited one is there at once), demand D, holding
or backorder cost. The state is net stock x after arrivals and the regular pipeline q[1], ...,
q[l-1]. With y = x + expedited order >= x and regular order z,

    V(x, q) + g = min_{y, z} c_e (y - x) + c_r z + G(y) + E V(y - D + q[1], q[2], ..., q[l-1], z).

What follows depends on y and q[1] through their sum alone, which saves a dimension.

**No truncation error.** Let d be the largest demand. A regular unit that brings the position above
(l + 1) d is certain to be left over in the period of its arrival: ordering it a period later saves
h and changes nothing else, so that such units are not ordered; nor, likewise, expedited ones that
bring stock above d. Regular orders are limited to `largest_order` and stock after expediting to at
least -`largest_backlog`; V is L-natural convex, so that a limit that binds in no state is no
limit, and `solve` refuses an answer at which one binds. The states are closed under these orders.

Source: Veeraraghavan & Scheller-Wolf (2008), Now or Later: A Simple Policy for Effective Dual
Sourcing in Capacitated Systems, Operations Research 56(4) (the problem); Hua, Yu, Zhang & Xu
(2015), Structural properties of the optimal policy for dual-sourcing systems with general lead
times, IIE Transactions 47(8) (L-natural convexity); Odoni (1969), Operations Research 17(5)
(bounds).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError

_CELLS = 20_000_000


@dataclass(frozen=True)
class DualSourcing:
    """One item at one place with two suppliers; unmet demand waits.

    Attributes:
        demand: Demand of a period, with a largest value.
        holding_cost: h, a unit left at the end of a period.
        backorder_cost: b, a unit waiting at the end of a period.
        regular_unit_cost: c_r.
        expedited_unit_cost: c_e; expedited orders arrive at once.
        regular_lead_time: l, at least 1.
    """

    demand: DemandDistribution
    holding_cost: float
    backorder_cost: float
    regular_unit_cost: float
    expedited_unit_cost: float
    regular_lead_time: int

    def __post_init__(self) -> None:
        if self.regular_lead_time < 1:
            raise ExactError(
                f"regular lead time {self.regular_lead_time}: it must be at least 1, one more "
                "than the expedited one"
            )
        if not (self.holding_cost > 0 and self.backorder_cost > 0):
            raise ExactError(
                f"holding cost {self.holding_cost} and backorder cost {self.backorder_cost} must "
                "be positive"
            )
        if self.expedited_unit_cost < self.regular_unit_cost:
            raise ExactError(
                f"expedited units cost {self.expedited_unit_cost}, less than regular ones "
                f"({self.regular_unit_cost}): the regular supplier is then never used"
            )

    @property
    def largest_demand(self) -> int:
        """Largest demand d of a period."""
        return int(np.flatnonzero(self.demand.probability)[-1])

    def stage_cost(self, stock: FloatArray | IntArray) -> FloatArray:
        """G: expected cost of a period whose demand meets a net stock."""
        return self.demand.newsvendor_cost(
            np.asarray(stock, dtype=float), self.holding_cost, self.backorder_cost
        )


@dataclass(frozen=True)
class DualSourcingSolution:
    """An optimal policy and bounds on its cost.

    Attributes:
        problem: What was solved.
        lower: Lower bound on the optimal average cost a period, purchases included.
        upper: Upper bound; the tables cost at most as much.
        iterations: Value iterations.
        states: Number of states.
        lowest: Net stock of the tables' first row.
        stock: Optimal stock after expediting, by x and q[1], ..., q[l-1].
        regular: Optimal regular order, same shape.
        live: Which entries are states, same shape.
    """

    problem: DualSourcing
    lower: float
    upper: float
    iterations: int
    states: int
    lowest: int
    stock: IntArray
    regular: IntArray
    live: BoolArray

    @property
    def cost(self) -> float:
        """Middle of the bounds."""
        return (self.lower + self.upper) / 2


class _Backup:
    """The operator T over arrays (x, q[1], ..., q[l-1])."""

    def __init__(self, problem: DualSourcing, largest_order: int, largest_backlog: int) -> None:
        self.problem, self.orders, self.backlog = problem, largest_order, largest_backlog
        self.lead, self.top = problem.regular_lead_time, problem.largest_demand
        self.limit = (self.lead + 1) * self.top
        # Expediting can lift a full pipeline's position by what was owed and by d.
        self.highest = self.limit + self.top + largest_backlog
        self.lowest = -largest_backlog - self.top
        self.shape = (self.highest - self.lowest + 1,) + (largest_order + 1,) * (self.lead - 1)
        cells = int(np.prod(self.shape)) * (largest_order + 1)
        if cells > _CELLS:
            raise ExactError(
                f"dual sourcing with regular lead time {self.lead} and demand up to {self.top} "
                f"needs {cells:,} values, more than {_CELLS:,}: use a larger demand unit"
            )
        x, *pipeline = np.indices(self.shape)
        stock = np.maximum(x + self.lowest, -largest_backlog)
        on_the_way = np.sum(pipeline, axis=0) if pipeline else np.zeros_like(x)
        self.live: BoolArray = (stock + on_the_way <= self.highest) & (
            on_the_way <= self.limit + largest_backlog
        )
        # y runs over -backlog, ..., highest.
        self.y = np.arange(-largest_backlog, self.highest + 1)
        self.cost = problem.stage_cost(self.y) + problem.expedited_unit_cost * self.y

    @cached_property
    def _tail(self) -> tuple[int, ...]:
        return (1,) * (self.lead - 1)

    @cached_property
    def _orderable(self) -> BoolArray:
        """Which z may be ordered, by w, q[2], ..., z."""
        w, *later = np.indices((len(self.y), *self.shape[1:]))
        position = w + self.y[0] + np.sum(later, axis=0)
        allowed: BoolArray = (later[-1] == 0) | (position <= self.limit)
        return allowed

    def following(self, value: FloatArray) -> FloatArray:
        """c_r z + E V(w - D, q[2], ..., z) by w = y + q[1] (or y + z with l = 1), ..., z."""
        probability = self.problem.demand.probability
        count = len(self.y)
        ahead = np.zeros((count, *self.shape[1:]))
        for demand in np.flatnonzero(probability):
            begin = self.top - int(demand)
            ahead += probability[demand] * value[begin : begin + count]
        order = np.arange(self.orders + 1)
        regular = self.problem.regular_unit_cost * order
        if self.lead > 1:
            return np.where(self._orderable, ahead + regular, np.inf)
        index = np.arange(count)[:, None] + order
        allowed = (order == 0) | (index + self.y[0] <= self.limit)
        return np.where(allowed, ahead[np.minimum(index, count - 1)] + regular, np.inf)

    def ordered(self, value: FloatArray) -> tuple[FloatArray, IntArray]:
        """Cost from each y on (y, q[1], ..., q[l-1]) under the best z, and that z."""
        by_order = self.following(value)
        best = by_order.min(axis=-1)
        choice = by_order.argmin(axis=-1)
        if self.lead > 1:
            # best is indexed by (w, q[2], ...): read it at w = y + q[1].
            index = np.arange(len(self.y))[:, None] + np.arange(self.orders + 1)
            inside = index < len(self.y)
            index = np.minimum(index, len(self.y) - 1)
            shape = (*inside.shape, *self._tail[1:])
            best = np.where(inside.reshape(shape), best[index], np.inf)
            choice = choice[index]
        return best + self.cost.reshape(-1, *self._tail), choice

    def __call__(self, value: FloatArray) -> FloatArray:
        """TV; infinite where there is no state."""
        total, _ = self.ordered(value)
        # The best y >= x is the smallest of what lies from x on upwards.
        upward = np.minimum.accumulate(total[::-1], axis=0)[::-1]
        # Backlog beyond the limit is expedited.
        forced = np.repeat(upward[:1], self.top, axis=0)
        x = np.arange(self.lowest, self.highest + 1).reshape(-1, *self._tail)
        result: FloatArray = np.concatenate([forced, upward])
        result -= self.problem.expedited_unit_cost * x
        result[~self.live] = np.inf
        return result

    def policy(self, value: FloatArray) -> tuple[IntArray, IntArray]:
        """Stock after expediting and regular order, by state."""
        total, choice = self.ordered(value)
        count = len(self.y)
        best = np.empty(total.shape, dtype=np.int64)
        best[-1] = count - 1
        lowest = total[-1]
        for k in range(count - 2, -1, -1):
            better = total[k] <= lowest
            best[k] = np.where(better, k, best[k + 1])
            lowest = np.where(better, total[k], lowest)
        best = np.concatenate([np.repeat(best[:1], self.top, axis=0), best])
        regular = np.take_along_axis(choice, best, axis=0)
        return self.y[best], regular


def solve(
    problem: DualSourcing,
    *,
    tolerance: float = 1e-7,
    largest_order: int | None = None,
    largest_backlog: int | None = None,
    max_iterations: int = 100_000,
) -> DualSourcingSolution:
    """Solve by relative value iteration.

    Args:
        problem: What to solve.
        tolerance: Stop when the bounds are this close.
        largest_order: Limit on regular orders; twice the largest demand when None.
        largest_backlog: Limit on backlog left after expediting; half the largest demand when
            None.
        max_iterations: Iterations allowed.

    Raises:
        ExactError: If a limit binds, there are too many states, or the bounds do not meet.
    """
    top = problem.largest_demand
    most = 2 * top if largest_order is None else largest_order
    backlog = (top + 1) // 2 if largest_backlog is None else largest_backlog
    backup = _Backup(problem, most, backlog)
    value = np.where(backup.live, 0.0, np.inf)
    for iteration in range(1, max_iterations + 1):
        following = backup(value)
        change = following[backup.live] - value[backup.live]
        lower, upper = float(change.min()), float(change.max())
        if upper - lower <= tolerance:
            stock, regular = backup.policy(value)
            _refuse_binding(backup, stock, regular)
            return DualSourcingSolution(
                problem,
                lower,
                upper,
                iteration,
                int(backup.live.sum()),
                backup.lowest,
                stock,
                regular,
                backup.live,
            )
        value = following - following[-backup.lowest, *(0,) * (backup.lead - 1)]
    raise ExactError(
        f"after {max_iterations} iterations the optimal cost lies between {lower} and {upper}; "
        "allow more iterations or a larger tolerance"
    )


def _refuse_binding(backup: _Backup, stock: IntArray, regular: IntArray) -> None:
    if (regular[backup.live] == backup.orders).any():
        raise ExactError(
            f"an optimal regular order is at its limit {backup.orders}: give a larger "
            "`largest_order`"
        )
    if (stock[backup.live] == -backup.backlog).any():
        raise ExactError(
            f"it is optimal to leave a backlog of {backup.backlog}, its limit: give a larger "
            "`largest_backlog`"
        )
