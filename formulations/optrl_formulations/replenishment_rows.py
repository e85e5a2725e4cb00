"""Rows of the replenishment formulation as array entries, one function for each Pyomo twin."""

from __future__ import annotations

import numpy as np

from optrl_formulations.array_builder import ArrayBuilder, Entries, shift
from optrl_formulations.network import IntArray
from optrl_formulations.order_limits import order_limit
from optrl_formulations.replenishment_data import (
    Delivery,
    ReplenishmentData,
    StockValue,
)
from optrl_formulations.replenishment_labels import labels
from optrl_formulations.replenishment_layout import Index


def add_balance(build: ArrayBuilder, data: ReplenishmentData) -> None:
    """Add the rows of `balance.add_balance`."""
    layout = build.layout
    tree = layout.tree
    n, v, _, nodes = layout.shape
    start = build.add_rows(
        "balance", len(layout.on_hand), labels(layout, "balance", layout.on_hand), 0.0, 0.0
    )
    row = shift(layout.on_hand.positions((n, v, nodes)), start)
    stock = shift(layout.on_hand.positions((n, v, nodes)), build.columns["on_hand"].start)
    item, place, node = layout.on_hand
    here = row[item, place, node]
    build.entries.add(here, stock[item, place, node], 1.0)
    parent = tree.parent[node]
    later = tree.depth[node] > 1
    build.entries.add(here[later], stock[item[later], place[later], parent[later]], -1.0)
    _add_flows(build, row, data.delivery)
    item, place, node = layout.sales
    sales = build.columns["sales"].start + np.arange(len(layout.sales))
    build.entries.add(row[item, place, node], sales, 1.0)

    first = tree.outcomes[tree.depth[tree.outcomes] == 1]
    item, place = layout.initial_on_hand
    member = np.arange(len(layout.initial_on_hand))
    for node_of_root in first:
        build.add_data("initial_on_hand", row[item, place, node_of_root], member, -1.0)
    periods = data.due.shape[2]
    item, place, k = layout.initial_due(periods)
    member = np.arange(len(item))
    for outcome in tree.outcomes:
        arrives = k + 2 == tree.depth[outcome]
        build.add_data(
            "initial_due", row[item[arrives], place[arrives], outcome], member[arrives], -1.0
        )
    build.data_entries.setdefault("initial_on_hand", Entries())
    build.data_entries.setdefault("initial_due", Entries())


def _add_flows(build: ArrayBuilder, row: IntArray, delivery: Delivery | None) -> None:
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, _, a, nodes = layout.shape
    order = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    outcomes = tree.outcomes
    parent = tree.parent[outcomes]
    random = delivery.position(a) if delivery is not None else np.full(a, -1)
    for lane in network.replenishment_lanes:
        into, out_of = network.destination[lane], network.origin[lane]
        delays = [int(network.lead_time[lane])]
        if delivery is not None and random[lane] >= 0:
            delays = list(range(delivery.fraction.shape[3]))
        for delay in delays:
            release = tree.depth[outcomes] - 1 - delay
            arrives = release >= 0
            source = tree.ancestors[outcomes[arrives], release[arrives]]
            share = np.ones((n, len(source)))
            if delivery is not None and random[lane] >= 0:
                share = delivery.fraction[:, random[lane], source, delay]
            build.entries.add(
                row[:, into, outcomes[arrives]].ravel(),
                order[:, lane, source].ravel(),
                -share.ravel(),
            )
        build.entries.add(row[:, out_of, outcomes].ravel(), order[:, lane, parent].ravel(), 1.0)
    item, lane, node = layout.serve
    serve = build.columns["serve"].start + np.arange(len(layout.serve))
    build.entries.add(row[item, network.origin[lane], node], serve, 1.0)


def add_demand_balance(build: ArrayBuilder) -> None:
    """Add the rows of `fulfilment.add_demand_balance`."""
    layout = build.layout
    tree = layout.tree
    n, v, _, nodes = layout.shape
    start = build.add_rows(
        "demand_balance",
        len(layout.demand),
        labels(layout, "demand_balance", layout.demand),
        0.0,
        0.0,
    )
    row = shift(layout.demand.positions((n, v, nodes)), start)
    item, lane, node = layout.serve
    serve = build.columns["serve"].start + np.arange(len(layout.serve))
    build.entries.add(row[item, layout.network.destination[lane], node], serve, 1.0)
    item, place, node = layout.sales
    sales = build.columns["sales"].start + np.arange(len(layout.sales))
    build.entries.add(row[item, place, node], sales, 1.0)
    item, place, node = layout.demand
    unmet = shift(layout.demand.positions((n, v, nodes)), build.columns["unmet"].start)
    here = row[item, place, node]
    build.entries.add(here, unmet[item, place, node], 1.0)
    build.add_data("demand", here, np.arange(len(here)), -1.0)
    if layout.network.unmet == "backorder":
        later = tree.depth[node] > 1
        before = unmet[item[later], place[later], tree.parent[node[later]]]
        build.entries.add(here[later], before, -1.0)
        item, place = layout.initial_backlog
        member = np.arange(len(layout.initial_backlog))
        build.data_entries.setdefault("initial_backlog", Entries())
        for first in tree.outcomes[tree.depth[tree.outcomes] == 1]:
            build.add_data("initial_backlog", row[item, place, first], member, -1.0)


