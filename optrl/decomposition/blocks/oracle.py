"""What answers prices for a block of items.

An oracle is built in the process that uses it, from a recipe that can be pickled, because what it
holds (a HiGHS object, a network on a device) often cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

Plan = Mapping[str, FloatArray]
"""What a block does, arrays by name whose first axis is the block's items. The oracles here give
``order`` and ``serve`` (n, A, tree nodes) and ``sales``, ``unmet`` and ``on_hand`` (n, V, tree
nodes), as in `StageSolution`."""


@dataclass(frozen=True)
class Response:
    """What a block of n items answers to prices.

    Attributes:
        bound: A valid lower bound by item on min over the item's plans of [cost + prices . usage],
            shape (n,); None where the oracle claims none. Only its sum enters the bound, so an
            oracle whose items hang together may spread it over them as it likes.
        cost: True cost of the plan by item, without prices, shape (n,).
        usage: What the plan uses of each resource, by part of the block, shape (C, R, P): C runs of
            items as `part_starts` cuts them, C as the recipe says. Their sum minus the capacity is
            a subgradient of the Lagrangian where `bound` is exact.
        plan: The plan itself, where it was asked for.
    """

    bound: FloatArray | None
    cost: FloatArray
    usage: FloatArray
    plan: Plan | None = None


def part_starts(items: int, parts: int) -> IntArray:
    """First item of each part of a block: runs of nearly equal size, shape (C,)."""
    return np.arange(parts) * items // parts


@runtime_checkable
class Oracle(Protocol):
    """Answers prices for a fixed block of items."""

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """A plan that is good at these prices, and what no plan of the block can be below.

        The answer must be a function of the prices alone: the same prices give the same answer,
        whatever was asked before. Plans are never stored; the driver asks again for those it
        averages, and a run that was killed asks again where it stood.

        The plan must be feasible for each item by itself; shared capacity is the master's concern.

        Args:
            prices: Money per unit of each resource, shape (R, P), nonnegative.
            plan: Whether the response shall hold the plan.

        Raises:
            Exception: Any; the driver names block, items and prices, and ends with the best result
                so far.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """An oracle that can end early: one that is so is told before every answer what time is left.

    Out of time it raises `optrl.decomposition.blocks.errors.OutOfTimeError`, which is no failure.
    """

    def allow(self, seconds: float | None) -> None:
        """Take notice that an answer may take some seconds; None for any number."""
        ...


@runtime_checkable
class Recipe(Protocol):
    """How to build an oracle; can be pickled."""

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items, for messages."""
        ...

    @property
    def parts(self) -> int:
        """Parts of the block that may follow different columns, from 1 to its number of items.

        More parts make averages of columns better; an oracle that answers for a thousand items at
        once may still give its usage in ten parts. An oracle that ties its items together has 1.
        """
        ...

    def build(self) -> Oracle:
        """Build the oracle, in the process that will use it.

        Raises:
            optrl.errors.OptrlError: If it does not apply to these items.
        """
        ...


@dataclass(frozen=True)
class OracleFailure:
    """An oracle raised, or its process died.

    Attributes:
        block: Number of the block.
        reason: What was raised.
        late: Whether it was out of time, and nothing is wrong with it.
    """

    block: int
    reason: str
    late: bool = False
