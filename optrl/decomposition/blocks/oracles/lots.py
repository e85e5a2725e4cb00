"""Oracle: items at one place, ordered in whole lots, all of a block at once by dynamic program.

Where demand is known and lost if unmet, and one lane brings an item to one place, the stock before
demand is all the state there is, since what is released in a period arrives in a known one. With

    G_t(y) = wait_t (d_t - y)^+ + hold_t (y - d_t)^+ + V_{t+1}((y - d_t)^+)     y in the place
    H_t(y) = min over lots k >= smallest of [c_t lot k + G_t(y + lot k)]        something ordered
    V_t(x) = min(G_t(z), f_t + H_t(z)),  z = x + what is due in t

H follows from itself one lot further, so that a period takes one sweep over the stock. The answer
is exact with lots, smallest quantities and fixed costs: its bound is that of the problem with its
integers, and each of its plans is one that can be carried out.

Source: Wagner & Whitin (1958), Management Science 5(1) (the recursion, here over stock as lots and
lost demand need it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, NodeKind

from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, Response, part_starts
from optrl.decomposition.blocks.oracles.dense_items import DenseItems
from optrl.decomposition.blocks.oracles.time_expanded import Flows

_BATCH = 512
_ROUNDING = 1e-9


@dataclass(frozen=True)
class LotsRecipe:
    """How to build a `Lots`.

    Attributes:
        block: Its items.
        parts: See `Recipe`.
    """

    block: ReplenishmentItems
    parts: int = 1

    @property
    def items(self) -> Sequence[str]:
        """Names of the block's items."""
        return self.block.network.items

    def build(self) -> Lots:
        """Check that it applies and prepare arrays."""
        return Lots(self.block, self.parts)


