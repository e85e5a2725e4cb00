"""From prices and answers to an allocation that keeps every limit, in whole lots.

An answer to prices keeps no capacity by itself: a column that is indifferent at the price takes
all or nothing, and lots do not fill a capacity exactly. Columns whose answers agree on all sides
of the prices are settled. The few others share what the settled ones leave, by a linear program,
mixed-integer where there are integers (`optrl.decomposition.allocation.program`). With integers,
columns for which one lot more or less would make least difference are decided there too.

What was repaired is told: what was moved on each resource, what that costs against the answer at
the prices, and the gap to the bound of the prices. `displaced` tells which columns gave way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.allocation.prices import PriceSearch, find_prices, solve_relaxed
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.program import solve_program
from optrl.decomposition.allocation.terms import UNGROUPED
from optrl.decomposition.allocation.whole import respond_whole, round_whole
from optrl.solver import NoSolutionError

_OPEN_INTEGERS = 200


@dataclass(frozen=True)
class Repair:
    """What recovery did to the answer at the prices.

    Attributes:
        prices: Of the resources, shape (R,).
        excess: What the answer used above each capacity, shape (R,).
        moved: Use of each resource by all quantities that were changed, shape (R,).
        cost: What the answer gained more than the result does: the price of keeping all limits,
            negative where room was filled.
        decided: Columns that the program decided; 0 where it was not needed or ran out of time.
        gain: Of the result.
        bound: Upper bound on the gain of any allocation.
        passes: Times that all columns were asked for prices.
    """

    prices: FloatArray
    excess: FloatArray
    moved: FloatArray
    cost: float
    decided: int
    gain: float
    bound: float
    passes: int

    @property
    def gap(self) -> float:
        """Gain that may be missed, as a share of the bound."""
        missed = max(self.bound - self.gain, 0.0)
        return missed / max(abs(self.bound), 1e-9) if missed > 0 else 0.0


@dataclass(frozen=True)
class Recovered:
    """Quantities that keep all limits.

    Attributes:
        quantity: Shape (J,).
        repair: What was repaired.
    """

    quantity: FloatArray
    repair: Repair


def allocate(
    allocation: Allocation,
    start: FloatArray | None = None,
    *,
    time_limit: float | None = 10.0,
    relative_gap: float = 1e-4,
) -> Recovered:
    """Prices, then recovery.

    Args:
        allocation: The allocation.
        start: Prices to begin near, shape (R,).
        time_limit: Seconds for the program over open columns.
        relative_gap: At which it may stop where it has integers.
    """
    search = find_prices(allocation, start)
    return recover(allocation, search, time_limit=time_limit, relative_gap=relative_gap)


def allocate_whole(
    allocation: Allocation, *, time_limit: float | None = None, relative_gap: float = 1e-4
) -> Recovered:
    """All columns in one program, without prices before: exact, and for comparison.

    A program with integers has no duals: its prices are those with integers relaxed.
    """
    solved = solve_program(allocation, time_limit=time_limit, relative_gap=relative_gap)
    nothing = np.zeros(len(allocation.capacity))
    prices = solve_relaxed(allocation)[1] if solved.prices is None else solved.prices
    return Recovered(
        solved.quantity,
        Repair(
            prices=prices,
            excess=nothing,
            moved=nothing,
            cost=0.0,
            decided=len(allocation.cost),
            gain=solved.gain,
            bound=max(solved.bound, solved.gain),
            passes=0,
        ),
    )


def recover(
    allocation: Allocation,
    search: PriceSearch,
    *,
    time_limit: float | None = 10.0,
    relative_gap: float = 1e-4,
) -> Recovered:
    """A feasible allocation from what a price search found; arguments as in `allocate`.

    Raises:
        optrl.solver.NoSolutionError: If time was up before there was any feasible allocation.
    """
    asked = round_whole(allocation, search.low[0], search.prices)
    base = round_whole(allocation, search.high, search.prices)
    columns = _open(allocation, search, base)
    prices, bound, passes = search.prices, search.bound, search.passes
    quantity, solved = base, None
    if len(columns):
        feasible = allocation.is_feasible(base)
        try:
            solved = solve_program(
                allocation, columns, base, time_limit=time_limit, relative_gap=relative_gap
            )
        except NoSolutionError:
            # Out of time: the answer that keeps all limits is left as it is, and the gap tells.
            if not feasible:
                raise
    if solved is not None:
        if not feasible or allocation.gain(base) <= solved.gain:
            quantity = solved.quantity
        # The program's duals are prices of the whole where the settled columns stay so.
        duals = solved.prices
        if duals is None:
            duals = _relaxed_prices(allocation, search, time_limit)
        if duals is not None:
            tried = allocation.lagrangian(duals)[1]
            passes += 1
            if tried < bound:
                prices, bound = duals, tried
    moved = allocation.use.T @ np.abs(quantity - asked)
    gain = allocation.gain(quantity)
    return Recovered(
        quantity,
        Repair(
            prices=prices,
            excess=allocation.excess(asked),
            moved=moved,
            cost=allocation.gain(asked) - gain,
            decided=0 if solved is None else len(columns),
            gain=gain,
            bound=max(bound, gain),
            passes=passes,
        ),
    )


def _relaxed_prices(
    allocation: Allocation, search: PriceSearch, time_limit: float | None
) -> FloatArray | None:
    """What a little more of the resources is worth with integers relaxed; None out of time.

    A search ends where few columns are open, and its price is then one end of a bracket.
    """
    columns = np.flatnonzero(search.open)
    if not len(columns):
        return None
    try:
        return solve_relaxed(allocation, columns, search.high, time_limit=time_limit)[1]
    except NoSolutionError:
        return None


def displaced(allocation: Allocation, quantity: FloatArray) -> FloatArray:
    """By how much less each column got than it asks for where resources cost nothing, (J,)."""
    free = respond_whole(allocation, np.zeros(len(allocation.capacity)))
    return np.maximum(free - quantity, 0.0)


def _open(allocation: Allocation, search: PriceSearch, base: FloatArray) -> IntArray:
    """Columns left to the program: so many that the others keep all capacities by themselves."""
    unsettled = search.open
    if not allocation.terms.is_whole:
        return np.flatnonzero(unsettled)
    difference = _difference(allocation, base, search.prices)
    difference[unsettled] = -np.inf
    order = np.argsort(difference, kind="stable")
    count = int(unsettled.sum()) + _OPEN_INTEGERS
    while count < len(order):
        settled = base.copy()
        settled[order[:count]] = 0.0
        if (allocation.load(settled) <= allocation.capacity * (1 + 1e-9)).all():
            break
        count *= 2
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[:count]] = True
    # Columns that share a stock are decided together.
    inside = allocation.group != UNGROUPED
    together = np.zeros(len(allocation.stock), dtype=bool)
    together[allocation.group[chosen & inside]] = True
    chosen[inside] |= together[allocation.group[inside]]
    return np.flatnonzero(chosen)


def _difference(allocation: Allocation, base: FloatArray, prices: FloatArray) -> FloatArray:
    """What one lot more or less would lose at the prices, the smaller of both, shape (J,).

    Without lots it is the smallest quantity, or a typical segment of the curve, more or less.
    """
    price = allocation.cost + allocation.use @ prices
    fixed = allocation.fixed_cost + allocation.setup @ prices
    typical = np.maximum(allocation.smallest, allocation.curves.width.mean(axis=1))
    step = np.where(allocation.lot > 0, allocation.lot, typical)

    def net(quantity: FloatArray) -> FloatArray:
        return allocation.worth(quantity) - price * quantity - fixed * (quantity > 0)

    less = np.maximum(base - step, 0.0)
    more = np.maximum(base + step, allocation.smallest)
    here = net(base)
    return np.minimum(np.where(base > 0, here - net(less), np.inf), here - net(more))
