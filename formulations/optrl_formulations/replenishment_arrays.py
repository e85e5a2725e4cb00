"""The replenishment formulation built directly as arrays.

Same components, same order and same coefficients as `replenishment.add_replenishment`
(tested entry by entry), without a Pyomo object per variable: for problems that are built again
and again, or too large for a modelling layer.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix

from optrl_formulations.array_builder import ArrayBuilder
from optrl_formulations.linear_program import DataBlock, LinearProgram
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_data import (
    ReplenishmentData,
    column_costs,
    order_bounds,
    pipeline_credit,
)
from optrl_formulations.replenishment_labels import labels
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout
from optrl_formulations.replenishment_rows import (
    add_balance,
    add_capacity,
    add_demand_balance,
    add_integers,
    add_service,
    add_stock_value,
    add_supply,
)


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
    add_balance(build, data)
    add_demand_balance(build)
    add_capacity(build)
    add_supply(build)
    add_service(build)
    add_integers(build, data)
    for k, value in enumerate(data.stock_values):
        add_stock_value(build, data, value, f"stock_value_{k}")
    return _assemble(build, data)


def _add_columns(build: ArrayBuilder, data: ReplenishmentData) -> None:
    layout = build.layout
    costs = {
        name: sum(kinds.values(), np.zeros(()))
        for name, kinds in column_costs(layout, data.delivery).items()
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
