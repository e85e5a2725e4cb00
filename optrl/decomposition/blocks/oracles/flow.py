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
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment_data import column_costs, pipeline_credit

from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan, Response, part_starts
from optrl.decomposition.blocks.oracles.time_expanded import Costs, Flows, TimeExpanded
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


class _Batch:
    """Some items, items last in every array."""

    def __init__(self, block: ReplenishmentItems) -> None:
        layout = self._layout = block.layout
        network, data = block.network, block.data
        n, v, a, nodes = layout.shape
        periods = self._periods = block.tree.periods
        self._network, self._tree = network, block.tree
        costs = {name: sum(kinds.values()) for name, kinds in column_costs(layout).items()}

        def dense(name: str, wide: int, first: int) -> FloatArray:
            index = layout.demand if name == "unmet" else getattr(layout, name)
            array = np.full((n, wide, nodes), np.inf)
            array[tuple(index)] = costs[name]
            return np.ascontiguousarray(array[:, :, first : first + periods].transpose(1, 2, 0))

        stocking = (network.kind == 1)[:, None]
        pairs = block.demand_pairs.T
        self._costs = Costs(
            order=dense("order", a, 0),
            serve=dense("serve", a, 1),
            sales=np.where(pairs & stocking, 0.0, np.inf),
            hold=dense("on_hand", v, 1),
            wait=np.where(pairs[:, None, :], dense("unmet", v, 1), 0.0),
        )
        demand = np.where(block.demand_pairs[:, :, None], data.demand, 0.0)[:, :, 1:]
        if network.unmet == "backorder":
            demand[:, :, 0] += np.where(block.demand_pairs, data.backlog, 0.0)
        self._demand = np.ascontiguousarray(demand.transpose(1, 2, 0))
        self._sources, self._supply = _sources(block)
        self._expanded = TimeExpanded(network, periods, self._sources, network.unmet == "backorder")
        item = layout.initial_due(data.due.shape[2]).columns[0]
        credit = pipeline_credit(layout, data.due.shape[2])
        due = layout.initial_due(data.due.shape[2]).gather(data.due)
        self._constant = np.bincount(item, credit * due, minlength=n)

    def answer(
        self, prices: FloatArray, plan: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray, Plan]:
        """Bound, cost, usage (B, R, P), plan (empty where not wanted)."""
        costs = self._priced(prices)
        ways = self._expanded.ways(costs)
        if (ways.to_end[0] < -1e-9).any():
            item = self._network.items[int(ways.to_end[0].argmin())]
            raise NotApplicableError(
                f"item {item!r} earns by being bought and left over: its cost has no minimum; "
                "lower its terminal value"
            )
        v, periods, _, batch = ways.to_demand.shape
        by_supplier = ways.to_demand[:, :, 0]
        else_cost = np.minimum(by_supplier, ways.unmet)
        gain = (else_cost[:, :, None] + ways.to_end[1:]) - ways.to_demand[:, :, 1:]
        wanted = self._demand > 0
        gain = np.where(wanted[:, :, None] & (gain > 0), gain, -np.inf)
        gain = np.ascontiguousarray(
            gain.transpose(2, 0, 1, 3).reshape(len(self._sources), -1, batch)
        )
        demand = self._demand.reshape(-1, batch)
        keep = np.flatnonzero(np.isfinite(gain).any(axis=(0, 2)))
        solved = solve_transport(gain[:, keep], self._supply, demand[keep])
        met = np.zeros((v * periods, 1 + len(self._sources), batch))
        met[keep, 1:] = solved.flow.transpose(1, 0, 2)
        rest = (demand - met.sum(axis=1)).reshape(v, periods, batch)
        met = met.reshape(v, periods, -1, batch)
        buys = by_supplier < ways.unmet
        met[:, :, 0] = np.where(buys, rest, 0.0)
        left = np.zeros((1 + len(self._sources), batch))
        left[1:] = self._supply - solved.flow.sum(axis=1)
        flows = self._expanded.send(ways, met, left, np.where(buys, 0.0, rest))
        with np.errstate(invalid="ignore"):
            otherwise = np.where(wanted, else_cost * self._demand, 0.0).sum(axis=(0, 1))
            otherwise += np.where(self._supply > 0, ways.to_end[1:] * self._supply, 0.0).sum(axis=0)
        bound = otherwise - solved.bound + self._constant
        cost = _cost(self._costs, flows) + self._constant
        return bound, cost, self._usage(flows), self._plan(flows) if plan else {}

    def _priced(self, prices: FloatArray) -> Costs:
        """Costs with what usage is charged."""
        network, own, periods = self._network, self._costs, self._periods
        order, serve, hold = own.order, own.serve, own.hold
        order, serve, hold = order.copy(), serve.copy(), hold.copy()
        for r, resource in enumerate(network.resources):
            after = self._layout.is_seen_after_demand(resource)
            price = prices[r, 1:] if after else prices[r, :periods]
            if not price.any():
                continue
            charge = price[:, None] * resource.use[None, :]
            if resource.kind == "storage":
                hold[resource.node] += charge
            for lane in network.lanes_of(resource).tolist():
                order[lane] += charge
                serve[lane] += charge
        return Costs(order, serve, own.sales, hold, own.wait)

    def _usage(self, flows: Flows) -> FloatArray:
        network, periods = self._network, self._periods
        used = np.zeros((len(network.items), len(network.resources), periods + 1))
        for r, resource in enumerate(network.resources):
            first = 1 if self._layout.is_seen_after_demand(resource) else 0
            lanes = network.lanes_of(resource)
            amount = flows.order[lanes].sum(axis=0) + flows.serve[lanes].sum(axis=0)
            if resource.kind == "storage":
                amount = amount + flows.hold[resource.node]
            used[:, r, first : first + periods] = (amount * resource.use).T
        return used

    def _plan(self, flows: Flows) -> Plan:
        nothing = np.zeros

        def by_node(array: FloatArray, first: int) -> FloatArray:
            wide, periods, batch = array.shape
            result = nothing((batch, wide, periods + 1))
            result[:, :, first : first + periods] = array.transpose(2, 0, 1)
            return result

        return {
            "order": by_node(flows.order, 0),
            "serve": by_node(flows.serve, 1),
            "sales": by_node(flows.sales, 1),
            "unmet": by_node(flows.unmet, 1),
            "on_hand": by_node(flows.hold, 1),
        }


def _sources(block: ReplenishmentItems) -> tuple[IntArray, FloatArray]:
    """Node and period of what is on hand or due within the horizon, and how much, (S, B)."""
    data, periods = block.data, block.tree.periods
    due = np.where(block.layout.stocked[:, :, None], data.due, 0.0)
    arrives = np.concatenate(
        [np.where(block.layout.stocked, data.on_hand, 0.0)[:, :, None], due], axis=2
    )[:, :, :periods]
    places = np.argwhere(arrives.any(axis=0))
    supply = arrives[:, places[:, 0], places[:, 1]].T
    return places.astype(np.int64), np.ascontiguousarray(supply)


def _cost(costs: Costs, flows: Flows) -> FloatArray:
    """True cost by item; where nothing flows an infinite cost is none."""
    total = np.zeros(flows.hold.shape[2])
    for cost, flow in (
        (costs.order, flows.order),
        (costs.serve, flows.serve),
        (costs.hold, flows.hold),
        (costs.wait, flows.unmet),
    ):
        total += np.where(flow > 0, cost * np.where(flow > 0, flow, 1.0), 0.0).sum(axis=(0, 1))
    return total
