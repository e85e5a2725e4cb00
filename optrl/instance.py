"""An inventory planning instance: network, state at the start, demand, calendar.

Shapes, everywhere in this order: scenarios S, items N, nodes V or lanes A, then periods or lead
time. Periods are integers counted as in the demand table; planning starts in period `start`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, Network

DemandFamily = Literal[
    "poisson", "negative_binomial", "normal", "empirical", "seasonal_bootstrap", "quantile"
]


@dataclass(frozen=True)
class ArrivalProfile:
    """How orders released on one lane may arrive: late, in parts, or in part.

    Each order draws one row k with probability ``probability[k]``; the share
    ``fraction[k, l]`` of it becomes usable l periods after release. Rows that sum to less than
    1 are yield losses. Lanes without a profile deliver everything after their lead time.

    Attributes:
        lane: Lane index.
        probability: Shape (K,), sums to 1.
        fraction: Shape (K, longest + 1), rows sum to at most 1.
    """

    lane: int
    probability: FloatArray
    fraction: FloatArray


@dataclass(frozen=True)
class DemandTable:
    """Demand by item, demand node and period, in item units.

    Attributes:
        nodes: Node index of each demand node, ascending, shape (D,).
        first_period: Period of the first column.
        quantity: Shape (N, D, H); absent rows of the table are zero demand.
    """

    nodes: IntArray
    first_period: int
    quantity: FloatArray

    @property
    def periods(self) -> int:
        """Number of periods H."""
        return int(self.quantity.shape[2])

    def between(self, first: int, stop: int) -> FloatArray:
        """Demand of periods first, ..., stop - 1, shape (N, D, stop - first).

        Raises:
            IndexError: If the table does not reach that far.
        """
        low, high = first - self.first_period, stop - self.first_period
        if low < 0 or high > self.periods or low > high:
            raise IndexError(
                f"periods {first}..{stop - 1} asked for, the demand table holds "
                f"{self.first_period}..{self.first_period + self.periods - 1}"
            )
        return self.quantity[:, :, low:high]


@dataclass(frozen=True)
class Forecast:
    """A forecast by item, demand node and period, from planning start on.

    Attributes:
        mean: Shape (N, D, T).
        standard_deviation: Shape (N, D, T), or None.
        probabilities: Quantile levels, ascending, shape (Q,), or None.
        quantiles: Shape (N, D, T, Q), or None.
    """

    mean: FloatArray
    standard_deviation: FloatArray | None = None
    probabilities: FloatArray | None = None
    quantiles: FloatArray | None = None


@dataclass(frozen=True)
class Instance:
    """Everything a plan needs to know.

    The state is the one a decision sees: `on_hand` includes what arrives in period `start`, and
    ``due[i, v, k]`` arrives in period start + 1 + k.

    Attributes:
        name: Name shown in reports.
        period: What one period is, for example ``week``.
        periods_per_year: To annualize turns.
        money: Currency shown in reports.
        quantity: Unit of quantity shown in reports.
        network: Graph, items, coefficients, resources.
        start: First period to plan; earlier demand is history, later demand is kept to judge on.
        horizon: Number of periods to plan.
        on_hand: Stock, shape (N, V).
        due: Pipeline by arrival, shape (N, V, K); K may be 0.
        backlog: Demand waiting, shape (N, V).
        demand: Observed demand.
        forecast: Forecast given by the user, or None.
        demand_family: How demand is fitted from history or spread about the forecast.
        season: Periods of a season, 0 for none.
        frozen: Orders already fixed for the first F periods on replenishment lanes, shape
            (N, A, F); F is 0 where nothing is frozen.
        arrivals: Random lead times and yields.
        notes: What is real and what is assumed, by topic.
    """

    name: str
    period: str
    periods_per_year: float
    money: str
    quantity: str
    network: Network
    start: int
    horizon: int
    on_hand: FloatArray
    due: FloatArray
    backlog: FloatArray
    demand: DemandTable
    forecast: Forecast | None = None
    demand_family: DemandFamily = "negative_binomial"
    season: int = 0
    frozen: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    arrivals: tuple[ArrivalProfile, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def history(self) -> FloatArray:
        """Demand before planning starts, shape (N, D, periods of history)."""
        return self.demand.between(self.demand.first_period, self.start)

    @property
    def kept_periods(self) -> int:
        """Number of observed periods from `start` on, to replay."""
        return max(0, self.demand.first_period + self.demand.periods - self.start)