class Lots:
    """A block's items by dynamic program over stock in whole units."""

    def __init__(self, block: ReplenishmentItems, parts: int = 1) -> None:
        """Prepare.

        Args:
            block: Its items.
            parts: See `Recipe`.

        Raises:
            NotApplicableError: If an item's problem is larger than that.
        """
        size = len(block)
        self._starts = part_starts(size, parts)
        self._batches = [
            _Batch(block.select(np.arange(k, min(k + _BATCH, size))))
            for k in range(0, size, _BATCH)
        ]

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `optrl.decomposition.blocks.oracle.Oracle`."""
        parts = [batch.answer(prices, plan) for batch in self._batches]
        return Response(
            bound=np.concatenate([part[0] for part in parts]),
            cost=np.concatenate([part[1] for part in parts]),
            usage=np.add.reduceat(np.concatenate([part[2] for part in parts]), self._starts),
            plan={name: np.concatenate([part[3][name] for part in parts]) for name in parts[0][3]}
            if plan
            else None,
        )


class _Batch(DenseItems):
    """Some items."""

    def __init__(self, block: ReplenishmentItems) -> None:
        super().__init__(block)
        self._place, self._lane = _one_place(block)
        network = self.network
        self._lead = int(network.lead_time[self._lane])
        lot = network.lot_size[:, self._lane]
        smallest = network.minimum_quantity[:, self._lane]
        # Without lots an optimal plan is whole as well, since everything else is.
        self._lot = _whole("lot_size", np.where(lot > 0, lot, 1.0), network.items)
        least = np.maximum(np.ceil(smallest / self._lot - _ROUNDING), 1.0) * self._lot.astype(float)
        self._least = _whole("minimum_quantity", least, network.items)
        self._fixed = network.fixed_cost[:, self._lane] * self._weight()[:, None]
        self._asked = _whole("demand", self.demand[self._place], network.items)
        due = np.zeros((self.periods, len(network.items)))
        for (node, period), amount in zip(self.sources.tolist(), self.supply, strict=True):
            if node == self._place:
                due[period] += amount
        self._due = _whole("stock", due, network.items)
        self._refuse_odd_costs()
        most = self._asked.sum(axis=0) + self._due.sum(axis=0) + self._least
        self._states = int(most.max(initial=0)) + 1

    def _weight(self) -> FloatArray:
        """What money of each period counts in the objective, shape (T,)."""
        weight: FloatArray = self.layout.decision_weight[: self.periods]
        return weight

    def _refuse_odd_costs(self) -> None:
        """Demand must be served while there is stock, and none ordered beyond what is asked for."""
        wait, hold = self.costs.wait[self._place], self.costs.hold[self._place]
        kept = np.cumsum(hold[::-1], axis=0)[::-1]
        order = self.costs.order[self._lane]
        later = np.zeros_like(order)
        later[: self.periods - self._lead] = kept[self._lead :]
        odd = ((np.diff(wait, axis=0) > _ROUNDING).any(axis=0)) | (wait + kept < 0).any(axis=0)
        odd |= (order + later < 0).any(axis=0)
        if odd.any():
            item = self.network.items[int(np.flatnonzero(odd)[0])]
            raise NotApplicableError(
                f"item {item!r} earns by being left over, or demand of a later period is worth "
                "more: lower its terminal value or use another oracle"
            )

    def answer(
        self, prices: FloatArray, plan: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray, Plan]:
        """Bound, cost, usage (B, R, P), plan (empty where not wanted)."""
        costs = self.priced(prices)
        order = costs.order[self._lane]
        wait, hold = costs.wait[self._place], costs.hold[self._place]
        batch, states = len(self.network.items), self._states
        value = np.zeros((states, batch))
        here = np.arange(states)[:, None]
        stay = np.empty((self.periods, states, batch))
        buy = np.full((self.periods, states, batch), np.inf)
        for t in reversed(range(self.periods)):
            left = np.maximum(here - self._asked[t], 0)
            stay[t] = (
                wait[t] * np.maximum(self._asked[t] - here, 0)
                + hold[t] * left
                + np.take_along_axis(value, left, axis=0)
            )
            if t >= self._lead:
                self._sweep(buy[t], stay[t], order[t - self._lead])
                best = np.minimum(stay[t], self._fixed[t - self._lead] + buy[t])
            else:
                best = stay[t]
            reached = np.minimum(here + self._due[t], states - 1)
            value = np.take_along_axis(best, reached, axis=0)
        flows = self._follow(stay, buy, order)
        cost = self.cost(flows)
        cost += (self._fixed * (flows.order[self._lane] > 0)).sum(axis=0)
        usage = self.usage(flows)
        return value[0] + self.constant, cost, usage, self.plan(flows) if plan else {}

    def _sweep(self, buy: FloatArray, stay: FloatArray, unit: FloatArray) -> None:
        """H from G, from the largest stock down; both of shape (states, B)."""
        item = np.arange(buy.shape[1])
        dear = ~np.isfinite(unit)
        unit = np.where(dear, 0.0, unit)
        last = len(buy) - 1
        for y in range(last, -1, -1):
            first, more = y + self._least, y + self._lot
            begin = unit * self._least + stay[np.minimum(first, last), item]
            again = unit * self._lot + buy[np.minimum(more, last), item]
            begin[(first > last) | dear] = np.inf
            again[(more > last) | dear] = np.inf
            buy[y] = np.minimum(begin, again)

    def _follow(self, stay: FloatArray, buy: FloatArray, order: FloatArray) -> Flows:
        """What the values decide, period by period."""
        network, periods, batch = self.network, self.periods, stay.shape[2]
        nodes, lanes = len(network.nodes), len(network.lanes)
        flows = Flows(
            *(np.zeros((lanes, periods, batch)) for _ in range(2)),
            *(np.zeros((nodes, periods, batch)) for _ in range(3)),
        )
        stock: IntArray = np.zeros(batch, dtype=np.int64)
        for t in range(periods):
            stock = stock + self._due[t]
            if t >= self._lead:
                release = t - self._lead
                amount = self._amount(stock, stay[t], buy[t], order[release], release)
                flows.order[self._lane, release] = amount
                stock = stock + amount
            sold = np.minimum(stock, self._asked[t])
            flows.sales[self._place, t] = sold
            flows.unmet[self._place, t] = self._asked[t] - sold
            stock = stock - sold
            flows.hold[self._place, t] = stock
        return flows

    def _amount(
        self, stock: IntArray, stay: FloatArray, buy: FloatArray, unit: FloatArray, release: int
    ) -> IntArray:
        item = np.arange(len(stock))
        orders = self._fixed[release] + buy[stock, item] < stay[stock, item]
        amount = np.where(orders, self._least, 0)
        at, last = stock.copy(), len(stay) - 1
        going = orders & np.isfinite(unit)
        while going.any():
            on = np.flatnonzero(going)
            first, more = at[on] + self._least[on], at[on] + self._lot[on]
            begin = unit[on] * self._least[on] + stay[np.minimum(first, last), on]
            again = unit[on] * self._lot[on] + buy[np.minimum(more, last), on]
            begin[first > last] = np.inf
            further = (more <= last) & (again < begin)
            amount[on[further]] += self._lot[on[further]]
            at[on] = more
            going[on[~further]] = False
        return amount


def _one_place(block: ReplenishmentItems) -> tuple[int, int]:
    """The place and the lane that brings everything there.

    Raises:
        NotApplicableError: If there are others, or something else limits an item.
    """
    network, data, tree = block.network, block.data, block.tree
    places = np.flatnonzero(network.kind == NodeKind.STOCKING)
    lanes = network.replenishment_lanes
    simple = len(places) == 1 and len(lanes) == 1 and len(network.lanes) == 1
    allowed = network.allowed
    reasons = {
        "there is more than one place or lane": not simple,
        "unmet demand waits": network.unmet != "lost",
        "demand has several scenarios": len(tree.parent) != tree.periods + 1,
        "orders are frozen": data.frozen is not None and data.frozen.size > 0,
        "stock values stand for uncertainty": len(data.stock_values) > 0,
        "arrivals are random": data.delivery is not None,
        "there are largest quantities": bool(np.isfinite(network.maximum_quantity[allowed]).any()),
        "there are set-up times": bool((network.setup_time[allowed] > 0).any()),
        "there are service levels": bool((network.service_level > 0)[block.demand_pairs].any()),
        "supply is limited": bool(
            np.isfinite(network.supply_capacity[:, network.kind == NodeKind.SUPPLIER]).any()
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotApplicableError(f"items are not lots at one place: {reason}")
    return int(places[0]), int(lanes[0])


def _whole(name: str, values: FloatArray, items: Sequence[str]) -> IntArray:
    """Values (..., B) as integers.

    Raises:
        NotApplicableError: If one is not whole.
    """
    rounded = np.round(values)
    wrong = np.abs(values - rounded) > _ROUNDING
    if wrong.any():
        at = np.argwhere(wrong)[0]
        raise NotApplicableError(
            f"{name} of item {items[int(at[-1])]!r} is {values[tuple(at)]:g}, not whole: scale "
            "quantities to whole units"
        )
    return rounded.astype(np.int64)