def add_capacity(build: ArrayBuilder) -> None:
    """Add the rows of `capacity.add_capacity`."""
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, v, a, nodes = layout.shape
    start = build.add_rows(
        "capacity",
        len(layout.resource_rows),
        labels(layout, "capacity", layout.resource_rows),
        -np.inf,
        layout.resource_capacity,
    )
    row = shift(layout.resource_rows.positions((len(network.resources), nodes)), start)
    order = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    used = shift(layout.used.positions((n, a, nodes)), build.columns["used"].start)
    serve = shift(layout.serve.positions((n, a, nodes)), build.columns["serve"].start)
    stock = shift(layout.on_hand.positions((n, v, nodes)), build.columns["on_hand"].start)
    for r, resource in enumerate(network.resources):
        after = layout.is_seen_after_demand(resource)
        at = tree.outcomes if after else tree.decisions
        decided = tree.parent[at] if after else at
        rows = np.broadcast_to(row[r, at], (n, len(at))).ravel()
        use = np.broadcast_to(resource.use[:, None], (n, len(at))).ravel()
        if resource.kind == "storage":
            build.entries.add(rows, stock[:, resource.node, at].ravel(), use)
        for lane in network.lanes_of(resource):
            build.entries.add(rows, order[:, lane, decided].ravel(), use)
            build.entries.add(rows, serve[:, lane, at].ravel(), use)
            if resource.takes_setup_time:
                time = np.repeat(network.setup_time[:, lane], len(at))
                build.entries.add(rows, used[:, lane, decided].ravel(), time)
    resource_of, node = layout.overflow
    overflow = build.columns["overflow"].start + np.arange(len(layout.overflow))
    build.entries.add(row[resource_of, node], overflow, -1.0)


def add_supply(build: ArrayBuilder) -> None:
    """Add the rows of `capacity.add_supply`."""
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, v, a, nodes = layout.shape
    item, place, _ = layout.supply_rows
    start = build.add_rows(
        "supply",
        len(layout.supply_rows),
        labels(layout, "supply", layout.supply_rows),
        -np.inf,
        network.supply_capacity[item, place],
    )
    row = shift(layout.supply_rows.positions((n, v, nodes)), start)
    serves = layout.supplier_serves
    item, lane, node = layout.order
    order = build.columns["order"].start + np.arange(len(layout.order))
    alone = ~serves[network.origin[lane]]
    here = row[item[alone], network.origin[lane[alone]], node[alone]]
    build.entries.add(here, order[alone], 1.0)
    # A supplier that also serves customers is limited by outcome: what was released at the
    # parent counts in each of its outcomes.
    positions = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    for lane in network.replenishment_lanes[serves[network.origin[network.replenishment_lanes]]]:
        columns = positions[:, lane, tree.parent[tree.outcomes]]
        build.entries.add(row[:, network.origin[lane], tree.outcomes].ravel(), columns.ravel(), 1.0)
    item, lane, node = layout.serve
    serve = build.columns["serve"].start + np.arange(len(layout.serve))
    build.entries.add(row[item, network.origin[lane], node], serve, 1.0)


def add_service(build: ArrayBuilder) -> None:
    """Add the rows of `fulfilment.add_service`."""
    layout = build.layout
    n, v, _, _ = layout.shape
    start = build.add_rows(
        "service",
        len(layout.service_rows),
        labels(layout, "service", layout.service_rows),
        -np.inf,
        0.0,
    )
    row = shift(layout.service_rows.positions((n, v)), start)
    item, place, node = layout.demand
    weight = layout.tree.probability[node]
    here = row[item, place]
    unmet = build.columns["unmet"].start + np.arange(len(here))
    build.entries.add(here, unmet, weight)
    allowance = (1 - layout.network.service_level[item, place]) * weight
    build.data_entries["demand"].add(here, np.arange(len(here)), -allowance)


