"""Paths of expected demand over absolute periods: level, season and damped trend, or a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.errors import OptrlError


class DemandPeriodError(OptrlError):
    """A period was asked for that the model knows nothing about."""


@runtime_checkable
class Path(Protocol):
    """A quantity by item, demand node and absolute period."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items N and of demand nodes D."""
        ...

    def at(self, first: int, periods: int) -> FloatArray:
        """Values of periods first, ..., first + periods - 1, shape (N, D, periods)."""
        ...


@dataclass(frozen=True)
class SeasonalPath:
    """Level times seasonal factor times damped growth.

    In period t, with h = t - origin + 1 and season length P,

        level[i, j] * season[i, t mod P] * (1 + growth[i] * (damping + ... + damping**h)),

    never below zero; periods before `origin` grow by nothing.

    Source:
        Gardner & McKenzie (1985), Forecasting trends in time series, equation 2 (damped trend);
        Holt-Winters with multiplicative seasons.

    Attributes:
        level: Demand of an average period, item units, shape (N, D).
        season: Factors about 1, shape (N, P).
        growth: Relative growth a period at `origin`, shape (N,), or None.
        damping: Factor in (0, 1) by which growth fades each period.
        origin: First period that grows.
    """

    level: FloatArray
    season: FloatArray
    growth: FloatArray | None = None
    damping: float = 0.9
    origin: int = 0

    def __post_init__(self) -> None:
        if self.level.ndim != 2 or self.season.shape[:1] != self.level.shape[:1]:
            raise ValueError(
                f"level {self.level.shape} must be (N, D) and season {self.season.shape} (N, P)"
            )
        if self.growth is not None and not 0 < self.damping < 1:
            raise ValueError(f"damping is {self.damping}, it must lie strictly between 0 and 1")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items N and of demand nodes D."""
        return self.level.shape[0], self.level.shape[1]

    def factor(self, first: int, periods: int) -> FloatArray:
        """What the level is multiplied by, shape (N, periods)."""
        t = np.arange(first, first + periods)
        factor: FloatArray = self.season[:, t % self.season.shape[1]]
        if self.growth is None:
            return factor
        ahead = np.maximum(t - self.origin + 1, 0)
        grown = self.damping * (1 - self.damping**ahead) / (1 - self.damping)
        return factor * np.maximum(1 + self.growth[:, None] * grown, 0.0)

    def at(self, first: int, periods: int) -> FloatArray:
        """Values of periods first, ..., first + periods - 1, shape (N, D, periods)."""
        return self.level[:, :, None] * self.factor(first, periods)[:, None, :]


@dataclass(frozen=True)
class TablePath:
    """Values given period by period; beyond the table its last season, or last value, repeats.

    Plans look a little beyond the horizon of a forecast; repeating is the plainest continuation.
    Periods before the table are an error.

    Attributes:
        values: Shape (N, D, T) with T at least 1.
        first_period: Absolute period of the first column.
        season: Periods of a season, 0 for none. The last season repeats when the table holds a
            whole one, otherwise the last value does.
    """

    values: FloatArray
    first_period: int
    season: int = 0

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[2] < 1:
            raise ValueError(f"values {self.values.shape} must be (N, D, T) with T at least 1")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items N and of demand nodes D."""
        return self.values.shape[0], self.values.shape[1]

    def at(self, first: int, periods: int) -> FloatArray:
        """Values of periods first, ..., first + periods - 1, shape (N, D, periods)."""
        column = table_columns(first, periods, self.first_period, self.values.shape[2], self.season)
        table: FloatArray = self.values[:, :, column]
        return table


@dataclass(frozen=True)
class ScaledPath:
    """Another path times a factor for each item and node.

    Attributes:
        path: What is scaled.
        factor: Shape (N, D).
    """

    path: Path
    factor: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items N and of demand nodes D."""
        return self.path.shape

    def at(self, first: int, periods: int) -> FloatArray:
        """Values of periods first, ..., first + periods - 1, shape (N, D, periods)."""
        return self.path.at(first, periods) * self.factor[:, :, None]


def table_columns(
    first: int, periods: int, first_period: int, columns: int, season: int
) -> IntArray:
    """Column of a table that stands for each period, shape (periods,).

    Beyond the table its last season repeats, or its last column where `season` is 0 or longer
    than the table.

    Raises:
        DemandPeriodError: If a period lies before the table.
    """
    if first < first_period:
        raise DemandPeriodError(
            f"demand of period {first} was asked for, but the forecast starts at period "
            f"{first_period}: ask for that period or a later one"
        )
    repeat = season if 0 < season <= columns else 1
    t = np.arange(first, first + periods) - first_period
    return np.where(t < columns, t, columns - repeat + (t - columns) % repeat)


def steady(mean: FloatArray) -> SeasonalPath:
    """The path that is `mean`, shape (N, D), in every period."""
    return SeasonalPath(np.asarray(mean, dtype=float), np.ones((len(mean), 1)))
