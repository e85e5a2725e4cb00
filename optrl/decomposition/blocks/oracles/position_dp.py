"""Oracle: items at one place with random demand, by dynamic programming along a path of prices.

Where unmet demand waits, what an order does depends on the inventory position alone, whatever the
lead time; where it is lost, on the stock if orders arrive at once. So one number is the state:

    V_t(y) = min_{z >= 0} (price_t + unit_cost) z + G(y + z) + discount E V_{t+1}(after(y + z, D))

with G the expected holding and shortage cost of the period in which the order arrives, after = y -
D where demand waits and max(y - D, 0) where it is lost, and V = 0 after the last order that counts.
The grid covers all positions that demand of finite support can lead to, so that nothing is cut
off, and the value is the least expected cost.

Prices are one path, known in advance. Hence the sum over items bounds every policy that holds the
capacities in every scenario (it holds them on average, too). The usage is the expected one, so
that averages of columns hold capacities in expectation: their cost is no upper bound for a system
whose capacities hold always, and `Result.upper` is to be read that way.

Source: Clark & Scarf (1960), Management Science 6(4) (position as the state); Federgruen & Zipkin
(1984), Operations Research 32(4) (its coupling by shared budgets).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, Unmet

from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.oracle import Response, part_starts


@dataclass(frozen=True)
class PositionItems:
    """Items, all with the same lead time; orders of period t use resources in column t.

    Attributes:
        names: Of the items, (n,).
        unmet: What happens to unmet demand.
        lead_time: L, 0 where demand is lost.
        periods: Periods T in which orders are placed; costs are those of periods L, ..., L + T - 1,
            which is all that orders can change.
        probability: Of demand 0, ..., K of a period, shape (n, K + 1), rows sum to 1.
        position: Stock and orders on their way, less what waits, at the start, shape (n,).
        unit_cost: Of an ordered unit, shape (n,).
        holding_cost: Of a unit left at the end of a period, shape (n,), positive.
        shortage_cost: Of a unit unmet, lost or a period long, shape (n,), positive.
        use: Of each resource by a unit, shape (R, n).
        discount: By period.
    """

    names: tuple[str, ...]
    unmet: Unmet
    lead_time: int
    periods: int
    probability: FloatArray
    position: IntArray
    unit_cost: FloatArray
    holding_cost: FloatArray
    shortage_cost: FloatArray
    use: FloatArray
    discount: float = 1.0

    def __post_init__(self) -> None:
        if self.unmet == "lost" and self.lead_time > 0:
            raise NotApplicableError(
                f"lost sales with lead time {self.lead_time}: stock and every order on its way are "
                "the state, not their sum. Use the oracle of programs over scenarios"
            )
        if not (self.holding_cost > 0).all() or not (self.shortage_cost > 0).all():
            raise NotApplicableError("holding and shortage costs must be positive for every item")
        if not np.allclose(self.probability.sum(axis=1), 1.0) or (self.probability < 0).any():
            raise NotApplicableError("the probabilities of an item's demand must sum to 1")


@dataclass(frozen=True)
class PositionRecipe:
    """How to build a `PositionDp`.

    Attributes:
        block: Its items.
        parts: See `Recipe`.
    """

    block: PositionItems
    parts: int = 1

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items."""
        return self.block.names

    def build(self) -> PositionDp:
        """Lay out the grid."""
        return PositionDp(self.block, self.parts)