def add_integers(build: ArrayBuilder, data: ReplenishmentData) -> None:
    """Add the rows of `lot_sizing.add_lot_sizing`."""
    layout = build.layout
    network = layout.network
    n, _, a, nodes = layout.shape
    order = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    needs_limit = len(layout.used) or len(layout.lane_used)
    limit = order_limit(layout, data) if needs_limit else np.zeros(len(layout.order))
    bound = layout.order.scatter(limit, (n, a, nodes))

    item, lane, node = layout.used
    used = build.columns["used"].start + np.arange(len(layout.used))
    names = labels(layout, "used", layout.used)
    row = build.add_rows("order_limit", len(used), names, -np.inf, 0.0) + np.arange(len(used))
    build.entries.add(row, order[item, lane, node], 1.0)
    build.entries.add(row, used, -bound[item, lane, node])
    minimum = network.minimum_quantity[item, lane]
    at_least = np.flatnonzero(minimum > 0)
    index = Index((item[at_least], lane[at_least], node[at_least]))
    row = build.add_rows(
        "order_minimum", len(at_least), labels(layout, "order_minimum", index), 0.0, np.inf
    ) + np.arange(len(at_least))
    build.entries.add(row, order[tuple(index)], 1.0)
    build.entries.add(row, used[at_least], -minimum[at_least])

    item, lane, node = layout.lots
    lots = build.columns["lots"].start + np.arange(len(layout.lots))
    row = build.add_rows(
        "lot", len(lots), labels(layout, "lots", layout.lots), 0.0, 0.0
    ) + np.arange(len(lots))
    build.entries.add(row, order[item, lane, node], 1.0)
    build.entries.add(row, lots, -network.lot_size[item, lane])

    item, lane, node = layout.joint_orders
    lane_used = shift(layout.lane_used.positions((a, nodes)), build.columns["lane_used"].start)
    index = layout.joint_orders
    row = build.add_rows(
        "joint_use", len(index), labels(layout, "joint_use", index), -np.inf, 0.0
    ) + np.arange(len(index))
    build.entries.add(row, order[item, lane, node], 1.0)
    build.entries.add(row, lane_used[lane, node], -bound[item, lane, node])


def add_stock_value(
    build: ArrayBuilder, data: ReplenishmentData, value: StockValue, name: str
) -> None:
    """Add the columns and rows of `stock_value.add_stock_value`."""
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, v, a, nodes = layout.shape
    outcomes = tree.outcomes
    segments = value.width.shape[2]
    weight = layout.node_probability[outcomes][None, :, None]
    pair = np.unravel_index(np.arange(n * len(outcomes) * segments), value.width.shape)
    segment = build.add_columns(
        name,
        value.width.size,
        lambda k: f"{network.items[pair[0][k]]}, node {outcomes[pair[1][k]]}, segment {pair[2][k]}",
        cost=-(value.marginal_value * weight).ravel(),
        upper=value.width.ravel(),
    )
    start = build.add_rows(
        name,
        n * len(outcomes),
        lambda k: f"{network.items[k // len(outcomes)]}, node {outcomes[k % len(outcomes)]}",
        -np.inf,
        0.0,
    )
    row = start + np.arange(n * len(outcomes)).reshape(n, len(outcomes))
    columns = segment + np.arange(value.width.size).reshape(value.width.shape)
    build.entries.add(np.repeat(row.ravel(), segments), columns.ravel(), 1.0)
    stock = shift(layout.on_hand.positions((n, v, nodes)), build.columns["on_hand"].start)
    order = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    for here in np.flatnonzero(value.on_hand_nodes.any(axis=0)).tolist():
        counts = value.on_hand_nodes[:, here]
        build.entries.add(row[counts].ravel(), stock[counts][:, here, outcomes].ravel(), -1.0)
    period = tree.depth[outcomes] - 1
    for lane in network.replenishment_lanes.tolist():
        counts = value.transit_nodes[:, network.destination[lane]]
        for back in range(network.lead_time[lane] if counts.any() else 0):
            on_way = period - back >= 0
            source = tree.ancestors[outcomes[on_way], period[on_way] - back]
            build.entries.add(
                row[counts][:, on_way].ravel(), order[counts][:, lane, source].ravel(), -1.0
            )
    item, place, k = layout.initial_due(data.due.shape[2])
    counted = value.transit_nodes[item, place]
    member = np.arange(len(item))
    for position, t in enumerate(period.tolist()):
        still = counted & (k + 1 > t)
        build.add_data("initial_due", row[item[still], position], member[still], -1.0)
