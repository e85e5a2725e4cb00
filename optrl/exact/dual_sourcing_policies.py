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

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.exact.dual_sourcing import DualSourcing
from optrl.exact.errors import ExactError
from optrl.exact.markov_chain import Moves, explore, stationary

_TAIL = 1e-12


@dataclass(frozen=True)
class Overshoot:
    """Stationary behaviour relative to the expedited level.

    Attributes:
        excess: Values of y - S_e, shape (n,).
        probability: Their probabilities, shape (n,).
        expedited: Expected expedited order of a period.
    """

    excess: IntArray
    probability: FloatArray
    expedited: float


@dataclass(frozen=True)
class DualSourcingPolicy:
    """A heuristic with its best expedited level.

    Attributes:
        expedited_level: S_e on stock (dual index) or on the whole position (single index).
        regular_level: S_r on the whole position; None for tailored base-surge.
        cap: Largest regular order, or the constant one; None where there is none.
        cost: Average cost a period, purchases included.
    """

    expedited_level: int
    regular_level: int | None
    cap: int | None
    cost: float


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
    y, _, expedited = decide(chain.codes)
    probability = np.bincount(y, share).astype(float)
    return Overshoot(np.arange(len(probability)), probability, float(share @ expedited))


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
    expedited = float(share @ np.maximum(top - chain.codes, 0))
    probability = np.bincount(excess, share).astype(float)
    return Overshoot(np.arange(len(probability)), probability, expedited)


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


def best_single_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels of the single-index policy."""

    def one(difference: int) -> DualSourcingPolicy:
        level, cost = best_level(problem, single_index_overshoot(problem, difference))
        return DualSourcingPolicy(level - difference, level, None, cost)

    return _cheapest(one(k) for k in range(problem.largest_demand + 1))


def best_dual_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels of the dual-index policy."""

    def one(difference: int) -> DualSourcingPolicy:
        level, cost = best_level(problem, dual_index_overshoot(problem, difference))
        return DualSourcingPolicy(level, level + difference, None, cost)

    return _cheapest(one(k) for k in _differences(problem))


def best_capped_dual_index(problem: DualSourcing) -> DualSourcingPolicy:
    """Best levels and cap of the capped dual-index policy."""

    def one(difference: int, cap: int) -> DualSourcingPolicy:
        level, cost = best_level(problem, dual_index_overshoot(problem, difference, cap))
        return DualSourcingPolicy(level, level + difference, cap, cost)

    caps = range(1, problem.largest_demand + 1)
    return _cheapest(one(k, cap) for k in _differences(problem) for cap in caps)


def best_tailored_base_surge(problem: DualSourcing) -> DualSourcingPolicy:
    """Best constant regular order and expedited level, both integer."""

    def one(order: int) -> DualSourcingPolicy:
        level, cost = best_level(problem, base_surge_overshoot(problem, order))
        return DualSourcingPolicy(level, None, order, cost)

    below = int(np.ceil(problem.demand.mean)) - 1
    return _cheapest(one(order) for order in range(below + 1))


def _differences(problem: DualSourcing) -> range:
    """Differences worth trying: beyond lead-time demand the expedited supplier is never used."""
    return range(problem.regular_lead_time * problem.largest_demand + 1)


def _cheapest(policies: Iterable[DualSourcingPolicy]) -> DualSourcingPolicy:
    return min(policies, key=lambda policy: policy.cost)
