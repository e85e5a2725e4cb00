"""Heuristics for dual sourcing, evaluated exactly, and their best parameters.

Each heuristic raises stock to a level S_e by expediting and differs in what it orders regularly.
Given the difference of its levels (and its cap), what it orders and how far stock y after
expediting lies above S_e do not depend on S_e: one stationary distribution gives the cost of all
S_e, and the best is a newsvendor's (Veeraraghavan & Scheller-Wolf 2008, section 3). Purchases are
c_r on all of demand and c_e - c_r on what is expedited.

* single index: both orders look at the whole position; regular orders are min(D, difference);
* dual index: expedite by stock, order regularly up to S_r on the whole position;
* capped dual index: the same with regular orders of at most a cap;
* tailored base-surge: a constant regular order.

Source: Scheller-Wolf, Veeraraghavan & van Houtum (2007), Effective dual sourcing with a single
index policy (working paper); Veeraraghavan & Scheller-Wolf (2008), Operations Research 56(4);
Sun & Van Mieghem (2019), Robust Dual Sourcing Inventory Management: Optimality of Capped Dual
Index Policies and Smoothing, M&SOM 21(4); Allon & Van Mieghem (2010), Global Dual Sourcing:
Tailored Base-Surge Allocation to Near- and Offshore Production, Management Science 56(1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.exact.dual_sourcing import DualSourcing
from optrl.exact.errors import ExactError
from optrl.exact.markov_chain import Chain, Moves, average_cost, explore, stationary

_TAIL = 1e-12


@dataclass(frozen=True)
class Overshoot:
    """Stationary behaviour relative to the expedited level.

    Attributes:
        excess: Values of y - S_e, shape (n,).
        probability: Their probabilities, shape (n,).
        expedited: Expected expedited order of a period.
        chain: The chain that gave it; None where it is in closed form.
        stock: y - S_e in each state of the chain.
        rushed: Expedited order in each state of the chain.
    """

    excess: IntArray
    probability: FloatArray
    expedited: float
    chain: Chain | None = None
    stock: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rushed: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class DualSourcingPolicy:
    """A heuristic with its best expedited level.

    Attributes:
        expedited_level: S_e on stock (dual index) or on the whole position (single index).
        regular_level: S_r on the whole position; None for tailored base-surge.
        cap: Largest regular order, or the constant one; None where there is none.
        lower: Lower bound on its average cost a period, purchases included.
        upper: Upper bound.
    """

    expedited_level: int
    regular_level: int | None
    cap: int | None
    lower: float
    upper: float

    @property
    def cost(self) -> float:
        """Middle of the bounds."""
        return (self.lower + self.upper) / 2


def dual_index_overshoot(
    problem: DualSourcing, difference: int, cap: int | None = None
) -> Overshoot:
    """Overshoot of a (capped) dual-index policy with S_r - S_e = `difference` >= 0."""
    lead, top = problem.regular_lead_time, problem.largest_demand
    largest = min(cap, difference + top) if cap is not None else difference + top
    # Digits: net stock relative to S_e from -top on, then the pipeline.
    rows, base = difference + top + largest + 1, largest + 1
    weight = base ** np.arange(lead)[::-1]
    demand = np.flatnonzero(problem.demand.probability)
    chance = problem.demand.probability[demand]

    def decide(codes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        pipeline = codes[:, None] // weight[1:] % base
        stock = codes // weight[0] - top
        y = np.maximum(stock, 0)
        missing = np.maximum(difference - y - pipeline.sum(axis=1), 0)
        order = missing if cap is None else np.minimum(missing, cap)
        return y, np.column_stack([pipeline, order]), y - stock

    def moves(codes: IntArray) -> Moves:
        y, pipeline, _ = decide(codes)
        ahead = (y + pipeline[:, 0] + top) * weight[0] + pipeline[:, 1:] @ weight[1:]
        following = ahead[:, None] - demand * weight[0]
        row = np.repeat(np.arange(len(codes)), len(demand))
        return row, following.ravel(), np.tile(chance, len(codes))

    chain = explore(top * int(weight[0]), rows * int(weight[0]), moves)
    share = stationary(chain)
    y, _, rushed = decide(chain.codes)
    probability = np.bincount(y, share).astype(float)
    excess = np.arange(len(probability))
    return Overshoot(excess, probability, float(share @ rushed), chain, y, rushed)


def base_surge_overshoot(problem: DualSourcing, order: int) -> Overshoot:
    """Overshoot of a constant regular order below mean demand.

    The excess follows the walk max(excess, 0) + order - D, cut where less than 1e-12 lies beyond.

    Raises:
        ExactError: If the constant order is not below mean demand.
    """
    if order >= problem.demand.mean:
        raise ExactError(
            f"a constant order of {order} is not below mean demand {problem.demand.mean}: stock "
            "would grow without end"
        )
    demand = np.flatnonzero(problem.demand.probability)
    chance = problem.demand.probability[demand]
    top, size = problem.largest_demand, 64
    while True:

        def moves(codes: IntArray, size: int = size) -> Moves:
            y = np.maximum(codes - top, 0)
            following = np.minimum(y[:, None] + order - demand + top, size - 1)
            row = np.repeat(np.arange(len(codes)), len(demand))
            return row, following.ravel(), np.tile(chance, len(codes))

        chain = explore(top, size, moves)
        share = stationary(chain)
        if share[chain.codes == size - 1].sum() < _TAIL:
            break
        size *= 2
    excess = np.maximum(chain.codes - top, 0)
    rushed = np.maximum(top - chain.codes, 0)
    probability = np.bincount(excess, share).astype(float)
    values = np.arange(len(probability))
    return Overshoot(values, probability, float(share @ rushed), chain, excess, rushed)


def single_index_overshoot(problem: DualSourcing, difference: int) -> Overshoot:
    """Behaviour of the single-index policy; excess is relative to S_r and negative.

    The position after ordering is always S_r, regular orders are min(D, difference) of the period
    before, and y is S_r less the last l of them.
    """
    law = problem.demand.probability
    regular = law[: difference + 1].copy()
    regular[-1] += law[difference + 1 :].sum()
    total = np.ones(1)
    for _ in range(problem.regular_lead_time):
        total = np.convolve(total, regular)
    demand = np.arange(len(law))
    expedited = float(law @ np.maximum(demand - difference, 0))
    return Overshoot(-np.arange(len(total)), total, expedited)


def best_level(problem: DualSourcing, overshoot: Overshoot) -> tuple[int, float]:
    """Best level that the excess is relative to, and the average cost."""
    span = problem.largest_demand * (problem.regular_lead_time + 2)
    levels = np.arange(-span, span + 1)
    stage = problem.stage_cost(levels[:, None] + overshoot.excess) @ overshoot.probability
    best = int(np.argmin(stage))
    premium = problem.expedited_unit_cost - problem.regular_unit_cost
    purchase = problem.regular_unit_cost * problem.demand.mean + premium * overshoot.expedited
    return int(levels[best]), float(stage[best]) + purchase


def bounded_cost(problem: DualSourcing, overshoot: Overshoot, level: int) -> tuple[float, float]:
    """Lower and upper bound on the average cost with the excess relative to `level`.

    Where the distribution is in closed form both are that cost.
    """
    premium = problem.expedited_unit_cost - problem.regular_unit_cost
    purchase = problem.regular_unit_cost * problem.demand.mean
    if overshoot.chain is None:
        stage = problem.stage_cost(level + overshoot.excess) @ overshoot.probability
        cost = float(stage) + purchase + premium * overshoot.expedited
        return cost, cost
    each = problem.stage_cost(level + overshoot.stock) + premium * overshoot.rushed
    found = average_cost(overshoot.chain, each + purchase)
    return found.lower, found.upper


def best_single_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels of the single-index policy."""
    choices = ((k, None) for k in range(problem.largest_demand + 1))
    level, difference, _, bounds = _cheapest(
        problem, choices, lambda k, cap: single_index_overshoot(problem, k)
    )
    return DualSourcingPolicy(level - difference, level, None, *bounds)


