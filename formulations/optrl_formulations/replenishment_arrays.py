"""The replenishment formulation built directly as arrays.

Same components, same order and same coefficients as `replenishment.add_replenishment`
(tested entry by entry), without a Pyomo object per variable: for problems that are built again
and again, or too large for a modelling layer.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix

from optrl_formulations.array_builder import ArrayBuilder, Entries, shift
from optrl_formulations.linear_program import DataBlock, LinearProgram
from optrl_formulations.network import FloatArray, IntArray
from optrl_formulations.replenishment_data import (
    ReplenishmentData,
    StockValue,
    column_costs,
    order_bounds,
    order_limit,
    pipeline_credit,
    stock_measure,
)
from optrl_formulations.replenishment_labels import labels
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout


def build_replenishment(layout: ReplenishmentLayout, data: ReplenishmentData) -> LinearProgram:
    """Build the replenishment problem as a `LinearProgram`.

    Column blocks: order, serve, sales, unmet (backlog where demand waits), on_hand, overflow,
    used, lots, lane_used, stock_value_k. Row blocks: balance, demand_balance, capacity, supply,
    service, order_limit, order_minimum, lot, joint_use, stock_value_k. Data blocks: demand,
    initial_on_hand, initial_due and, where demand waits, initial_backlog.

    Raises:
        ValueError: If data do not fit the layout.
    """
    data.check(layout)
    build = ArrayBuilder(layout)
    _add_columns(build, data)
    _add_balance(build, data)
    _add_demand_balance(build)
    _add_capacity(build)
    _add_supply(build)
    _add_service(build)
    _add_integers(build, data)
    for k, value in enumerate(data.stock_values):
        _add_stock_value(build, data, value, f"stock_value_{k}")
    return _assemble(build, data)


def _add_columns(build: ArrayBuilder, data: ReplenishmentData) -> None:
    layout = build.layout
    costs = {
        name: sum(kinds.values(), np.zeros(())) for name, kinds in column_costs(layout).items()
    }
    lower, upper = order_bounds(layout, data)
    item, lane, _ = layout.serve
    serve_upper = layout.network.maximum_quantity[item, lane]
    limits: dict[str, FloatArray | float] = {
        "order": upper,
        "serve": serve_upper,
        "used": 1.0,
        "lane_used": 1.0,
    }
    sizes: list[tuple[str, Index]] = [
        ("order", layout.order),
        ("serve", layout.serve),
        ("sales", layout.sales),
        ("unmet", layout.demand),
        ("on_hand", layout.on_hand),
        ("overflow", layout.overflow),
        ("used", layout.used),
        ("lots", layout.lots),
        ("lane_used", layout.lane_used),
    ]
    for name, index in sizes:
        build.add_columns(
            name,
            len(index),
            labels(layout, name, index),
            cost=costs[name],
            lower=lower if name == "order" else 0.0,
            upper=limits.get(name, np.inf),
            integer=name in {"used", "lots", "lane_used"},
        )


def _add_balance(build: ArrayBuilder, data: ReplenishmentData) -> None:
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
    _add_flows(build, row)
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


def _add_flows(build: ArrayBuilder, row: IntArray) -> None:
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, _, a, nodes = layout.shape
    order = shift(layout.order.positions((n, a, nodes)), build.columns["order"].start)
    outcomes = tree.outcomes
    parent = tree.parent[outcomes]
    for lane in network.replenishment_lanes:
        release = tree.depth[outcomes] - 1 - network.lead_time[lane]
        arrives = release >= 0
        source = tree.ancestors[outcomes[arrives], release[arrives]]
        into, out_of = network.destination[lane], network.origin[lane]
        build.entries.add(
            row[:, into, outcomes[arrives]].ravel(), order[:, lane, source].ravel(), -1.0
        )
        build.entries.add(row[:, out_of, outcomes].ravel(), order[:, lane, parent].ravel(), 1.0)
    item, lane, node = layout.serve
    serve = build.columns["serve"].start + np.arange(len(layout.serve))
    build.entries.add(row[item, network.origin[lane], node], serve, 1.0)


def _add_demand_balance(build: ArrayBuilder) -> None:
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


def _add_capacity(build: ArrayBuilder) -> None:
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


def _add_supply(build: ArrayBuilder) -> None:
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


def _add_service(build: ArrayBuilder) -> None:
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


def _add_integers(build: ArrayBuilder, data: ReplenishmentData) -> None:
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


def _add_stock_value(
    build: ArrayBuilder, data: ReplenishmentData, value: StockValue, name: str
) -> None:
    layout = build.layout
    network, tree = layout.network, layout.tree
    n, v, a, nodes = layout.shape
    outcomes = tree.outcomes
    segments = value.width.shape[2]
    if value.width.shape[:2] != (n, len(outcomes)):
        raise ValueError(
            f"{name}: width has shape {value.width.shape}, expected ({n}, "
            f"{len(outcomes)}, segments)"
        )
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
    places, lanes = stock_measure(network, value)
    for place in places:
        build.entries.add(row.ravel(), stock[:, place, outcomes].ravel(), -1.0)
    period = tree.depth[outcomes] - 1
    for lane in lanes:
        for back in range(network.lead_time[lane]):
            on_way = period - back >= 0
            source = tree.ancestors[outcomes[on_way], period[on_way] - back]
            build.entries.add(row[:, on_way].ravel(), order[:, lane, source].ravel(), -1.0)
    item, place, k = layout.initial_due(data.due.shape[2])
    counted = value.transit_nodes[place]
    member = np.arange(len(item))
    for position, t in enumerate(period):
        still = counted & (k + 1 > t)
        build.add_data("initial_due", row[item[still], position], member[still], -1.0)


def _assemble(build: ArrayBuilder, data: ReplenishmentData) -> LinearProgram:
    layout = build.layout
    periods = data.due.shape[2]
    values: dict[str, tuple[Index, FloatArray, FloatArray | float]] = {
        "demand": (layout.demand, data.demand, 0.0),
        "initial_on_hand": (layout.initial_on_hand, data.on_hand, 0.0),
        "initial_due": (layout.initial_due(periods), data.due, pipeline_credit(layout, periods)),
        "initial_backlog": (layout.initial_backlog, data.backlog, 0.0),
    }
    height, width = build.height, build.width
    blocks = {}
    for name, entries in build.data_entries.items():
        index, dense, cost = values[name]
        blocks[name] = DataBlock(
            name=name,
            matrix=csc_matrix(entries.matrix(height, len(index))),
            cost=np.broadcast_to(cost, len(index)).astype(float),
            value=index.gather(dense),
            label=labels(layout, name, index),
        )
    return LinearProgram(
        cost=np.concatenate(build.cost),
        offset=0.0,
        matrix=build.entries.matrix(height, width).tocsr(),
        row_lower=np.concatenate(build.row_lower),
        row_upper=np.concatenate(build.row_upper),
        column_lower=np.concatenate(build.lower),
        column_upper=np.concatenate(build.upper),
        integrality=np.concatenate(build.integer).astype(bool),
        columns=build.columns,
        rows=build.rows,
        data=blocks,
    )
