"""Oracle: a learned response to prices, or any other rule that plans a block at once.

What it plans is checked row by row and priced exactly, so its columns enter averages and upper
bounds like any other. It is not known to be the cheapest at those prices: it claims no lower
bound, and a run whose oracles are all learned certifies no gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, Response
from optrl.decomposition.blocks.oracles.block_program import BlockProgram


@runtime_checkable
class PricedPlanner(Protocol):
    """Plans all items of a block at once at given prices, such as a network in one pass."""

    def plan(self, block: ReplenishmentItems, prices: FloatArray) -> Plan:
        """The plan at prices (R, P), with all arrays that `Plan` names, a function of both."""
        ...


@dataclass(frozen=True)
class LearnedRecipe:
    """How to build a `Learned`.

    Attributes:
        block: Its items; without integers.
        load: Gives the planner in the process that uses it; can be pickled, such as
            ``functools.partial(load_planner, "weights.safetensors")``.
        parts: See `Recipe`.
    """

    block: ReplenishmentItems
    load: Callable[[], PricedPlanner]
    parts: int = 1

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items."""
        return self.block.network.items

    def build(self) -> Learned:
        """Load the planner."""
        return Learned(self.block, self.load(), self.parts)


class Learned:
    """A planner whose plans are checked and priced."""

    def __init__(self, block: ReplenishmentItems, planner: PricedPlanner, parts: int = 1) -> None:
        """Prepare to check plans.

        Args:
            block: Its items.
            planner: Plans them.
            parts: See `Recipe`.
        """
        self._items, self._planner = block, planner
        self._block = BlockProgram(block, parts)

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `optrl.decomposition.blocks.oracle.Oracle`.

        Raises:
            BlockError: If the plan is not feasible, naming the row.
        """
        planned = self._planner.plan(self._items, prices)
        x = self._block.columns(planned)
        return Response(None, self._block.cost(x), self._block.usage(x), planned if plan else None)
