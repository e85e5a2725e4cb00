"""Answers to prices in whole lots, with smallest quantities, fixed costs and set-ups."""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.terms import UNGROUPED

# What lies below a multiple of a lot by less than this share of it counts as the multiple.
_ROUNDING = 1e-6


def respond_whole(allocation: Allocation, prices: FloatArray) -> FloatArray:
    """Good quantities (J,) at prices (R,) that keep all limits but the resources'.

    Each column weighs the multiples of its lot next to its continuous answer, and nothing at all,
    by what they gain at these prices with fixed cost and set-up. Where a group's stock does not
    suffice for what its columns chose, they keep to the lots below.
    """
    return round_whole(allocation, allocation.respond(prices), prices)


def round_down(allocation: Allocation, quantity: FloatArray, prices: FloatArray) -> FloatArray:
    """Lots below quantities (J,), nothing where that is too small or does not pay at the prices.

    Keeps every limit that the quantities keep with set-ups left out; set-ups are paid for by
    leaving out the columns that gain least, until capacities hold.
    """
    columns = allocation.terms.integers
    if not columns.any():
        return quantity
    lot = np.where(allocation.lot > 0, allocation.lot, 1.0)
    below = np.where(allocation.lot > 0, lot * np.floor(quantity / lot + _ROUNDING), quantity)
    price = allocation.cost + allocation.use @ prices
    fixed = allocation.fixed_cost + allocation.setup @ prices
    net = allocation.worth(below) - price * below - fixed
    kept = (below > 0) & (below >= allocation.smallest) & (net > 0)
    below = np.where(columns & ~kept, 0.0, below)
    over = allocation.excess(below) > 1e-9 * (1 + allocation.capacity)
    if not over.any():
        return below
    for r in np.flatnonzero(over).tolist():
        load = allocation.use[:, r] * below + allocation.setup[:, r] * (below > 0)
        order = np.argsort(np.where(load > 0, net / np.maximum(load, 1e-300), np.inf))
        left = load.sum() - np.cumsum(load[order])
        drop = order[: int(np.argmax(left <= allocation.capacity[r])) + 1]
        below[drop] = np.where(load[drop] > 0, 0.0, below[drop])
    return below


def round_whole(allocation: Allocation, quantity: FloatArray, prices: FloatArray) -> FloatArray:
    """Quantities (J,) next to given ones that keep all limits but the resources'; see above."""
    columns = allocation.terms.integers
    if not columns.any():
        return quantity
    price = allocation.cost + allocation.use @ prices
    fixed = allocation.fixed_cost + allocation.setup @ prices
    lot = np.where(allocation.lot > 0, allocation.lot, 1.0)
    discrete = allocation.lot > 0
    largest = np.where(discrete, lot * np.floor(allocation.largest / lot + _ROUNDING), np.inf)
    largest = np.minimum(largest, allocation.largest)
    least = np.where(
        discrete, lot * np.ceil(allocation.smallest / lot - _ROUNDING), allocation.smallest
    )
    below = np.where(discrete, lot * np.floor(quantity / lot + _ROUNDING), quantity)
    above = np.where(discrete & (quantity > below + _ROUNDING * lot), below + lot, below)

    def net(tried: FloatArray) -> FloatArray:
        worth = allocation.worth(tried) - price * tried
        possible = (tried <= largest) & (tried >= least)
        return np.where(tried > 0, np.where(possible, worth - fixed, -np.inf), 0.0)

    chosen = np.zeros_like(quantity)
    best = np.zeros_like(quantity)
    for tried in (np.where(below > 0, np.maximum(below, least), 0.0), np.maximum(above, least)):
        gained = np.where(quantity > 0, net(tried), -np.inf)
        chosen = np.where(gained > best, tried, chosen)
        best = np.maximum(best, gained)
    chosen = np.where(columns, chosen, quantity)
    short = allocation.drawn(chosen) > allocation.stock + 1e-9 * (1 + allocation.stock)
    if not short.any():
        return chosen
    # Lots below a continuous answer, which the stock suffices for, less what is too small.
    kept = np.where(net(below) > 0, below, 0.0)
    inside = columns & (allocation.group != UNGROUPED)
    inside &= short[np.maximum(allocation.group, 0)]
    return np.where(inside, kept, chosen)
