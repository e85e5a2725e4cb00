"""What one warehouse and its retailers cost at least where unmet demand waits.

If stock could be moved between retailers without time and cost, each period's allocation would look
at that period alone: with E units in the system, those on the way to the warehouse left out, it
would give retailer i the position y_i that makes

    sum_i (h E (y_i - D_i)^+ + b E (D_i - y_i)^+) + H (E - sum_i y_i),    sum_i y_i <= E,

smallest, D_i being its demand over lead time and review period. E is what the warehouse's echelon
was raised to, less the demand of the warehouse's lead time, so that one level S serves all periods
best. No policy of the real system costs less in the long run; the gap is what imbalance costs.

Source: Clark & Scarf (1960), Optimal policies for a multi-echelon inventory problem, Management
Science 6(4), and Eppen & Schrage (1981) (the balance assumption); Federgruen & Zipkin (1984),
Approximations of dynamic, multilocation production and inventory problems, Management Science 30(1)
(as a relaxation, a lower bound); Fox (1966), Discrete optimization via marginal analysis,
Management Science 13(3) (the allocation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.exact.errors import ExactError


@dataclass(frozen=True)
class AllocationBound:
    """A lower bound on long-run average cost.

    Attributes:
        cost: A period.
        level: Echelon level of the warehouse that it rests on.
    """

    cost: float
    level: int


def allocation_bound(
    laws: FloatArray,
    lead_times: IntArray,
    warehouse_lead_time: int,
    *,
    warehouse_holding_cost: float,
    holding_cost: float,
    shortage_cost: float,
) -> AllocationBound:
    """Lower bound for whole units, independent demand, stock on the way free of charge.

    Args:
        laws: Probabilities of demand 0, ..., K of a period at each retailer, shape (C, K + 1).
        lead_times: From the warehouse to each retailer, shape (C,).
        warehouse_lead_time: From the supplier to the warehouse.
        warehouse_holding_cost: Of a unit left at the warehouse at the end of a period.
        holding_cost: Of a unit left at a retailer, at least that at the warehouse.
        shortage_cost: Of a unit owed at the end of a period.

    Raises:
        ExactError: If stock costs more at the warehouse than at retailers.
    """
    if not 0 <= warehouse_holding_cost <= holding_cost:
        raise ExactError(
            f"stock costs {warehouse_holding_cost} at the warehouse and {holding_cost} at "
            "retailers: the bound is for warehouses where it is not dearer"
        )
    ahead = np.ones(1)
    for law in laws:
        ahead = np.convolve(ahead, _total(law, warehouse_lead_time))
    cover = [_total(law, int(lead) + 1) for law, lead in zip(laws, lead_times, strict=True)]
    longest = sum(len(each) for each in cover)
    # A retailer may owe all that is missing, and needs no more than its largest demand.
    position = np.arange(-len(ahead), max(len(each) for each in cover) + 1)
    charges = np.stack([_expected(each, position, holding_cost, shortage_cost) for each in cover])
    charges -= warehouse_holding_cost * position
    # Charges are convex: units go where the next one saves most, as long as it saves anything.
    saving = np.sort(np.diff(charges, axis=1).ravel())
    best = charges[:, 0].sum() + np.append(0.0, np.cumsum(np.minimum(saving, 0.0)))
    lowest = len(charges) * int(position[0])
    levels = np.arange(longest + len(ahead))
    left = levels[:, None] - np.arange(len(ahead))
    at = np.minimum(left - lowest, len(best) - 1)
    costs = (best[at] + warehouse_holding_cost * left) @ ahead
    chosen = int(np.argmin(costs))
    return AllocationBound(float(costs[chosen]), int(levels[chosen]))


def _total(law: FloatArray, periods: int) -> FloatArray:
    """Probabilities of a total over periods."""
    total = np.ones(1)
    for _ in range(periods):
        total = np.convolve(total, law)
    return total


def _expected(
    law: FloatArray, position: IntArray, holding_cost: float, shortage_cost: float
) -> FloatArray:
    """Expected cost of a position, shape (positions,)."""
    left = position[:, None] - np.arange(len(law))
    cost = holding_cost * np.maximum(left, 0) + shortage_cost * np.maximum(-left, 0)
    return np.asarray(cost @ law)