def best_dual_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels of the dual-index policy."""
    choices = ((k, None) for k in _differences(problem))
    level, difference, _, bounds = _cheapest(
        problem, choices, lambda k, cap: dual_index_overshoot(problem, k)
    )
    return DualSourcingPolicy(level, level + difference, None, *bounds)


def best_capped_dual_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels and cap of the capped dual-index policy."""
    caps = range(1, problem.largest_demand + 1)
    choices = ((k, cap) for k in _differences(problem) for cap in caps)
    level, difference, cap, bounds = _cheapest(
        problem, choices, lambda k, cap: dual_index_overshoot(problem, k, cap)
    )
    return DualSourcingPolicy(level, level + difference, cap, *bounds)


def best_tailored_base_surge(problem: DualSourcing) -> DualSourcingPolicy:
    """Best constant regular order and expedited level, both integer."""
    choices = ((order, None) for order in range(int(np.ceil(problem.demand.mean))))
    level, order, _, bounds = _cheapest(
        problem, choices, lambda order, cap: base_surge_overshoot(problem, order)
    )
    return DualSourcingPolicy(level, None, order, *bounds)


def _differences(problem: DualSourcing) -> range:
    """Differences worth trying: beyond lead-time demand the expedited supplier is never used."""
    return range(problem.regular_lead_time * problem.largest_demand + 1)


def _cheapest(
    problem: DualSourcing,
    choices: Iterable[tuple[int, int | None]],
    overshoot: Callable[[int, int | None], Overshoot],
) -> tuple[int, int, int | None, tuple[float, float]]:
    """Best level, the choice it belongs to, and bounds on its cost."""
    lowest, best = np.inf, None
    for first, cap in choices:
        found = overshoot(first, cap)
        level, cost = best_level(problem, found)
        if cost < lowest:
            lowest, best = cost, (level, first, cap, found)
    assert best is not None
    level, first, cap, found = best
    return level, first, cap, bounded_cost(problem, found, level)
