"""Lost sales with a lead time: the optimal average cost by relative value iteration.

The state is x = (x[0], ..., x[L-1]): stock after this period's receipt, then the pipeline, next
arrival first. The order z placed now arrives L periods later. A period costs

    h E max(x[0] - D, 0) + p E max(D - x[0], 0)

and the next state is (max(x[0] - D, 0) + x[1], x[2], ..., z).

**No truncation error.** Let q[j] be the smallest y with P(demand of j periods <= y) > p / (p + h).
Orders may be limited to those that keep the sum of the youngest j entries of (x, z) within q[j],
j = 1, ..., L + 1, at no loss: a unit beyond is left over when the period of its arrival ends with
probability above p / (p + h), whatever lies ahead of it. With V the relative value,
the marginal cost of the last unit ordered is the expectation, L periods on, of G'(X) + 1{D < X}
V_0, where G' = h P(D < X) - p P(D >= X) and V_0 is the next state's marginal cost of stock. The
next order being optimal, E V_0 >= 0; V_0 grows with what was left over (V is L-natural convex),
so that E 1{D < X} V_0 >= 0 too, and the unit pays only if E G'(X) <= 0. States are closed under
these orders and demand enters as max(x[0] - D, 0), so that its tail needs no cut either: what is
solved is the infinite problem. `enlarge` widens all q[j] to check it by numbers.

**Bounds.** For any V on the states, min(TV - V) <= optimal average cost <= max(TV - V).

Source: Zipkin (2008), Old and New Methods for Lost-Sales Inventory Systems, Operations Research
56(5) (state, bounds on orders); Zipkin (2008), On the Structure of Lost-Sales Inventory Models,
Operations Research 56(4) (L-natural convexity); Odoni (1969), Operations Research 17(5) (bounds
on the average cost).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError

_CELLS = 60_000_000


@dataclass(frozen=True)
class LostSales:
    """One item at one place, lost sales, constant lead time.

    Attributes:
        demand: Demand of a period.
        holding_cost: h, a unit left at the end of a period.
        shortage_cost: p, a unit lost (less the purchase price, if there is one).
        lead_time: L, at least 1.
    """

    demand: DemandDistribution
    holding_cost: float
    shortage_cost: float
    lead_time: int

    def __post_init__(self) -> None:
        if self.lead_time < 1:
            raise ExactError(
                f"lead time {self.lead_time}: without lead time base stock is optimal; use its "
                "newsvendor cost (DemandDistribution.newsvendor_cost)"
            )
        if not (self.holding_cost > 0 and self.shortage_cost > 0):
            raise ExactError(
                f"holding cost {self.holding_cost} and shortage cost {self.shortage_cost} must be "
                "positive: otherwise ordering nothing, or without end, is optimal"
            )

    @property
    def ratio(self) -> float:
        """Critical ratio p / (p + h)."""
        return self.shortage_cost / (self.shortage_cost + self.holding_cost)

    def limits(self, enlarge: int = 0) -> IntArray:
        """Limits q[1], ..., q[L + 1] on sums of the youngest orders, shape (L + 1,)."""
        periods = range(1, self.lead_time + 2)
        return np.array([self.demand.quantile(j, self.ratio) + enlarge for j in periods])

    def stage_cost(self, size: int) -> FloatArray:
        """Expected cost of a period begun with 0, ..., size - 1 in stock, shape (size,)."""
        return self.demand.newsvendor_cost(
            np.arange(size, dtype=float), self.holding_cost, self.shortage_cost
        )


@dataclass(frozen=True)
class LostSalesSolution:
    """An optimal policy and bounds on its cost.

    Attributes:
        problem: What was solved.
        lower: Lower bound on the optimal average cost a period.
        upper: Upper bound; the order table costs at most as much.
        iterations: Value iterations.
        states: Number of states.
        tails: Pipelines of the states in order, shape (number of pipelines, L - 1).
        order: Optimal order by pipeline and stock, shape (number of pipelines, stocks); -1 where
            there is no such state.
        value: Relative value, same shape; of no meaning where there is no such state.
    """

    problem: LostSales
    lower: float
    upper: float
    iterations: int
    states: int
    tails: IntArray
    order: IntArray
    value: FloatArray

    @property
    def cost(self) -> float:
        """Middle of the bounds."""
        return (self.lower + self.upper) / 2

    def orders(self, states: IntArray) -> IntArray:
        """Optimal orders of states (n, L), shape (n,).

        Raises:
            ExactError: If a state is not among those solved (it cannot be reached from below).
        """
        base = int(self.tails.max(initial=0)) + 1
        weight = base ** np.arange(self.tails.shape[1])[::-1]
        outside = (states[:, 1:] >= base).any() or (states[:, 0] >= self.order.shape[1]).any()
        if not outside:
            code, wanted = self.tails @ weight, states[:, 1:] @ weight
            row = np.minimum(np.searchsorted(code, wanted), len(code) - 1)
            found = self.order[row, states[:, 0]]
            if (code[row] == wanted).all() and (found >= 0).all():
                return found
        raise ExactError(
            "an optimal order was asked for a state that optimal orders never reach from below; "
            "begin with less stock and pipeline"
        )


class _Backup:
    """The operator T, over arrays (pipelines, stocks).

    Rows are next pipelines (x[2], ..., x[L-1], z), sorted, so that rows that share all but z
    stand together. For each x[1] the rows that it allows give the values of all states with that
    x[1] in one product with the law of what is left.
    """

    def __init__(self, problem: LostSales, limits: IntArray) -> None:
        lead = problem.lead_time
        self.limits = limits
        self.stocks = int(limits[lead]) + 1
        cells = _pipelines(limits, lead) * self.stocks
        if cells > _CELLS:
            raise ExactError(
                f"lost sales with lead time {lead} and order limits {limits.tolist()} needs about "
                f"{cells:,} values of state and order, more than {_CELLS:,}: use a larger demand "
                "unit, or compare with a lower bound instead"
            )
        self.tails = _tails(limits, lead)
        self.total = self.tails.sum(axis=1)
        self.live: BoolArray = np.arange(self.stocks) <= limits[lead] - self.total[:, None]
        self.states = int(self.live.sum())
        self.law = problem.demand.leftover(self.stocks)
        self.cost = problem.stage_cost(self.stocks)
        self.groups = self._groups(lead)

    def _groups(self, lead: int) -> list[tuple[int, IntArray, IntArray, IntArray, FloatArray]]:
        """By x[1]: rows, where each set of rows alike but for z begins, its state row, penalty."""
        if lead == 1:
            rows = np.arange(self.limits[0] + 1)
            penalty = self._penalty(rows, 0, rows)
            return [(0, rows, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), penalty)]
        base = int(self.limits.max()) + 1
        weight = base ** np.arange(lead - 1)[::-1]
        code = self.tails @ weight
        groups = []
        for first in range(int(self.limits[lead - 2]) + 1):
            # The state's own pipeline (first, rest) must be one of those that exist.
            rest = self.tails[:, :-1]
            own = np.zeros(len(self.tails), dtype=np.int64) + first * weight[0]
            own += rest @ weight[1:]
            place = np.minimum(np.searchsorted(code, own), len(code) - 1)
            allowed = (code[place] == own) & (first + self.total <= self.limits[lead - 1])
            rows = np.flatnonzero(allowed)
            state = place[rows]
            begin = np.flatnonzero(np.diff(state, prepend=-1) != 0)
            penalty = self._penalty(rows, first, self.total[rows])
            groups.append((first, rows, begin, state[begin], penalty))
        return groups

    def _penalty(self, rows: IntArray, first: int, total: IntArray) -> FloatArray:
        stock = np.arange(self.stocks - first)
        beyond = stock[None, :] + first + total[:, None] > self.limits[-1]
        # Ordering nothing is always allowed: its sum is that of the state.
        return np.where(beyond, np.inf, 0.0)

    def __call__(self, value: FloatArray) -> FloatArray:
        """TV; zeros where there is no state."""
        result = np.zeros_like(value)
        for first, rows, begin, state, penalty in self.groups:
            following = self._following(value, first, rows) + penalty
            best = np.minimum.reduceat(following, begin, axis=0)
            result[state, : best.shape[1]] = best + self.cost[: best.shape[1]]
        result[~self.live] = 0.0
        return result

    def orders(self, value: FloatArray) -> IntArray:
        """Smallest order that attains TV, -1 where there is no state."""
        result = np.full(value.shape, -1, dtype=np.int64)
        for first, rows, begin, state, penalty in self.groups:
            following = self._following(value, first, rows) + penalty
            for low, high, row in zip(begin, [*begin[1:], len(rows)], state, strict=True):
                result[row, : following.shape[1]] = np.argmin(following[low:high], axis=0)
        result[~self.live] = -1
        return result

    def _following(self, value: FloatArray, first: int, rows: IntArray) -> FloatArray:
        """E V(max(x[0] - D, 0) + first, row) by row and x[0]."""
        if self.tails.shape[1] == 0:
            # With L = 1 the order itself is what is added to stock: V(left + z).
            size = self.stocks
            index = np.arange(size)[None, :] + rows[:, None]
            ahead = np.where(index < size, value[0, np.minimum(index, size - 1)], 0.0)
            return np.asarray(ahead @ self.law.T)
        size = self.stocks - first
        return np.asarray(value[rows, first:] @ self.law[:size, :size].T)


def _pipelines(limits: IntArray, entries: int) -> int:
    """Number of pipelines of so many entries within the limits, counted by their sums."""
    by_sum = [1]
    for top in limits[:entries].tolist():
        below = 0
        grown = []
        for total in range(top + 1):
            below += by_sum[total] if total < len(by_sum) else 0
            grown.append(below)
        by_sum = grown
    return sum(by_sum)


def _tails(limits: IntArray, lead: int) -> IntArray:
    """All pipelines (x[1], ..., x[L-1]) within the limits, sorted, shape (n, L - 1)."""
    tails = np.zeros((1, 0), dtype=np.int64)
    for j in range(lead - 1):
        top = int(limits[j])
        front = np.repeat(np.arange(top + 1), len(tails))
        grown = np.column_stack([front, np.tile(tails, (top + 1, 1))])
        tails = grown[grown.sum(axis=1) <= top]
    return tails


def solve(
    problem: LostSales,
    *,
    tolerance: float = 1e-6,
    enlarge: int = 0,
    max_iterations: int = 20_000,
) -> LostSalesSolution:
    """Solve by relative value iteration.

    Args:
        problem: What to solve.
        tolerance: Stop when the bounds are this close.
        enlarge: Added to each limit on orders; the optimum stays.
        max_iterations: Iterations allowed.

    Raises:
        ExactError: If there are too many states, or the bounds do not meet in time.
    """
    backup = _Backup(problem, problem.limits(enlarge))
    value = np.zeros(backup.live.shape)
    for iteration in range(1, max_iterations + 1):
        following = backup(value)
        change = (following - value)[backup.live]
        lower, upper = float(change.min()), float(change.max())
        if upper - lower <= tolerance:
            order = backup.orders(value)
            return LostSalesSolution(
                problem, lower, upper, iteration, backup.states, backup.tails, order, following
            )
        value = np.where(backup.live, following - following[0, 0], 0.0)
    raise ExactError(
        f"after {max_iterations} iterations the optimal cost lies between {lower} and {upper}; "
        "allow more iterations or a larger tolerance"
    )
