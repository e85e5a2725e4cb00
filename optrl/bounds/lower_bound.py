"""A lower bound on the expected cost of every policy, with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from optrl_formulations.network import FloatArray
from scipy import stats

from optrl.bounds.conditions import Condition, require
from optrl.bounds.errors import BoundError


@dataclass(frozen=True)
class LowerBound:
    """A number proved, or a sample whose expectation is a bound.

    Attributes:
        name: Of the bound.
        assumption: What it rests on, in words.
        conditions: What was checked; all hold.
        value: The bound where it is proved without sampling, else None.
        sample: Independent numbers whose expectation is at most the cost of every policy, shape
            (S,). Beside a `value` it may be empty, and else has that expectation: it says what
            the value becomes on the paths that a policy met.
        paths: Names the paths of demand and arrivals that the sample was computed on, one a
            scenario in order, so that costs on the same paths can be paired with it; "" where
            there are none.
        seconds: CPU seconds spent.
    """

    name: str
    assumption: str
    conditions: tuple[Condition, ...]
    value: float | None = None
    sample: FloatArray = field(default_factory=lambda: np.zeros(0))
    paths: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        require(self.name, self.conditions)
        if self.value is None and len(self.sample) == 0:
            raise BoundError(f"the {self.name} bound is neither a number nor a sample")
        numbers = self.sample if self.value is None else np.append(self.sample, self.value)
        if not np.isfinite(numbers).all():
            raise BoundError(f"the {self.name} bound is {numbers[~np.isfinite(numbers)][0]}")

    @property
    def proved(self) -> bool:
        """Whether it holds without sampling."""
        return self.value is not None

    @property
    def mean(self) -> float:
        """The bound, or its estimate."""
        return float(self.sample.mean()) if self.value is None else self.value

    @property
    def standard_error(self) -> float:
        """Of the estimate: 0 where proved, infinite with one scenario."""
        if self.value is not None:
            return 0.0
        return standard_error(self.sample)

    def low(self, error: float) -> float:
        """What the bound is at least, but for a probability of `error`."""
        return self.mean - one_sided(self.standard_error, len(self.sample), error)


def standard_error(sample: FloatArray) -> float:
    """Of the mean; infinite where one number says nothing of it."""
    if len(sample) < 2:
        return float("inf")
    return float(np.std(sample, ddof=1) / np.sqrt(len(sample)))


def one_sided(error_of_mean: float, count: int, error: float) -> float:
    """Distance that a mean is off by to one side with probability `error`, by Student's t."""
    if error_of_mean == 0:
        return 0.0
    if not np.isfinite(error_of_mean):
        return float("inf")
    return float(stats.t.ppf(1 - error, count - 1)) * error_of_mean
