"""The prices at which what is asked of scarce resources fits them.

The dual function of an allocation is convex and piecewise linear in the prices, and with many
columns nearly smooth. One scarce resource is a matter of a bracket: its load falls with its price.
Of several each gets a price in turn, and a level bundle goes on from there
(`optrl.decomposition.allocation.bundle`). The search ends with answers on both sides: at
prices that are too low, where what is asked exceeds a capacity, and at prices high enough for all
capacities to hold. Columns that answer both alike are settled; recovery decides the others.

A start near the prices, such as those of the last period, saves most of the work.

Source: Luss & Gupta (1975), Operations Research 23(2); Illinois method: Dowell & Jarratt (1971),
BIT 11(2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.allocation.bundle import meet
from optrl.decomposition.allocation.errors import AllocationError
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.program import ProgramSolution, solve_program

# Brackets narrower than this share of a price are points.
_NARROW = 1e-9
_STEPS = 60


@dataclass(frozen=True)
class PriceSearch:
    """What the search found.

    Attributes:
        prices: With the smallest bound, shape (R,).
        bound: Upper bound on the gain of any allocation.
        high: Answer that keeps all capacities, shape (J,).
        low: Answers at the prices and on the other sides of their brackets, each of shape (J,).
        passes: Times that all columns were asked.
    """

    prices: FloatArray
    bound: float
    high: FloatArray
    low: tuple[FloatArray, ...]
    passes: int

    @property
    def open(self) -> BoolArray:
        """Columns that do not answer alike on all sides, shape (J,)."""
        scale = 1e-9 * (1 + np.abs(self.high))
        differs = np.zeros(len(self.high), dtype=bool)
        for answer in self.low:
            differs |= np.abs(answer - self.high) > scale
        return differs


@dataclass
class _Oracle:
    """Asks an allocation and keeps the best bound."""

    allocation: Allocation
    passes: int = 0
    bound: float = np.inf
    last: float = np.inf
    prices: FloatArray = field(default_factory=lambda: np.zeros(0))
    best: FloatArray = field(default_factory=lambda: np.zeros(0))

    def ask(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Answer (J,) and load less capacity (R,)."""
        self.passes += 1
        quantity, bound = self.allocation.lagrangian(prices)
        self.last = bound
        if bound < self.bound:
            self.bound, self.prices, self.best = bound, prices, quantity
        return quantity, self.allocation.use.T @ quantity - self.allocation.capacity


def find_prices(
    allocation: Allocation,
    start: FloatArray | None = None,
    *,
    enough: int = 256,
    improvement: float = 1e-5,
) -> PriceSearch:
    """Search prices.

    Args:
        allocation: The allocation; its integers are relaxed.
        start: Prices to begin near, shape (R,).
        enough: Columns that may stay open.
        improvement: Relative gap of the bundle at which several resources end.
    """
    oracle = _Oracle(allocation)
    resources = len(allocation.capacity)
    prices = np.zeros(resources) if start is None else np.maximum(start, 0.0)
    if prices.shape != (resources,):
        raise AllocationError(f"start has shape {prices.shape}; there are {resources} resources")
    if resources > 1 or not prices.any():
        free, excess = oracle.ask(np.zeros(resources))
        scarce = excess > _slack(allocation)
        if not scarce.any():
            return PriceSearch(np.zeros(resources), oracle.bound, free, (free,), oracle.passes)
    else:
        scarce = np.ones(1, dtype=bool)
    if resources > 1 and len(allocation.cost) <= enough:
        return _small(oracle)
    low: list[FloatArray] = []
    for r in np.flatnonzero(scarce).tolist():
        prices, sides = _bracket(oracle, prices, r, enough)
        low.extend(sides)
    if resources > 1:
        ceiling = np.array([_ceiling(allocation, 0 * prices, r) for r in range(resources)])

        def ask(tried: FloatArray) -> tuple[FloatArray, float]:
            answer, _ = oracle.ask(tried)
            return answer, oracle.last

        met = meet(allocation, ask, [prices], ceiling, tolerance=improvement)
        low = list(met.answers)
        prices = oracle.prices
    high = _lift(oracle, prices)
    return PriceSearch(oracle.prices, oracle.bound, high, (oracle.best, *low), oracle.passes)


def _small(oracle: _Oracle) -> PriceSearch:
    """Prices of several resources from one program, where all columns may stay open anyway."""
    solved, prices = solve_relaxed(oracle.allocation)
    oracle.ask(prices)
    return PriceSearch(oracle.prices, oracle.bound, solved.quantity, (oracle.best,), oracle.passes)


