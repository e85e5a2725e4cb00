"""Oracle: items whose problems are flows in a network over time, all of a block at once.

Where demand is known, nothing is integer and nothing but shared capacities is limited, an item's
problem is a flow of least cost without capacities on its arcs: every demand is met by the cheapest
way from a supplier, or not at all, but for what stock on hand and on its way can serve cheaper.
Which demands that stock serves is a small transportation problem. Both are solved exactly for all
items together in numpy, with no solver: `time_expanded`, `transport`. The lower bound comes from
the multipliers of the transportation problem, so that it holds whatever rounding did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, Response, part_starts
from optrl.decomposition.blocks.oracles.dense_items import DenseItems
from optrl.decomposition.blocks.oracles.time_expanded import TimeExpanded
from optrl.decomposition.blocks.oracles.transport import solve_transport

_BATCH = 512
"""Items solved at once: their arrays stay in the processor's cache."""


@dataclass(frozen=True)
class FlowRecipe:
    """How to build a `Flow`.

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

    def build(self) -> Flow:
        """Check that it applies and prepare arrays."""
        return Flow(self.block, self.parts)


class Flow:
    """A block's items as flows."""

    def __init__(self, block: ReplenishmentItems, parts: int = 1) -> None:
        """Prepare.

        Args:
            block: Its items.
            parts: See `Recipe`.

        Raises:
            NotApplicableError: If an item's problem is no flow without capacities.
        """
        refuse(block)
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


def refuse(block: ReplenishmentItems) -> None:
    """Say why a block's items are no flows, if so.

    Raises:
        NotApplicableError: Naming what limits them.
    """
    network, data, tree = block.network, block.data, block.tree
    supplier = network.kind == 0
    reasons = {
        "demand has several scenarios": len(tree.parent) != tree.periods + 1,
        "orders are frozen": data.frozen is not None and data.frozen.size > 0,
        "stock values stand for uncertainty": len(data.stock_values) > 0,
        "arrivals are random": data.delivery is not None,
    }
    by_item = {
        "fixed_cost": (network.fixed_cost > 0) & network.allowed,
        "lot_size": (network.lot_size > 0) & network.allowed,
        "minimum_quantity": (network.minimum_quantity > 0) & network.allowed,
        "setup_time": (network.setup_time > 0) & network.allowed,
        "maximum_quantity": np.isfinite(network.maximum_quantity) & network.allowed,
        "service_level": (network.service_level > 0) & block.demand_pairs,
        "supply_capacity": np.isfinite(network.supply_capacity) & supplier,
    }
    for name, mask in by_item.items():
        if mask.any():
            item = network.items[int(np.argwhere(mask)[0][0])]
            reasons[f"item {item!r} has a {name}"] = True
    for reason, holds in reasons.items():
        if holds:
            raise NotApplicableError(
                f"items are not flows without capacities: {reason}. Use the oracle of linear "
                "programs (scenario_lp)"
            )


class _Batch(DenseItems):
    """Items as flows."""

    def __init__(self, block: ReplenishmentItems) -> None:
        super().__init__(block)
        waits = self.network.unmet == "backorder"
        self._expanded = TimeExpanded(self.network, self.periods, self.sources, waits)

    def answer(
        self, prices: FloatArray, plan: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray, Plan]:
        """Bound, cost, usage (B, R, P), plan (empty where not wanted)."""
        costs = self.priced(prices)
        ways = self._expanded.ways(costs)
        if (ways.to_end[0] < -1e-9).any():
            item = self.network.items[int(ways.to_end[0].argmin())]
            raise NotApplicableError(
                f"item {item!r} earns by being bought and left over: its cost has no minimum; "
                "lower its terminal value"
            )
        v, periods, _, batch = ways.to_demand.shape
        by_supplier = ways.to_demand[:, :, 0]
        else_cost = np.minimum(by_supplier, ways.unmet)
        gain = (else_cost[:, :, None] + ways.to_end[1:]) - ways.to_demand[:, :, 1:]
        wanted = self.demand > 0
        gain = np.where(wanted[:, :, None] & (gain > 0), gain, -np.inf)
        gain = np.ascontiguousarray(
            gain.transpose(2, 0, 1, 3).reshape(len(self.sources), -1, batch)
        )
        demand = self.demand.reshape(-1, batch)
        keep = np.flatnonzero(np.isfinite(gain).any(axis=(0, 2)))
        solved = solve_transport(gain[:, keep], self.supply, demand[keep])
        met = np.zeros((v * periods, 1 + len(self.sources), batch))
        met[keep, 1:] = solved.flow.transpose(1, 0, 2)
        rest = (demand - met.sum(axis=1)).reshape(v, periods, batch)
        met = met.reshape(v, periods, -1, batch)
        buys = by_supplier < ways.unmet
        met[:, :, 0] = np.where(buys, rest, 0.0)
        left = np.zeros((1 + len(self.sources), batch))
        left[1:] = self.supply - solved.flow.sum(axis=1)
        flows = self._expanded.send(ways, met, left, np.where(buys, 0.0, rest))
        with np.errstate(invalid="ignore"):
            otherwise = np.where(wanted, else_cost * self.demand, 0.0).sum(axis=(0, 1))
            otherwise += np.where(self.supply > 0, ways.to_end[1:] * self.supply, 0.0).sum(axis=0)
        bound = otherwise - solved.bound + self.constant
        cost = self.cost(flows)
        return bound, cost, self.usage(flows), self.plan(flows) if plan else {}
