"""Value of stock held against uncertainty that a scenario tree leaves out.

    sum_s segment[i,m,s] <= stock measure of (i, m),   0 <= segment[i,m,s] <= width[i,m,s]

Marginal values fall, so that dearer segments fill first. See `StockValue`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optrl_formulations.components import add_rows, add_variable
from optrl_formulations.replenishment_data import StockValue
from optrl_formulations.replenishment_layout import ReplenishmentLayout


@dataclass(frozen=True)
class StockValueHandles:
    """Components of `add_stock_value`.

    Attributes:
        segment: ``segment[item, outcome, s]``.
        held: ``held[item, outcome]``: segments do not exceed the stock measure.
        cost: Minus the expected discounted value.
    """

    segment: pyo.Var
    held: pyo.Constraint
    cost: pyo.Expression


def add_stock_value(
    block: Any, parent: Any, layout: ReplenishmentLayout, value: StockValue, due_periods: int
) -> StockValueHandles:
    """Add a stock value to `block`; `parent` is the replenishment block."""
    network, tree = layout.network, layout.tree
    outcomes = tree.outcomes.tolist()
    segments = range(value.width.shape[2])
    keys = [(item, m, s) for item in network.items for m in outcomes for s in segments]
    segment = add_variable(block, "segment", keys, upper=value.width.ravel())
    expressions = []
    pairs = [(item, m) for item in network.items for m in outcomes]
    for (item, m), i in zip(
        pairs, np.repeat(range(len(network.items)), len(outcomes)), strict=True
    ):
        period = int(tree.depth[m]) - 1
        terms = [segment[item, m, s] for s in segments]
        for place in value.on_hand_nodes[i].nonzero()[0].tolist():
            key: tuple[Any, ...] = (item, network.nodes[place], m)
            if key in parent.on_hand:
                terms.append(-parent.on_hand[key])
        for lane in network.replenishment_lanes.tolist():
            counts = value.transit_nodes[i, network.destination[lane]]
            for back in range(int(network.lead_time[lane]) if counts else 0):
                if period - back >= 0:
                    node = int(tree.ancestors[m, period - back])
                    key = (item, *network.lanes[lane], node)
                    if key in parent.order:
                        terms.append(-parent.order[key])
        for place in value.transit_nodes[i].nonzero()[0].tolist():
            for k in range(period, due_periods):
                key = (item, network.nodes[place], k)
                if key in parent.initial_due:
                    terms.append(-parent.initial_due[key])
        expressions.append(pyo.quicksum(terms) <= 0)
    held = add_rows(block, "held", pairs, expressions)
    weight = layout.node_probability
    worth = value.marginal_value
    block.cost = pyo.Expression(
        expr=pyo.quicksum(
            -float(worth[i, position, s] * weight[m]) * segment[item, m, s]
            for i, item in enumerate(network.items)
            for position, m in enumerate(outcomes)
            for s in segments
        )
    )
    return StockValueHandles(segment, held, block.cost)