def solve_relaxed(
    allocation: Allocation,
    columns: IntArray | None = None,
    fixed: FloatArray | None = None,
    *,
    time_limit: float | None = None,
) -> tuple[ProgramSolution, FloatArray]:
    """One program without lots, smallest quantities, fixed costs and set-ups.

    Args:
        allocation: The allocation.
        columns: Those to decide; all when None.
        fixed: Quantities of the others, shape (J,).
        time_limit: Seconds.

    Returns:
        Its solution, and the prices of the resources there, shape (R,).
    """
    nothing = np.zeros(len(allocation.cost))
    terms = replace(
        allocation.terms,
        lot=nothing,
        smallest=nothing,
        fixed_cost=nothing,
        setup=np.zeros_like(allocation.setup),
    )
    solved = solve_program(replace(allocation, terms=terms), columns, fixed, time_limit=time_limit)
    assert solved.prices is not None
    return solved, solved.prices


def _slack(allocation: Allocation) -> FloatArray:
    return 1e-9 * (1 + allocation.capacity)


def _bracket(
    oracle: _Oracle, prices: FloatArray, r: int, enough: int
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Prices with that of one resource just high enough, and the answer just below."""
    allocation = oracle.allocation

    def ask(price: float) -> tuple[FloatArray, float]:
        tried = prices.copy()
        tried[r] = price
        quantity, excess = oracle.ask(tried)
        return quantity, float(excess[r] - _slack(allocation)[r])

    low, high = _surround(ask, allocation, prices, r)
    if low is None:
        return _with(prices, r, 0.0), ()
    (a, below, over), (b, above, under) = low, high
    moved = 0
    for step in range(_STEPS):
        differs = np.abs(below - above) > 1e-9 * (1 + above)
        if b - a <= _NARROW * b or differs.sum() <= enough:
            break
        # The weight of a side that stays twice is halved (Illinois); every fourth step bisects.
        middle = (a + b) / 2 if step % 4 == 3 else (a * -under + b * over) / (over - under)
        middle = min(max(middle, a + 0.02 * (b - a)), b - 0.02 * (b - a))
        quantity, excess = ask(middle)
        if excess > 0:
            a, below, over = middle, quantity, excess
            under, moved = (under / 2, 1) if moved > 0 else (under, 1)
        else:
            b, above, under = middle, quantity, excess
            over, moved = (over / 2, -1) if moved < 0 else (over, -1)
    return _with(prices, r, b), (below,)


_Side = tuple[float, FloatArray, float]


def _surround(
    ask: Callable[[float], tuple[FloatArray, float]],
    allocation: Allocation,
    prices: FloatArray,
    r: int,
) -> tuple[_Side | None, _Side]:
    """A price that is too low, None where zero suffices, and one that is high enough."""
    first = float(prices[r])
    ceiling = _ceiling(allocation, prices, r)
    price = first if 0 < first < ceiling else ceiling / 16
    quantity, excess = ask(price)
    factor, here = 1.02 if first > 0 else 2.0, (price, quantity, excess)
    if excess > 0:
        while True:
            # At the ceiling nothing is asked for; a little above, for rounding.
            price = min(price * factor, 1.001 * ceiling)
            quantity, excess = ask(price)
            after = (price, quantity, excess)
            if excess <= 0 or price >= ceiling:
                return here, after
            here, factor = after, factor**2
    while price > 1e-9 * ceiling:
        price = price / factor
        quantity, excess = ask(price)
        after = (price, quantity, excess)
        if excess > 0:
            return after, here
        here, factor = after, factor**2
    quantity, excess = ask(0.0)
    zero = (0.0, quantity, excess)
    return (zero, here) if excess > 0 else (None, zero)


def _ceiling(allocation: Allocation, prices: FloatArray, r: int) -> float:
    """A price of a resource at which nobody asks for it."""
    others = np.where(np.arange(len(prices)) == r, 0.0, prices)
    margin = allocation.curves.slope[:, 0] - allocation.cost - allocation.use @ others
    use = allocation.use[:, r]
    ratio = np.divide(margin, use, out=np.zeros_like(margin), where=use > 0)
    return float(max(ratio.max(initial=0.0), 1e-12))


def _lift(oracle: _Oracle, prices: FloatArray) -> FloatArray:
    """An answer that keeps all capacities: at higher prices, at last at prohibitive ones."""
    allocation, rise = oracle.allocation, 0.0
    tried = prices
    while True:
        quantity, excess = oracle.ask(tried)
        over = excess > _slack(allocation)
        if not over.any():
            return quantity
        if rise > 1e6:
            # Nothing but what uses no scarce resource.
            return quantity * ~(allocation.use[:, over] > 0).any(axis=1)
        rise = max(2 * rise, 1e-6)
        ceiling = np.array([_ceiling(allocation, 0 * prices, r) for r in range(len(prices))])
        tried = np.where(over, np.maximum(tried, 1e-6 * ceiling) * (1 + rise), tried)


def _with(prices: FloatArray, r: int, price: float) -> FloatArray:
    changed = prices.copy()
    changed[r] = price
    return changed
