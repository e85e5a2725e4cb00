"""Any stationary rule for dual sourcing, evaluated exactly by the Markov chain of its states.

A rule maps states (n, l) of `optrl.exact.dual_sourcing`, net stock and then the regular pipeline
x, q[1], ..., q[l-1], to expedited and regular orders, (n,) each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import IntArray

from optrl.exact.dual_sourcing import DualSourcing
from optrl.exact.errors import ExactError
from optrl.exact.markov_chain import AverageCost, Moves, average_cost, explore

OrderPairRule = Callable[[IntArray], tuple[IntArray, IntArray]]


@dataclass(frozen=True)
class StateBounds:
    """What a rule's states and orders keep within.

    Attributes:
        lowest: Smallest net stock before orders.
        highest: Largest.
        largest_order: Largest regular order.
    """

    lowest: int
    highest: int
    largest_order: int


def evaluate(
    problem: DualSourcing,
    rule: OrderPairRule,
    bounds: StateBounds,
    *,
    tolerance: float = 1e-7,
) -> AverageCost:
    """Average cost a period of a rule, purchases included, beginning with an empty system.

    Args:
        problem: The problem.
        rule: Orders of states.
        bounds: Of states and orders.
        tolerance: Distance of the bounds returned.

    Raises:
        ExactError: If the rule leaves the bounds, orders negative amounts, or reaches too many
            states.
    """
    lead = problem.regular_lead_time
    base, rows = bounds.largest_order + 1, bounds.highest - bounds.lowest + 1
    weight = base ** np.arange(lead)[::-1]
    demand = np.flatnonzero(problem.demand.probability)
    chance = problem.demand.probability[demand]

    def states(codes: IntArray) -> IntArray:
        found = codes[:, None] // weight % base
        found[:, 0] = codes // weight[0] + bounds.lowest
        return found

    def moves(codes: IntArray) -> Moves:
        at = states(codes)
        rushed, order = rule(at)
        _refuse(at, rushed, order, bounds)
        pipeline = np.column_stack([at[:, 1:], order])
        ahead = at[:, 0] + rushed + pipeline[:, 0]
        following = ahead[:, None] - demand
        outside = (following < bounds.lowest) | (following > bounds.highest)
        if outside.any():
            wrong = int(np.argmax(outside.any(axis=1)))
            raise ExactError(
                f"state {at[wrong].tolist()} under orders {rushed[wrong]} and {order[wrong]} leads "
                f"beyond net stock {bounds.lowest}..{bounds.highest}"
            )
        to = (following - bounds.lowest) * weight[0] + (pipeline[:, 1:] @ weight[1:])[:, None]
        row = np.repeat(np.arange(len(codes)), len(demand))
        return row, to.ravel(), np.tile(chance, len(codes))

    chain = explore(-bounds.lowest * int(weight[0]), rows * int(weight[0]), moves)
    at = states(chain.codes)
    rushed, order = rule(at)
    paid = problem.expedited_unit_cost * rushed + problem.regular_unit_cost * order
    return average_cost(chain, problem.stage_cost(at[:, 0] + rushed) + paid, tolerance=tolerance)


def _refuse(at: IntArray, rushed: IntArray, order: IntArray, bounds: StateBounds) -> None:
    wrong = (rushed < 0) | (order < 0) | (order > bounds.largest_order)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ExactError(
            f"the rule orders {rushed[k]} expedited and {order[k]} regular units in state "
            f"{at[k].tolist()}; orders must be 0 or more, regular ones at most "
            f"{bounds.largest_order}"
        )
