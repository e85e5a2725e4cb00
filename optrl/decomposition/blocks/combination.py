"""The cheapest average of the columns that holds the capacities: plan, upper bound and prices.

Items' problems are convex where nothing is integer, so the average of plans is a plan, and its
cost is at most the average of theirs. Where rows must hold, excess is bought at a price above any
that pays, as far as the columns show; where some is bought even at one far above that, no average
holds the rows yet, and the combination says that it is not feasible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.restricted import solve_restricted

TOLERANCE = 1e-7
"""Excess over a capacity, relative to it, that rounding explains."""


@dataclass(frozen=True)
class Combination:
    """An average of columns.

    Attributes:
        weights: Of each column, shape (M, G), each group's sum 1.
        cost: Cost of the average with what its overflow costs; only what excess costs that is not
            allowed is left out.
        feasible: Whether it holds every row that must hold.
        prices: Duals of the capacity rows, shape (K,).
        usage: What it uses, shape (K,).
    """

    weights: FloatArray
    cost: float
    feasible: bool
    prices: FloatArray
    usage: FloatArray


def combine(ledger: Ledger, coupling: Coupling) -> Combination:
    """Average the columns of a ledger."""
    allowed = coupling.price_limits
    ceiling = _ceiling(ledger, coupling.limits)
    found = _combine(ledger, coupling, np.where(np.isfinite(allowed), allowed, ceiling))
    if found.feasible:
        return found
    dear = _combine(ledger, coupling, np.where(np.isfinite(allowed), allowed, _FAR * ceiling))
    # Prices far above any other ask for nothing but the least usage, and give no good columns.
    return dear if dear.feasible else found


def _combine(ledger: Ledger, coupling: Coupling, ceiling: FloatArray) -> Combination:
    solved = solve_restricted(ledger, coupling.limits, np.zeros(len(coupling.limits)), ceiling)
    usage = np.einsum("mg,mgk->k", solved.weights, np.stack(ledger.usage))
    cost = float((solved.weights * np.stack(ledger.cost)).sum())
    cost, feasible = true_cost(cost, usage, coupling)
    return Combination(solved.weights, cost, feasible, solved.prices, usage)


def true_cost(cost: float, usage: FloatArray, coupling: Coupling) -> tuple[float, bool]:
    """Cost with what overflow costs, and whether the rows that must hold do.

    Args:
        cost: Of the items' plans.
        usage: What they use, shape (K,).
        coupling: Capacities.
    """
    excess = np.maximum(usage - coupling.limits, 0.0)
    allowed = np.isfinite(coupling.price_limits)
    margin = TOLERANCE * np.maximum(coupling.limits, 1.0)
    paid = float(excess[allowed] @ coupling.price_limits[allowed])
    return cost + paid, bool((excess <= margin)[~allowed].all())


def _ceiling(ledger: Ledger, limits: FloatArray) -> FloatArray:
    """A price of each row above any that pays, (K,): its usage would cost many times its share."""
    total = max(float(np.abs(cost).sum()) for cost in ledger.cost)
    used = np.maximum(limits, np.abs(np.stack(ledger.usage)).sum(axis=1).mean(axis=0))
    typical = float(np.median(used[used > 0])) if (used > 0).any() else 1.0
    used = np.where(used > 0, used, typical)
    return _ABOVE * max(total, 1.0) / (max(len(limits), 1) * used)


_ABOVE, _FAR = 10.0, 30.0
