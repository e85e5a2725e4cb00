"""The replenishment flow, assembled: many items, periods, echelons and scenarios.

    minimize   E sum_t discount^t [ transport + purchase + fixed + holding + shortage + overflow ]
               - discount^T E terminal value
    subject to balance, demand_balance, capacity, supply, service, lot sizing

The block declares no objective: its owner puts ``handles.cost`` into one, alone or with terms of
a larger model. Source of the flow with lead times and shared capacities: Graves & Willems, and de
Kok & Fransoo, in Handbooks in Operations Research and Management Science 11 (2003), chapters 3
and 12; of decisions by tree node: see `scenario_tree`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

from optrl_formulations.balance import add_balance
from optrl_formulations.capacity import add_capacity, add_supply
from optrl_formulations.components import add_data, add_variable, members
from optrl_formulations.fulfilment import add_demand_balance, add_service
from optrl_formulations.lot_sizing import add_lot_sizing
from optrl_formulations.network import FloatArray
from optrl_formulations.order_limits import order_limit
from optrl_formulations.replenishment_data import (
    ReplenishmentData,
    column_costs,
    order_bounds,
    pipeline_credit,
)
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.stock_value import StockValueHandles, add_stock_value


@dataclass(frozen=True)
class ReplenishmentHandles:
    """Components of `add_replenishment`, members in the order of the layout's index arrays.

    Attributes:
        layout: The components and their index arrays.
        order: ``order[item, origin, destination, tree node of decision]``.
        serve: ``serve[item, origin, destination, outcome]``.
        sales: ``sales[item, node, outcome]``, demand at stocking nodes served from own stock.
        unmet: ``unmet[item, node, outcome]``, lost or, under backorders, waiting.
        on_hand: ``on_hand[item, node, outcome]``.
        overflow: ``overflow[resource, outcome]``.
        balance: Flow conservation.
        demand_balance: What happens to demand.
        capacity: Shared capacities; their duals are the resource prices.
        data: The fixed variables that hold state and demand: demand, initial_on_hand,
            initial_due and, under backorders, initial_backlog.
        cost_by_kind: Expected discounted cost by kind.
        cost: Their sum.
        stock_values: Handles of ``data.stock_values``.
    """

    layout: ReplenishmentLayout
    order: pyo.Var
    serve: pyo.Var
    sales: pyo.Var
    unmet: pyo.Var
    on_hand: pyo.Var
    overflow: pyo.Var
    balance: pyo.Constraint
    demand_balance: pyo.Constraint
    capacity: pyo.Constraint
    data: tuple[pyo.Var, ...]
    cost_by_kind: Mapping[str, pyo.Expression]
    cost: pyo.Expression
    stock_values: tuple[StockValueHandles, ...]


def add_replenishment(
    block: Any, layout: ReplenishmentLayout, data: ReplenishmentData
) -> ReplenishmentHandles:
    """Add the replenishment formulation to a Pyomo block or model.

    Args:
        block: Pyomo block that receives the components.
        layout: Network (the graph and its items), scenario tree and first period.
        data: State, demand, frozen orders, stock values.

    Raises:
        ValueError: If data do not fit the layout.
    """
    data.check(layout)
    _add_variables(block, layout, data)
    slots = _add_data(block, layout, data)
    balance = add_balance(block, layout, data)
    demand_balance = add_demand_balance(block, layout)
    capacity = add_capacity(block, layout)
    add_supply(block, layout)
    add_service(block, layout)
    add_lot_sizing(block, layout, order_limit(layout, data))
    values = []
    for k, value in enumerate(data.stock_values):
        child = pyo.Block(concrete=True)
        block.add_component(f"stock_value_{k}", child)
        values.append(add_stock_value(child, block, layout, value, data.due.shape[2]))
    by_kind = _add_costs(block, layout, data, values)
    block.cost = pyo.Expression(expr=pyo.quicksum(by_kind.values()))
    return ReplenishmentHandles(
        layout=layout,
        order=block.order,
        serve=block.serve,
        sales=block.sales,
        unmet=block.unmet,
        on_hand=block.on_hand,
        overflow=block.overflow,
        balance=balance,
        demand_balance=demand_balance,
        capacity=capacity,
        data=slots,
        cost_by_kind=by_kind,
        cost=block.cost,
        stock_values=tuple(values),
    )


_AXES = {
    "order": "ian",
    "serve": "ian",
    "sales": "ivn",
    "unmet": "ivn",
    "on_hand": "ivn",
    "overflow": "rn",
    "used": "ian",
    "lots": "ian",
    "lane_used": "an",
}


def _index(layout: ReplenishmentLayout, name: str) -> Any:
    return layout.demand if name == "unmet" else getattr(layout, name)


def _add_variables(block: Any, layout: ReplenishmentLayout, data: ReplenishmentData) -> None:
    lower, upper = order_bounds(layout, data)
    item, lane, _ = layout.serve
    bounds: dict[str, tuple[FloatArray | None, FloatArray | None]] = {
        "order": (lower, upper),
        "serve": (None, layout.network.maximum_quantity[item, lane]),
    }
    domains = {"used": pyo.Binary, "lane_used": pyo.Binary, "lots": pyo.NonNegativeIntegers}
    for name, axes in _AXES.items():
        low, high = bounds.get(name, (None, None))
        add_variable(
            block,
            name,
            members(layout, _index(layout, name), axes),
            domain=domains.get(name, pyo.NonNegativeReals),
            lower=low,
            upper=high,
        )


def _add_data(
    block: Any, layout: ReplenishmentLayout, data: ReplenishmentData
) -> tuple[pyo.Var, ...]:
    due = layout.initial_due(data.due.shape[2])
    slots = [
        ("demand", "ivn", layout.demand, data.demand),
        ("initial_on_hand", "iv", layout.initial_on_hand, data.on_hand),
        ("initial_due", "ivn", due, data.due),
    ]
    if layout.network.unmet == "backorder":
        slots.append(("initial_backlog", "iv", layout.initial_backlog, data.backlog))
    return tuple(
        add_data(block, name, members(layout, index, axes), index.gather(dense))
        for name, axes, index, dense in slots
    )


def _add_costs(
    block: Any,
    layout: ReplenishmentLayout,
    data: ReplenishmentData,
    values: list[StockValueHandles],
) -> Mapping[str, pyo.Expression]:
    terms: dict[str, list[Any]] = {}
    for name, kinds in column_costs(layout, data.delivery).items():
        keys = members(layout, _index(layout, name), _AXES[name])
        variable = block.component(name)
        for kind, coefficients in kinds.items():
            terms.setdefault(kind, []).extend(
                c * variable[key] for key, c in zip(keys, coefficients.tolist(), strict=True) if c
            )
    periods = data.due.shape[2]
    keys = members(layout, layout.initial_due(periods), "ivn")
    credit = pipeline_credit(layout, periods).tolist()
    terms["terminal"].extend(
        c * block.initial_due[key] for key, c in zip(keys, credit, strict=True) if c
    )
    terms["stock_value"] = [handle.cost for handle in values]
    by_kind = {}
    for kind, parts in terms.items():
        expression = pyo.Expression(expr=pyo.quicksum(parts))
        block.add_component(f"{kind}_cost", expression)
        by_kind[kind] = expression
    return by_kind