class PositionDp:
    """Values on a grid of positions, for all items of a block together."""

    def __init__(self, block: PositionItems, parts: int = 1) -> None:
        """Lay out the grid and the expected costs of a period on it."""
        self._items, self._parts = block, parts
        most = block.probability.shape[1] - 1
        # A unit beyond all demand still to come is only held: no order goes there.
        to_come = most * (block.periods + block.lead_time)
        low = min(int(block.position.min()), 0) - (most * block.periods if self._waits else 0)
        self._grid = np.arange(low, max(int(block.position.max()), to_come) + 1)
        self._cost = self._period_cost()

    @property
    def _waits(self) -> bool:
        return self._items.unmet == "backorder"

    def _period_cost(self) -> FloatArray:
        """Expected holding and shortage cost L periods on, by item and position, (n, grid)."""
        items = self._items
        demand = np.zeros((len(items.names), 1))
        demand[:, 0] = 1.0
        for _ in range(items.lead_time + 1):
            demand = _convolve(demand, items.probability)
        left = self._grid[:, None] - np.arange(demand.shape[1])[None, :]
        over, under = demand @ np.maximum(left, 0).T, demand @ np.maximum(-left, 0).T
        return items.holding_cost[:, None] * over + items.shortage_cost[:, None] * under

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `optrl.decomposition.blocks.oracle.Oracle`; the plan is the expected orders.

        The plan's ``order`` has shape (n, 1, P).
        """
        items = self._items
        policy, value = self._solve(prices)
        n = len(items.names)
        start = items.position - self._grid[0]
        chance = np.zeros((n, len(self._grid)))
        chance[np.arange(n), start] = 1.0
        orders, cost = np.zeros((n, prices.shape[1])), np.zeros(n)
        for t in range(items.periods):
            weight = items.discount**t
            up_to = policy[t]
            orders[:, t] = (chance * (up_to - np.arange(len(self._grid)))).sum(axis=1)
            after = np.zeros_like(chance)
            np.add.at(after, (np.arange(n)[:, None], up_to), chance)
            late = items.discount**items.lead_time
            cost += weight * (items.unit_cost * orders[:, t] + late * (after * self._cost).sum(1))
            chance = self._step_forward(after)
        bound = value[np.arange(n), start]
        starts = part_starts(n, self._parts)
        used = np.einsum("rn,nt->nrt", items.use, orders)
        return Response(
            bound,
            cost,
            np.add.reduceat(used, starts, axis=0),
            {"order": orders[:, None, :]} if plan else None,
        )

    def _solve(self, prices: FloatArray) -> tuple[list[IntArray], FloatArray]:
        """Position to order up to, by period, item and position (n, grid); and the first value."""
        items, grid = self._items, self._grid
        value = np.zeros((len(items.names), len(grid)))
        up_to = []
        for t in reversed(range(items.periods)):
            weight = items.discount**t
            paid = weight * items.unit_cost + items.use.T @ prices[:, t]
            late = items.discount**items.lead_time
            ahead = weight * late * self._cost + self._expect(value)
            reached = ahead + paid[:, None] * grid
            # The least over all positions from here upwards, and the first that attains it.
            least = np.minimum.accumulate(reached[:, ::-1], axis=1)[:, ::-1]
            attains = np.where(reached <= least, np.arange(len(grid)), len(grid))
            up_to.append(np.minimum.accumulate(attains[:, ::-1], axis=1)[:, ::-1])
            value = least - paid[:, None] * grid
        return up_to[::-1], value

    def _expect(self, value: FloatArray) -> FloatArray:
        """E value(after(y, D)) by item and y."""
        total = np.zeros_like(value)
        zero, count = self._zero, value.shape[1]
        for k, chance in enumerate(self._items.probability.T):
            index = np.maximum(np.arange(count) - k, 0)
            if not self._waits:
                index = np.maximum(index, zero)
            total += chance[:, None] * value[:, index]
        return total

    def _step_forward(self, chance: FloatArray) -> FloatArray:
        """Law of the position after demand."""
        total = np.zeros_like(chance)
        count = chance.shape[1]
        rows = np.arange(len(chance))[:, None]
        for k, share in enumerate(self._items.probability.T):
            index = np.maximum(np.arange(count) - k, 0)
            if not self._waits:
                index = np.maximum(index, self._zero)
            np.add.at(total, (rows, index[None, :]), share[:, None] * chance)
        return total

    @property
    def _zero(self) -> int:
        return int(-self._grid[0])


def _convolve(first: FloatArray, second: FloatArray) -> FloatArray:
    """Laws of sums, row by row."""
    total = np.zeros((len(first), first.shape[1] + second.shape[1] - 1))
    for k in range(second.shape[1]):
        total[:, k : k + first.shape[1]] += second[:, k : k + 1] * first
    return total
