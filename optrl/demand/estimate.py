"""What models share when they are fitted: expected demand from the forecast or from history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.paths import Path, TablePath
from optrl.demand.rates import RateOptions, Rates, estimate_rates
from optrl.errors import OptrlError
from optrl.instance import Instance

FEWEST_PERIODS = 8
"""History below which neither levels nor their spread are estimated."""


class HistoryError(OptrlError):
    """Forecast and history do not hold what a demand model needs."""


@dataclass(frozen=True)
class ExpectedDemand:
    """Expected demand and the history it came from.

    Attributes:
        path: Expected demand from `Instance.start` on.
        rates: Rates fitted to history, or None where the forecast gave the path and history is
            too short to fit.
        history: Demand before `start`, shape (N, D, H).
    """

    path: Path
    rates: Rates | None
    history: FloatArray


def expected_demand(
    instance: Instance, family: str, options: RateOptions | None = None
) -> ExpectedDemand:
    """The forecast's mean where there is a forecast, else the rates that history shows.

    Args:
        instance: The instance; only demand before its `start` is looked at.
        family: Name of the model, for the message.
        options: Memory and pooling of the rates.

    Raises:
        HistoryError: If there is no forecast and too little history.
    """
    forecast = instance.forecast
    if forecast is None:
        require_history(instance, family)
    history = history_before_start(instance)
    rates = None
    if history.shape[2] >= FEWEST_PERIODS:
        rates = estimate_rates(history, instance.demand.first_period, instance.season, options)
    if forecast is not None:
        path: Path = TablePath(forecast.mean, instance.start, instance.season)
    else:
        assert rates is not None  # require_history has seen to it
        path = rates.path
    return ExpectedDemand(path, rates, history)


def history_before_start(instance: Instance) -> FloatArray:
    """Demand observed before planning starts, shape (N, D, H), H = 0 where there is none."""
    table = instance.demand
    columns = min(max(instance.start - table.first_period, 0), table.periods)
    return table.quantity[:, :, :columns]


def require_history(instance: Instance, family: str, remedy: str | None = None) -> None:
    """Refuse histories too short to fit, or that end before planning starts.

    Raises:
        HistoryError: Naming the periods and an item.
    """
    table = instance.demand
    periods = history_before_start(instance).shape[2]
    reached = table.first_period + table.periods
    names = instance.network.items
    items = f"{len(names)} items ({names[0]!r} first)" if names else "no items"
    remedy = remedy or "give a forecast, more history, or a later start"
    if periods < FEWEST_PERIODS:
        raise HistoryError(
            f"demand family {family!r}: history of {items} holds {periods} periods before start "
            f"{instance.start}, at least {FEWEST_PERIODS} are needed: {remedy}"
        )
    if reached < instance.start:
        raise HistoryError(
            f"demand family {family!r}: history of {items} ends in period {reached - 1}, "
            f"planning starts in period {instance.start}: {remedy}"
        )
    short = ~np.isfinite(table.quantity[:, :, :periods]).all(axis=(1, 2))
    if short.any():
        item = names[int(np.flatnonzero(short)[0])]
        raise HistoryError(
            f"demand family {family!r}: history of item {item!r} holds values that are not "
            f"finite: correct its rows in the demand table"
        )
