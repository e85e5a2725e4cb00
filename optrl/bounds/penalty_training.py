"""Weights of a penalty trained to raise the bound, on paths of their own.

The bound is concave in the weights (a mean of minima of functions linear in them), and the solution
of a path's inner problem gives its derivative. Stochastic gradient ascent with momentum (Adam) runs
on paths that the bound is not evaluated on: a penalty chosen on the paths that judge it would be no
bound.

Source: Brown & Smith (2022), Information relaxations and duality in stochastic dynamic programs: a
review and tutorial, Foundations and Trends in Optimization 5(3), section 4 (choosing among
penalties); Kingma & Ba (2015), Adam, ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.errors import BoundError
from optrl.bounds.information_relaxation import Relaxation
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import KnownPath, Multipliers, Penalty

_MOMENTUM, _SQUARES = 0.9, 0.99


class TrainablePenalty(Penalty, Protocol):
    """A penalty linear in weights."""

    @property
    def weights(self) -> FloatArray:
        """Shape (P,)."""
        ...

    def with_weights(self, weights: FloatArray) -> Self:
        """The penalty with other weights."""
        ...

    def features(self, path: KnownPath, generator: np.random.Generator) -> Any:
        """What multiplies the weights on a path."""
        ...

    def multipliers(self, found: Any) -> Multipliers:
        """The penalty of features."""
        ...

    def slope_of(self, found: Any, columns: FloatArray) -> FloatArray:
        """Derivative of an inner problem's value with respect to the weights, shape (P,)."""
        ...


_Penalty = TypeVar("_Penalty", bound=TrainablePenalty)


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        steps: Paths, one a step.
        rate: Length of the first steps in each weight; it falls to a tenth.
        most: Largest sum of weights in `groups` of them; weights are at least 0.
    """

    steps: int = 100
    rate: float = 0.05
    most: float = 0.9


def train_penalty(
    source: PathSource,
    penalty: _Penalty,
    settings: TrainingSettings,
    groups: FloatArray,
    told: Callable[[int, float], None] = lambda _step, _value: None,
) -> _Penalty:
    """Train the weights.

    Args:
        source: Of training paths; its seed must not be that of the evaluation.
        penalty: Where to begin.
        settings: How.
        groups: Group of each weight, whole numbers, shape (P,).
        told: Called with each step's number and value.

    Raises:
        BoundError: If a first step already has no bound.
    """
    weights = penalty.weights.copy()
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    relaxation = Relaxation(source, penalty)
    average, counted = np.zeros_like(weights), 0
    for step in range(settings.steps):
        path = source.path(step)
        found = penalty.features(path, source.generator(step))
        current = penalty.with_weights(weights)
        try:
            solved = relaxation.solve(step, current.multipliers(found))
        except BoundError:
            if not weights.any():
                raise
            # No bound at all: towards weaker penalties.
            weights = weights * 0.9
            continue
        told(step, solved.value)
        gradient = penalty.slope_of(found, solved.columns)
        first += (1 - _MOMENTUM) * (gradient - first)
        second += (1 - _SQUARES) * (gradient**2 - second)
        scale = np.sqrt(second / (1 - _SQUARES ** (step + 1)))
        direction = np.divide(
            first / (1 - _MOMENTUM ** (step + 1)), scale, out=np.zeros_like(first), where=scale > 0
        )
        rate = settings.rate * 0.1 ** (step / settings.steps)
        weights = _feasible(weights + rate * direction, groups, settings.most)
        if 2 * step >= settings.steps:
            average, counted = average + weights, counted + 1
    return penalty.with_weights(average / counted if counted else weights)


def _feasible(weights: FloatArray, groups: FloatArray, most: float) -> FloatArray:
    """Weights of at least 0 whose sums by group are at most `most`."""
    weights = np.maximum(weights, 0.0)
    number = np.asarray(groups, dtype=np.int64)
    sums = np.bincount(number, weights=weights)
    return np.asarray(weights * np.minimum(1.0, most / np.maximum(sums, 1e-12))[number])
