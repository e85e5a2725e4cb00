"""Fixed costs, lots, minimum quantities and set-up times of orders.

    order_limit:    order[i,a,n] <= limit[i,a,n] * used[i,a,n]
    order_minimum:  order[i,a,n] >= minimum_quantity[i,a] * used[i,a,n]
    lot:            order[i,a,n] = lot_size[i,a] * lots[i,a,n],  lots integer
    joint_use:      order[i,a,n] <= limit[i,a,n] * lane_used[a,n]

Source: Pochet & Wolsey, Production Planning by Mixed Integer Programming (2006), chapters 4 and
12; set-up times as in Trigeiro, Thomas & McClain (1989), Management Science 35(3).
"""

from __future__ import annotations

from typing import Any

from optrl_formulations.components import add_rows, members
from optrl_formulations.network import FloatArray
from optrl_formulations.replenishment_layout import Index, ReplenishmentLayout


def add_lot_sizing(block: Any, layout: ReplenishmentLayout, limit: FloatArray) -> None:
    """Add the rows above; the block must hold order, used, lots and lane_used.

    Args:
        block: Pyomo block.
        layout: Components of the problem.
        limit: Upper bound of each member of ``layout.order`` where integers need one.
    """
    network = layout.network
    n, _, a, nodes = layout.shape
    bound = layout.order.scatter(limit, (n, a, nodes))

    item, lane, node = layout.used
    keys = members(layout, layout.used, "ian")
    limits = bound[item, lane, node].tolist()
    rows = [block.order[k] - m * block.used[k] <= 0 for k, m in zip(keys, limits, strict=True)]
    add_rows(block, "order_limit", keys, rows)

    minimum = network.minimum_quantity[item, lane]
    at_least = minimum > 0
    index = Index((item[at_least], lane[at_least], node[at_least]))
    keys = members(layout, index, "ian")
    amounts = minimum[at_least].tolist()
    rows = [block.order[k] - q * block.used[k] >= 0 for k, q in zip(keys, amounts, strict=True)]
    add_rows(block, "order_minimum", keys, rows)

    item, lane, node = layout.lots
    keys = members(layout, layout.lots, "ian")
    sizes = network.lot_size[item, lane].tolist()
    rows = [block.order[k] - q * block.lots[k] == 0 for k, q in zip(keys, sizes, strict=True)]
    add_rows(block, "lot", keys, rows)

    item, lane, node = layout.joint_orders
    keys = members(layout, layout.joint_orders, "ian")
    limits = bound[item, lane, node].tolist()
    rows = [
        block.order[k] - m * block.lane_used[k[1:]] <= 0 for k, m in zip(keys, limits, strict=True)
    ]
    add_rows(block, "joint_use", keys, rows)
