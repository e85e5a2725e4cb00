"""Oracle: the replenishment program of a block over its scenarios, prices in the objective.

Prices times usage are added to the costs, which are pushed before every solve. Every solve starts
from the basis of the first, so that an answer depends on the prices alone. Integers are relaxed,
which keeps the bound valid.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import OutOfTimeError
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Response
from optrl.decomposition.blocks.oracles.block_program import BlockProgram
from optrl.solver import Model, NoSolutionError, Status


@dataclass(frozen=True)
class ScenarioLpRecipe:
    """How to build a `ScenarioLp`.

    Attributes:
        block: Its items.
        first_prices: Prices at which the basis is found that every later solve starts from, shape
            (R, P); the nearer to those asked for, the faster. None for zero prices.
        parts: See `Recipe`.
    """

    block: ReplenishmentItems
    first_prices: FloatArray | None = None
    parts: int = 1

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items."""
        return self.block.network.items

    def build(self) -> ScenarioLp:
        """Load the program."""
        return ScenarioLp(self.block, self.first_prices, self.parts)


class ScenarioLp:
    """A block's program in HiGHS, solved from the same basis whatever the prices."""

    def __init__(
        self, block: ReplenishmentItems, first_prices: FloatArray | None = None, parts: int = 1
    ) -> None:
        """Load; the first answer begins with a solve at the first prices.

        Args:
            block: Its items.
            first_prices: See `ScenarioLpRecipe`.
            parts: See `Recipe`.
        """
        self._block = BlockProgram(block, parts)
        program = self._block.program
        self._model = Model(program)
        self._all = Block("all", 0, len(program.cost), str)
        first = np.zeros(block.coupling.shape) if first_prices is None else first_prices
        self._first: FloatArray | None = self._block.charges(first)
        self._seconds: float | None = None

    def allow(self, seconds: float | None) -> None:
        """See `optrl.decomposition.blocks.oracle.Timed`."""
        self._seconds = seconds

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `optrl.decomposition.blocks.oracle.Oracle`.

        Raises:
            optrl.solver.InfeasibleError: If an item's problem is infeasible by itself.
            OutOfTimeError: If time is up.
        """
        if self._first is not None:
            self._solve(self._first)
            self._model.keep_basis()
            self._first = None
        self._model.start_from_kept()
        block, charges = self._block, self._block.charges(prices)
        x = self._solve(charges)
        cost = block.cost(x)
        bound = cost + block.by_item(charges * x)
        return Response(bound, cost, block.usage(x), block.plan(x) if plan else None)

    def _solve(self, charges: FloatArray) -> FloatArray:
        self._model.push_cost(self._all, self._block.program.cost + charges)
        began = time.perf_counter()
        try:
            solution = self._model.solve(time_limit=self._seconds)
        except NoSolutionError as error:
            raise OutOfTimeError(str(error)) from error
        if solution.status is not Status.OPTIMAL:
            raise OutOfTimeError(f"the block's program ended {solution.status}, not optimal")
        if self._seconds is not None:
            self._seconds = max(self._seconds - (time.perf_counter() - began), 0.0)
        return solution.x
