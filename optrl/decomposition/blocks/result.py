"""What a run leaves."""

from __future__ import annotations

from dataclasses import dataclass

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.combination import Combination
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.events import Failed, StopReason
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.oracle import Plan
from optrl.decomposition.blocks.trace import TraceRow


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        coupling: Capacities.
        prices: Of the best lower bound; those of the combination where no oracle claims a bound.
            Shape (R, P), in money of the objective.
        lower: Best lower bound on the cost of every plan that holds the capacities, -inf where an
            oracle claims none.
        upper: Cost of `plan`; where there is no plan, of the average of columns that it would be.
            Infinite where that does not hold the capacities.
        plan: Average of the columns, by item in the order of the blocks; None where it was not
            asked for or an oracle failed while giving it. Feasible for each item where the items'
            problems are convex; for the capacities where `upper` is finite.
        usage: What `plan` uses, shape (R, P).
        ledger: All rounds: prices, costs and usages of columns, bounds.
        combination: Weights of the columns in `plan`.
        trace: Round by round.
        stopped: Why it ended.
        failure: Which oracle failed, where one did.
    """

    coupling: Coupling
    prices: FloatArray
    lower: float
    upper: float
    plan: Plan | None
    usage: FloatArray | None
    ledger: Ledger
    combination: Combination | None
    trace: tuple[TraceRow, ...]
    stopped: StopReason
    failure: Failed | None = None

    @property
    def gap(self) -> float:
        """(upper - lower) / |upper|, infinite without both."""
        return relative_gap(self.lower, self.upper)


def relative_gap(lower: float, upper: float) -> float:
    """(upper - lower) / |upper|, never below 0; infinite where one is missing."""
    if not (abs(lower) < float("inf") and abs(upper) < float("inf")):
        return float("inf")
    return max(upper - lower, 0.0) / max(abs(upper), 1e-12)
