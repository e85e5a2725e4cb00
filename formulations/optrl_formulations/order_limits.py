"""How large an order can usefully be: the bounds that fixed costs and smallest quantities need."""

from __future__ import annotations

import numpy as np

from optrl_formulations.network import BoolArray, FloatArray, Network, NodeKind
from optrl_formulations.replenishment_data import Delivery, ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout


def order_limit(layout: ReplenishmentLayout, data: ReplenishmentData) -> FloatArray:
    """An upper bound on each order that keeps an optimal solution, shape of `layout.order`.

    A purchase beyond all demand that can still come, with the stock values' widths and what lots
    and smallest quantities below may ask beyond that, buys stock that nothing uses; a transfer
    may also move what is there already. Shared capacities bound both. It presumes that terminal
    values do not exceed the cost of procuring a unit.
    """
    network, tree = layout.network, layout.tree
    item, lane, node = layout.order
    limit = network.maximum_quantity[item, lane].copy()
    if data.largest_order is not None:
        limit = np.minimum(limit, data.largest_order[item, lane])
    else:
        limit = np.minimum(limit, _useful_order(layout, data))
    after, before = tree.depth[node], network.resources
    for resource in before:
        covered = np.zeros(len(network.lanes), dtype=bool)
        covered[network.lanes_of(resource)] = True
        use = resource.use[item]
        room = resource.capacity_at(layout.first_period, tree.periods)[after]
        if resource.takes_setup_time:
            room = np.maximum(room - network.setup_time[item, lane], 0.0)
        binds = covered[lane] & (use > 0)
        limit[binds] = np.minimum(limit[binds], (room / np.where(use > 0, use, 1.0))[binds])
    if data.frozen is not None and data.frozen.size:
        periods = data.frozen.shape[2]
        fixed = tree.depth[node] < periods
        limit[fixed] = np.maximum(
            limit[fixed], data.frozen[item[fixed], lane[fixed], tree.depth[node][fixed]]
        )
    return limit


def _useful_order(layout: ReplenishmentLayout, data: ReplenishmentData) -> FloatArray:
    """Largest order that can be of use, by `layout.order` member; see `order_limit`."""
    network, tree = layout.network, layout.tree
    item, lane, node = layout.order
    remaining = np.zeros((len(network.items), len(tree.parent)))
    total = data.demand.sum(axis=1)
    for child in tree.outcomes[::-1]:
        parent = tree.parent[child]
        remaining[:, parent] = np.maximum(
            remaining[:, parent], total[:, child] + remaining[:, child]
        )
    extra = data.backlog.sum(axis=1)
    for value in data.stock_values:
        extra = extra + value.width.sum(axis=2).max(axis=1)
    rounding = np.zeros((len(network.items), len(network.nodes)))
    step = np.where(network.allowed, network.lot_size + network.minimum_quantity, 0.0)
    for a in network.replenishment_lanes:
        into = network.destination[a]
        rounding[:, into] = np.maximum(rounding[:, into], step[:, a])
    below = _reachable(network)
    np.fill_diagonal(below, False)
    purchase = rounding @ below.T.astype(float)
    present = (data.on_hand.sum(axis=1) + data.due.sum(axis=(1, 2)))[:, None]
    if data.frozen is not None and data.frozen.size:
        present = present + data.frozen.sum(axis=(1, 2))[:, None]
    transfer = rounding.sum(axis=1, keepdims=True) + present
    bought = network.kind[network.origin[lane]] == NodeKind.SUPPLIER
    beyond = np.where(bought, purchase[item, network.destination[lane]], transfer[item, 0])
    wanted = (remaining[item, node] + extra[item] + beyond) / _smallest_yield(layout, data.delivery)
    wanted = np.maximum(wanted, network.minimum_quantity[item, lane])
    lot = network.lot_size[item, lane]
    useful: FloatArray = np.where(
        lot > 0, np.ceil(wanted / np.where(lot > 0, lot, 1)) * lot, wanted
    )
    return useful


def _reachable(network: Network) -> BoolArray:
    """[u, v]: whether replenishment lanes lead from u to v, each node to itself."""
    reach = np.eye(len(network.nodes), dtype=bool)
    lanes = network.replenishment_lanes
    for _ in range(len(network.nodes)):
        longer = reach.copy()
        np.logical_or.at(longer, network.origin[lanes], reach[network.destination[lanes]])
        if (longer == reach).all():
            break
        reach = longer
    return reach


def _smallest_yield(layout: ReplenishmentLayout, delivery: Delivery | None) -> FloatArray:
    """Smallest positive share of an order that gets through to demand, by order member.

    What a lane brings may have to pass other lanes that lose some: every random lane below
    counts once, since no unit needs to pass a lane twice.
    """
    item, lane, _ = layout.order
    result = np.ones(len(item))
    if delivery is None:
        return result
    network = layout.network
    share = delivery.fraction.sum(axis=3)
    lowest = np.where(share > 0, share, 1.0).min(axis=2)
    below = _reachable(network)[network.destination][:, network.origin[delivery.lanes]]
    through = np.exp(np.minimum(np.log(lowest), 0.0) @ below.T.astype(float))
    position = delivery.position(len(network.lanes))[lane]
    random = position >= 0
    result[random] = lowest[item[random], position[random]]
    smallest: FloatArray = result * through[item, lane]
    return smallest
