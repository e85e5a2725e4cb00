"""Prices of several resources by a master of the decomposition over items.

Answers to prices are columns, and a master (`optrl.decomposition.blocks.master`) proposes the next
prices from all of them. The cheapest average of the columns that holds the capacities tells which
answers meet at the prices: columns of an allocation on which these agree are settled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.terms import UNGROUPED
from optrl.decomposition.blocks.combination import combine
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.master import Master, Standing
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle

# Answers are added up by so many groups of columns: more cuts a round, in a program still small.
_GROUPS = 16


@dataclass(frozen=True)
class Met:
    """Where the master ended.

    Attributes:
        answers: Those that the cheapest average is made of, each of shape (J,).
        gap: Between that average and the best bound, relative to the bound.
        rounds: Times that all columns were asked.
    """

    answers: tuple[FloatArray, ...]
    gap: float
    rounds: int


def meet(
    allocation: Allocation,
    ask: Callable[[FloatArray], tuple[FloatArray, float]],
    starts: list[FloatArray],
    ceiling: FloatArray,
    *,
    master: Master | None = None,
    rounds: int = 25,
    tolerance: float = 1e-6,
) -> Met:
    """Ask at prices that a master proposes, until bound and average meet.

    Args:
        allocation: The allocation.
        ask: Gives the answer (J,) and the upper bound on the gain at prices (R,).
        starts: Prices to ask at first, each of shape (R,).
        ceiling: Prices above which nobody asks for the resources, shape (R,).
        master: Proposes prices; a level bundle when None.
        rounds: Times to ask at most.
        tolerance: Relative gap to end at.
    """
    chosen: Master = LevelBundle() if master is None else master
    count = len(allocation.capacity)
    coupling = Coupling(
        names=allocation.terms.names or tuple(f"resource {r}" for r in range(count)),
        columns=("now",),
        capacity=allocation.capacity[:, None],
        price_limit=np.full((count, 1), np.inf),
    )
    part = _parts(allocation)
    ledger = Ledger(_GROUPS)
    answers: list[FloatArray] = []
    waiting = [np.minimum(start, ceiling) for start in starts]
    # At the ceiling nothing scarce is used: an average that holds all capacities always exists.
    waiting.append(1.001 * ceiling)
    while True:
        prices = waiting.pop(0)
        answer, bound = ask(prices)
        answers.append(answer)
        gains, usage = np.zeros(_GROUPS), np.zeros((_GROUPS, count))
        np.add.at(gains, part, _relaxed_gains(allocation, answer))
        np.add.at(usage, part, allocation.use * answer[:, None])
        # The ledger minimizes.
        ledger.add(prices, -gains, usage, -bound)
        if waiting:
            continue
        combination = combine(ledger, coupling)
        best = ledger.bound[ledger.best]
        gap = (combination.cost - best) / max(abs(best), 1e-12)
        if (combination.feasible and gap <= tolerance) or len(ledger) >= rounds:
            taken = np.flatnonzero((combination.weights > 1e-9).any(axis=1))
            return Met(tuple(answers[m] for m in taken), gap, len(ledger))
        proposed = chosen.propose(Standing(coupling, ledger, combination))
        waiting.append(np.clip(proposed, 0.0, 1.001 * ceiling))


def _relaxed_gains(allocation: Allocation, quantity: FloatArray) -> FloatArray:
    """Gain by column without fixed costs, as the bound has it, shape (J,)."""
    gains: FloatArray = allocation.worth(quantity) - allocation.cost * quantity
    return gains


def _parts(allocation: Allocation) -> IntArray:
    """A group for each column, columns that share a stock in the same, shape (J,)."""
    alone = np.arange(len(allocation.group))
    inside = allocation.group != UNGROUPED
    part: IntArray = np.where(inside, allocation.group, alone) % _GROUPS
    return part
