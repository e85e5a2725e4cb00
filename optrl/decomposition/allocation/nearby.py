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
from optrl_formulations.network import BoolArray, FloatArray

from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.whole import round_down

_STEPS = 8
# Room left on a scarce resource, as a share of it, that is not worth another pass.
_NEAR = 0.005
_REFINED = 2


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
    first = _ask(allocation, np.maximum(prices, 0.0))
    inside, outside, passes = _sides(allocation, first)
    refined = 0
    while outside is not None and refined < _REFINED:
        # Where the load would meet the capacity if it were linear between both.
        share = _share(allocation, inside, outside)
        if min(share, 1.0 - share) < _NEAR:
            break
        between = _ask(allocation, inside.price + share * (outside.price - inside.price))
        refined += 1
        if between.over.any():
            outside = between
        else:
            inside = between
    quantity = inside.quantity
    if outside is not None:
        share = _share(allocation, inside, outside)
        quantity = quantity + share * (outside.quantity - quantity)
    return Nearby(
        round_down(allocation, quantity, inside.price),
        inside.price,
        np.maximum(first.load - allocation.capacity, 0.0),
        passes + refined,
    )


@dataclass(frozen=True)
class _Answer:
    """What is asked at prices (R,): quantities (J,), load (R,) and where that is too much."""

    price: FloatArray
    quantity: FloatArray
    load: FloatArray
    over: BoolArray


def _ask(allocation: Allocation, price: FloatArray) -> _Answer:
    quantity = allocation.respond(price)
    load = allocation.use.T @ quantity
    return _Answer(price, quantity, load, load > allocation.capacity * (1 + 1e-12))


def _sides(allocation: Allocation, first: _Answer) -> tuple[_Answer, _Answer | None, int]:
    """An answer that keeps all capacities, one that does not if it is needed, and passes."""
    typical, capacity = allocation.terms.typical_prices, np.maximum(allocation.capacity, 1e-300)
    inside: _Answer | None = None
    outside: _Answer | None = None
    here, passes, step = first, 1, 1.0
    while True:
        relative = here.load / capacity - 1.0
        if here.over.any():
            outside = here
        else:
            inside = here
        if inside is not None and outside is not None:
            return inside, outside, passes
        if inside is not None and ((here.price <= 0) | (relative > -_NEAR)).all():
            return inside, None, passes
        if passes >= _STEPS:
            break
        # A price moves by twice the relative error of its load, further each time.
        move = np.clip(2.0 * step * relative, -0.5, 0.5 * step)
        at_least = np.where(here.over, np.maximum(here.price, 1e-3 * typical), here.price)
        price = at_least * (1.0 + move + 1e-3 * step * here.over)
        # Prices that keep falling are zero.
        price = np.where(price > 1e-4 * typical, price, 0.0)
        here = _ask(allocation, price)
        passes, step = passes + 1, 2.0 * step
    if inside is not None:
        return inside, outside, passes
    # Nothing but what uses no scarce resource, which always fits.
    quantity = here.quantity * ~(allocation.use[:, here.over] > 0).any(axis=1)
    load = allocation.use.T @ quantity
    return _Answer(here.price, quantity, load, np.zeros_like(here.over)), outside, passes


def _share(allocation: Allocation, inside: _Answer, outside: _Answer) -> float:
    """How far from one answer to the other all capacities hold."""
    rise = outside.load - inside.load
    room = np.maximum(allocation.capacity - inside.load, 0.0)
    share = np.divide(room, rise, out=np.ones_like(rise), where=rise > room)
    return float(share.min(initial=1.0))
