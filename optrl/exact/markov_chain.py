"""Average cost of a Markov chain on the states that it reaches, with bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optrl_formulations.network import FloatArray, IntArray
from scipy import sparse

from optrl.exact.errors import ExactError

Moves = tuple[IntArray, IntArray, FloatArray]
"""Transitions of given states as entries: row among them, code of the next state, probability."""

_STATES = 200_000_000
_ENTRIES = 60_000_000


@dataclass(frozen=True)
class Chain:
    """States that are reached, and the law of their transitions.

    Attributes:
        codes: Code of each state, shape (n,).
        law: Transition probabilities, shape (n, n).
    """

    codes: IntArray
    law: sparse.csr_array[np.float64]


@dataclass(frozen=True)
class AverageCost:
    """Long-run average cost of a policy.

    Attributes:
        lower: Lower bound.
        upper: Upper bound.
        states: Number of states.
        iterations: Iterations made.
    """

    lower: float
    upper: float
    states: int
    iterations: int

    @property
    def cost(self) -> float:
        """Middle of the bounds."""
        return (self.lower + self.upper) / 2


def explore(start: int, codes: int, moves: Callable[[IntArray], Moves]) -> Chain:
    """All states that can be reached from one.

    Args:
        start: Code of the first state.
        codes: Codes run from 0 to `codes` - 1.
        moves: Transitions of an array of codes; next codes must lie in that range.

    Raises:
        ExactError: If there are too many states or transitions.
    """
    if codes > _STATES:
        raise ExactError(
            f"a policy's states are numbered up to {codes:,}, more than {_STATES:,}: evaluate it "
            "by simulation, or choose a smaller lead time or level"
        )
    number: NDArray[np.int32] = np.full(codes, -1, dtype=np.int32)
    frontier = np.array([start], dtype=np.int64)
    number[start] = 0
    found, pieces, count, entries = [frontier], [], 1, 0
    reached = np.zeros(codes, dtype=np.bool_)
    while len(frontier):
        row, following, probability = moves(frontier)
        entries += len(row)
        if entries > _ENTRIES:
            raise ExactError(
                f"a policy's chain has more than {_ENTRIES:,} transitions: evaluate it by "
                "simulation, or choose a smaller lead time or level"
            )
        pieces.append((row + (count - len(frontier)), following, probability))
        fresh = following[number[following] < 0]
        reached[fresh] = True
        frontier = np.unique(fresh[reached[fresh]]) if len(fresh) < codes // 8 else _set(reached)
        reached[frontier] = False
        number[frontier] = np.arange(count, count + len(frontier), dtype=np.int32)
        count += len(frontier)
        found.append(frontier)
    rows = np.concatenate([p[0] for p in pieces])
    columns = number[np.concatenate([p[1] for p in pieces])]
    values = np.concatenate([p[2] for p in pieces])
    law = sparse.csr_array((values, (rows, columns)), shape=(count, count))
    return Chain(np.concatenate(found), law)


def _set(mask: NDArray[np.bool_]) -> IntArray:
    return np.flatnonzero(mask)


def average_cost(
    chain: Chain, cost: FloatArray, *, tolerance: float = 1e-7, max_iterations: int = 100_000
) -> AverageCost:
    """Average cost by value iteration; min and max of a sweep's change bound it (Odoni 1969).

    Args:
        chain: The states and their law.
        cost: Expected cost of a period begun in each state, shape (n,).
        tolerance: Stop when the bounds are this close.
        max_iterations: Iterations allowed.

    Raises:
        ExactError: If the bounds do not meet, as where the chain is periodic.
    """
    value = np.zeros(len(cost))
    lower, upper = -np.inf, np.inf
    for iteration in range(1, max_iterations + 1):
        following = cost + chain.law @ value
        change = following - value
        lower, upper = float(change.min()), float(change.max())
        if upper - lower <= tolerance:
            return AverageCost(lower, upper, len(cost), iteration)
        value = following - following[0]
    raise ExactError(
        f"after {max_iterations} iterations the average cost lies between {lower} and {upper}: "
        "the chain is periodic or mixes slowly"
    )


def stationary(
    chain: Chain, *, tolerance: float = 1e-13, max_iterations: int = 100_000
) -> FloatArray:
    """Stationary distribution by repeated transition, shape (n,).

    Raises:
        ExactError: If it still changes by more than `tolerance` (in total variation) at the end.
    """
    share: FloatArray = np.zeros(len(chain.codes))
    share[0] = 1.0
    backwards = sparse.csr_array(chain.law.T)
    change = np.inf
    for _ in range(max_iterations):
        moved: FloatArray = np.asarray(backwards @ share, dtype=float)
        change = float(np.abs(moved - share).sum())
        share = moved / moved.sum()
        if change <= tolerance:
            return share
    raise ExactError(
        f"after {max_iterations} transitions the state's distribution still changes by {change}: "
        "the chain is periodic or mixes slowly"
    )
