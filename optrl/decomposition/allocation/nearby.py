"""A feasible allocation from prices that are nearly right, in a few passes and without a program.

All columns answer the prices once, then once more at prices moved against what is over or under,
until one answer keeps all capacities and one does not, or the first is near enough. The average of
both that just fills a capacity keeps every limit, because all but integers are convex; what it
misses is of second order in the error of the prices. Integers are rounded down.

For prices that are forecast, see `optrl.policies.price_forecast`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.whole import round_down

_STEPS = 8
# Room left on a scarce resource, as a share of it, that is not worth another pass.
_NEAR = 0.005


@dataclass(frozen=True)
class Nearby:
    """A feasible allocation.

    Attributes:
        quantity: Shape (J,).
        prices: Of the last answer that keeps all capacities, shape (R,).
        excess: What the answer at the first prices used above each capacity, shape (R,).
        passes: Times that all columns were asked.
    """

    quantity: FloatArray
    prices: FloatArray
    excess: FloatArray
    passes: int


def settle(allocation: Allocation, prices: FloatArray) -> Nearby:
    """Allocate near prices (R,)."""
    capacity = np.maximum(allocation.capacity, 1e-300)
    price = np.maximum(prices, 0.0)
    asked = allocation.respond(price)
    load = allocation.use.T @ asked
    excess = np.maximum(load - allocation.capacity, 0.0)
    inside, outside = None, None
    passes, step = 1, 1.0
    while True:
        relative = load / capacity - 1.0
        over = relative > 1e-12
        if over.any():
            outside = asked
        else:
            inside, held = asked, price
        full = (price <= 0) | (relative > -_NEAR)
        if (inside is not None and outside is not None) or (not over.any() and full.all()):
            break
        if passes >= _STEPS:
            break
        # A price moves with twice the relative error of its load, further each time.
        move = np.clip(2.0 * step * relative, -0.5, 0.5 * step)
        least = np.where(over & (price <= 0), 1e-3 * allocation.typical_prices, price)
        price = np.where(over | (price > 0), least * (1.0 + move) + 1e-3 * step * least * over, 0.0)
        price = np.where(price < 1e-9 * allocation.typical_prices, 0.0, price)
        asked = allocation.respond(price)
        load = allocation.use.T @ asked
        passes, step = passes + 1, 2.0 * step
    if inside is None:
        # Nothing but what uses no scarce resource, which always fits.
        inside, held = asked * ~(allocation.use[:, over] > 0).any(axis=1), price
    quantity = inside if outside is None else _average(allocation, inside, outside)
    return Nearby(round_down(allocation, quantity, held), held, excess, passes)


def _average(allocation: Allocation, inside: FloatArray, outside: FloatArray) -> FloatArray:
    """As much of the answer that is too large as the capacities bear."""
    low, high = allocation.use.T @ inside, allocation.use.T @ outside
    rise = high - low
    room = np.maximum(allocation.capacity - low, 0.0)
    share = np.divide(room, rise, out=np.ones_like(rise), where=rise > room)
    return inside + float(share.min(initial=1.0)) * (outside - inside)
