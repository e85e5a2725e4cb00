"""Lost sales with a lead time over finitely many periods: the optimal expected cost, exactly.

V_0 = 0 and V_n = T V_{n-1}, with the operator T, the states and the limits on orders of
`optrl.exact.lost_sales`; costs are not discounted and nothing is credited for what is left. The
limits lose nothing here either: an order that arrives within the horizon and would exceed them
costs more in the period of its arrival than it saves, and stock left over then is worth no more
than with an order placed a period later, which arrives in time to replace it or finds the horizon
over. `enlarge` checks it by numbers.

Source: Zipkin (2008), Operations Research 56(5), section 3 (the recursion).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.exact.errors import ExactError

# The operator belongs to the floor's own method for average costs; it is one and the same.
from optrl.exact.lost_sales import LostSales, _Backup


@dataclass(frozen=True)
class LostSalesHorizon:
    """Optimal expected costs over a horizon.

    Attributes:
        problem: What was solved.
        periods: Length of the horizon.
        tails: Pipelines of the states in order, shape (number of pipelines, L - 1).
        value: Optimal cost of all periods by pipeline and stock, shape (pipelines, stocks); nan
            where there is no such state.
    """

    problem: LostSales
    periods: int
    tails: IntArray
    value: FloatArray

    def cost(self, state: IntArray) -> float:
        """Optimal expected cost from a state (stock, then pipeline, next arrival first).

        Raises:
            ExactError: If the state has another length, or is beyond those that orders within
                the limits reach.
        """
        state = np.asarray(state)
        if state.shape != (self.problem.lead_time,):
            raise ExactError(
                f"state {state.tolist()} must have {self.problem.lead_time} entries: stock, then "
                "the pipeline, next arrival first"
            )
        row = np.flatnonzero((self.tails == state[1:]).all(axis=1))
        inside = len(row) and 0 <= state[0] < self.value.shape[1]
        value = float(self.value[row[0], state[0]]) if inside else float("nan")
        if np.isnan(value):
            raise ExactError(
                f"state {state.tolist()} is beyond the limits on orders: begin with less, or "
                "solve with a larger `enlarge`"
            )
        return value


def solve_horizon(problem: LostSales, periods: int, *, enlarge: int = 0) -> LostSalesHorizon:
    """Solve by backward induction.

    Args:
        problem: What to solve.
        periods: At least 1.
        enlarge: Added to each limit on orders; the optimum stays.

    Raises:
        ExactError: If there are no periods or too many states.
    """
    if periods < 1:
        raise ExactError(f"a horizon of {periods} periods has no cost; give at least 1")
    backup = _Backup(problem, problem.limits(enlarge))
    value = np.zeros(backup.live.shape)
    for _ in range(periods):
        value = backup(value)
    return LostSalesHorizon(problem, periods, backup.tails, np.where(backup.live, value, np.nan))
