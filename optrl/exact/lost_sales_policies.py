"""Policies for lost sales, evaluated exactly, and their best parameters.

An order rule maps states (n, L) of `optrl.exact.lost_sales` to orders (n,). Its cost is that of
the Markov chain on the states it reaches from an empty system; single orders are not limited
other than by the rule itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.exact.errors import ExactError
from optrl.exact.lost_sales import LostSales
from optrl.exact.markov_chain import AverageCost, Chain, Moves, average_cost, explore

OrderRule = Callable[[IntArray], IntArray]


def evaluate(
    problem: LostSales, rule: OrderRule, largest_position: int, *, tolerance: float = 1e-7
) -> AverageCost:
    """Average cost of an order rule.

    Args:
        problem: The problem.
        rule: Orders of states.
        largest_position: Bound that stock and pipeline never exceed after an order.
        tolerance: Distance of the bounds returned.

    Raises:
        ExactError: If the rule orders beyond the bound, negative amounts, or reaches too many
            states.
    """
    chain = reached(problem, rule, largest_position)
    stock = chain.codes // (largest_position + 1) ** (problem.lead_time - 1)
    cost = problem.stage_cost(largest_position + 1)[stock]
    return average_cost(chain, cost, tolerance=tolerance)


def reached(problem: LostSales, rule: OrderRule, largest_position: int) -> Chain:
    """The chain of a rule; the stock is the first digit of a code to base largest_position + 1."""
    lead, base = problem.lead_time, largest_position + 1
    weight = base ** np.arange(lead)[::-1]
    law = problem.demand.leftover(base)

    def moves(codes: IntArray) -> Moves:
        states = codes[:, None] // weight % base
        order = rule(states)
        position = states.sum(axis=1) + order
        if len(order) and (order.min() < 0 or position.max() > largest_position):
            wrong = int(np.argmax((order < 0) | (position > largest_position)))
            raise ExactError(
                f"the rule orders {order[wrong]} in state {states[wrong].tolist()}; orders must "
                f"be 0 or more and keep the position within {largest_position}"
            )
        stock = states[:, 0]
        row = np.repeat(np.arange(len(codes)), stock + 1)
        left = np.arange(len(row)) - np.repeat(np.cumsum(stock + 1) - stock - 1, stock + 1)
        following = np.column_stack([states[:, 1:], order])
        following[:, 0] = following[:, 0]
        ahead = following @ weight
        probability = law[stock[row], left]
        live = probability > 0
        return row[live], (ahead[row] + left * weight[0])[live], probability[live]

    return explore(0, base**lead, moves)


def base_stock(level: int) -> OrderRule:
    """Order up to `level`."""
    return lambda states: np.maximum(level - states.sum(axis=1), 0)


def capped_base_stock(level: int, cap: int) -> OrderRule:
    """Order up to `level`, at most `cap` at once (Xin 2021)."""
    return lambda states: np.minimum(np.maximum(level - states.sum(axis=1), 0), cap)


def expected_at_arrival(problem: LostSales, values: FloatArray, largest_order: int) -> FloatArray:
    """Expected value of the stock left when the order of this period arrives, before it is added.

    Args:
        problem: The problem.
        values: Value of 0, 1, ... left, shape (largest position + 1,).
        largest_order: Largest single order in the pipeline.

    Returns:
        By pipeline x[1], ..., x[L-1] and then stock x[0].
    """
    size = len(values)
    law = problem.demand.leftover(size)
    table: FloatArray = law @ values
    for _ in range(problem.lead_time - 1):
        # One period earlier: what is left, plus what arrives next.
        ahead = np.minimum(
            np.arange(size)[None, :] + np.arange(largest_order + 1)[:, None], size - 1
        )
        table = np.moveaxis(table[..., ahead], -2, 0) @ law.T
    return table


@dataclass(frozen=True)
class Projection:
    """Expected stock when the next order arrives, before it is added.

    Attributes:
        problem: The problem.
        largest_position: Largest stock and pipeline that is asked about.
        largest_order: Largest single order that is asked about.
    """

    problem: LostSales
    largest_position: int
    largest_order: int

    @cached_property
    def table(self) -> FloatArray:
        """By pipeline x[1], ..., x[L-1] and then stock x[0]."""
        left = np.arange(self.largest_position + 1, dtype=float)
        return expected_at_arrival(self.problem, left, self.largest_order)

    def at(self, states: IntArray) -> FloatArray:
        """Projected stock of states (n, L), shape (n,)."""
        pipeline = tuple(states[:, k] for k in range(1, self.problem.lead_time))
        return np.asarray(self.table[(*pipeline, states[:, 0])])


def projected_inventory_level(projection: Projection, level: float) -> OrderRule:
    """Order what is missing from projected stock to `level`, rounded to the nearest integer.

    Source: van Jaarsveld & Arts (2024), Operations Research 72(5).
    """

    def rule(states: IntArray) -> IntArray:
        missing = np.floor(level - projection.at(states) + 0.5 + 1e-9)
        return np.maximum(missing, 0).astype(np.int64)

    return rule


@dataclass(frozen=True)
class MyopicOrders:
    """The order that makes the expected cost of the period of its arrival smallest.

    That is the smallest z with P(X + z >= D) >= p / (p + h), X being the stock left when the
    order arrives and D the demand of that period. Orders and positions keep the limits of
    `LostSales.limits`: with position x, X >= x - (demand until then), so that the last unit of a
    larger order would be left over with at least that probability.

    Attributes:
        problem: The problem.

    Source: Zipkin (2008), Operations Research 56(5), section 3; Morton (1971), The
    near-myopic nature of the lagged-proportional-cost inventory problem with lost sales,
    Operations Research 19(7).
    """

    problem: LostSales

    @property
    def largest_position(self) -> int:
        """Stock and pipeline never exceed it after an order."""
        return int(self.problem.limits()[-1])

    @cached_property
    def table(self) -> IntArray:
        """Orders by pipeline x[1], ..., x[L-1] and then stock x[0]."""
        largest, size = int(self.problem.limits()[0]), self.largest_position + 1
        covered = np.cumsum(self.problem.demand.padded(size + largest))
        orders: IntArray = np.zeros((largest + 1,) * (self.problem.lead_time - 1) + (size,), int)
        for order in range(largest):
            safe = expected_at_arrival(self.problem, covered[order : order + size], largest)
            orders += safe < self.problem.ratio - 1e-12
        return orders

    def __call__(self, states: IntArray) -> IntArray:
        """Orders of states (n, L), shape (n,)."""
        pipeline = tuple(states[:, k] for k in range(1, self.problem.lead_time))
        return np.asarray(self.table[(*pipeline, states[:, 0])])


def myopic(problem: LostSales) -> Best:
    """The myopic policy, which has no parameters."""
    rule = MyopicOrders(problem)
    return Best((), evaluate(problem, rule, rule.largest_position), 1)


@dataclass(frozen=True)
class Best:
    """The best parameters of a kind of policy.

    Attributes:
        parameters: The parameters.
        cost: Its average cost and bounds.
        evaluations: Policies evaluated.
    """

    parameters: tuple[float, ...]
    cost: AverageCost
    evaluations: int


def best_base_stock(problem: LostSales) -> Best:
    """Best level (the cost is convex in it: Janakiraman & Roundy 2004, Operations Research 52)."""

    def cost(level: tuple[float, ...]) -> AverageCost:
        top = int(level[0])
        return evaluate(problem, base_stock(top), top)

    start = max(1, round(0.9 * int(problem.limits()[-1])))
    return _descend(cost, (float(start),), ((1.0,), (-1.0,)), lambda x: x[0] >= 1)


def best_capped_base_stock(problem: LostSales) -> Best:
    """Best level and cap by descent over integer neighbours up to 2 away."""

    def cost(point: tuple[float, ...]) -> AverageCost:
        level, cap = (int(x) for x in point)
        return evaluate(problem, capped_base_stock(level, cap), level)

    limits = problem.limits()
    mean = problem.demand.mean
    cap = round(mean + (int(limits[0]) - mean) / (problem.lead_time + 1))
    near = (-2.0, -1.0, 0.0, 1.0, 2.0)
    steps = [(a, b) for a in near for b in near if a or b]
    start = (float(round(0.9 * int(limits[-1]))), float(max(cap, 1)))
    return _descend(cost, start, steps, lambda x: 1 <= x[1] <= x[0])


def best_projected_inventory_level(problem: LostSales, resolution: float = 0.1) -> Best:
    """Best level among multiples of `resolution`.

    The cost has many local minima in the level, for orders are rounded: descent in steps of half
    a unit is followed by all multiples within one unit of where it ends.
    """
    limits = problem.limits()
    top = 2.0 * float(limits[0])
    position = int(np.ceil(top + problem.demand.mean * problem.lead_time)) + 1
    projection = Projection(problem, position, int(np.ceil(top)))

    def cost(point: tuple[float, ...]) -> AverageCost:
        level = point[0] * resolution
        return evaluate(problem, projected_inventory_level(projection, level), position)

    half, one = max(1, round(0.5 / resolution)), max(1, round(1 / resolution))

    def allowed(point: tuple[float, ...]) -> bool:
        return 0 < point[0] * resolution <= top

    start = (float(round(0.7 * float(limits[0]) / resolution)),)
    rough = _descend(cost, start, ((float(half),), (-float(half),)), allowed)
    around = [(float(k),) for k in range(-one, one + 1) if k]
    best = _descend(cost, rough.parameters, around, allowed, known=rough)
    level = round(best.parameters[0] * resolution, 10)
    return Best((level,), best.cost, rough.evaluations + best.evaluations)


def _descend(
    cost: Callable[[tuple[float, ...]], AverageCost],
    start: tuple[float, ...],
    steps: Iterable[tuple[float, ...]],
    allowed: Callable[[tuple[float, ...]], bool],
    known: Best | None = None,
) -> Best:
    """Move to the best neighbour until none is better; each point is evaluated once."""
    seen: dict[tuple[float, ...], AverageCost] = {}
    moves = list(steps)
    best = start
    seen[best] = known.cost if known is not None and known.parameters == start else cost(start)
    while True:
        near = [tuple(a + b for a, b in zip(best, step, strict=True)) for step in moves]
        for point in near:
            if point not in seen and allowed(point):
                seen[point] = cost(point)
        better = min((p for p in near if p in seen), key=lambda p: seen[p].cost, default=best)
        if seen[better].cost >= seen[best].cost:
            return Best(best, seen[best], len(seen))
        best = better
