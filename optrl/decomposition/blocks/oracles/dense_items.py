"""Items as dense arrays, item last: costs at prices, what flows use and cost, and plans of them.

What oracles share that plan all items of a block at once in numpy.
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment_data import column_costs, pipeline_credit

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.oracle import Plan
from optrl.decomposition.blocks.oracles.time_expanded import Costs, Flows


class DenseItems:
    """Some items, items last in every array; shapes as in `Costs`.

    Attributes:
        network: Of these items.
        periods: T.
        costs: Of a unit.
        demand: Shape (V, T, B).
        sources: Node and period of what is on hand or due, shape (S, 2).
        supply: How much, shape (S, B).
        constant: Cost that no decision changes, shape (B,).
    """

    def __init__(self, block: ReplenishmentItems) -> None:
        """Lay out costs, demand and stock."""
        layout = self.layout = block.layout
        network, data = block.network, block.data
        n, v, a, nodes = layout.shape
        periods = self.periods = block.tree.periods
        self.network, self._tree = network, block.tree
        costs = {name: sum(kinds.values()) for name, kinds in column_costs(layout).items()}

        def dense(name: str, wide: int, first: int) -> FloatArray:
            index = layout.demand if name == "unmet" else getattr(layout, name)
            array = np.full((n, wide, nodes), np.inf)
            array[tuple(index)] = costs[name]
            return np.ascontiguousarray(array[:, :, first : first + periods].transpose(1, 2, 0))

        stocking = (network.kind == 1)[:, None]
        pairs = block.demand_pairs.T
        self.costs = Costs(
            order=dense("order", a, 0),
            serve=dense("serve", a, 1),
            sales=np.where(pairs & stocking, 0.0, np.inf),
            hold=dense("on_hand", v, 1),
            wait=np.where(pairs[:, None, :], dense("unmet", v, 1), 0.0),
        )
        demand = np.where(block.demand_pairs[:, :, None], data.demand, 0.0)[:, :, 1:]
        if network.unmet == "backorder":
            demand[:, :, 0] += np.where(block.demand_pairs, data.backlog, 0.0)
        self.demand = np.ascontiguousarray(demand.transpose(1, 2, 0))
        self.sources, self.supply = _sources(block)
        item = layout.initial_due(data.due.shape[2]).columns[0]
        credit = pipeline_credit(layout, data.due.shape[2])
        due = layout.initial_due(data.due.shape[2]).gather(data.due)
        self.constant = np.bincount(item, credit * due, minlength=n).astype(float)

    def priced(self, prices: FloatArray) -> Costs:
        """Costs with what usage is charged."""
        network, own, periods = self.network, self.costs, self.periods
        order, serve, hold = own.order, own.serve, own.hold
        order, serve, hold = order.copy(), serve.copy(), hold.copy()
        for r, resource in enumerate(network.resources):
            after = self.layout.is_seen_after_demand(resource)
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

    def usage(self, flows: Flows) -> FloatArray:
        """Of each resource by item, shape (B, R, P)."""
        network, periods = self.network, self.periods
        used: FloatArray = np.zeros((len(network.items), len(network.resources), periods + 1))
        for r, resource in enumerate(network.resources):
            first = 1 if self.layout.is_seen_after_demand(resource) else 0
            lanes = network.lanes_of(resource)
            amount: FloatArray = flows.order[lanes].sum(axis=0) + flows.serve[lanes].sum(axis=0)
            if resource.kind == "storage":
                amount = amount + flows.hold[resource.node]
            used[:, r, first : first + periods] = (amount * resource.use).T
        return used

    def plan(self, flows: Flows) -> Plan:
        """As arrays by item."""

        def by_node(array: FloatArray, first: int) -> FloatArray:
            wide, periods, batch = array.shape
            result: FloatArray = np.zeros((batch, wide, periods + 1))
            result[:, :, first : first + periods] = array.transpose(2, 0, 1)
            return result

        return {
            "order": by_node(flows.order, 0),
            "serve": by_node(flows.serve, 1),
            "sales": by_node(flows.sales, 1),
            "unmet": by_node(flows.unmet, 1),
            "on_hand": by_node(flows.hold, 1),
        }

    def cost(self, flows: Flows) -> FloatArray:
        """True cost by item, (B,); where nothing flows an infinite cost is none."""
        costs, total = self.costs, self.constant.copy()
        for cost, flow in (
            (costs.order, flows.order),
            (costs.serve, flows.serve),
            (costs.hold, flows.hold),
            (costs.wait, flows.unmet),
        ):
            total += np.where(flow > 0, cost * np.where(flow > 0, flow, 1.0), 0.0).sum(axis=(0, 1))
        return total


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
