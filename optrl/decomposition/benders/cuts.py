"""A cut of the master: a row over the state and one scenario's cost, or over the state alone.

optimality:   theta_scenario >= intercept + slope' state
feasibility:               0 >= intercept + slope' state     (scenario is None)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray

_SMALL = 1e-9


@dataclass(frozen=True)
class Cut:
    """See the module's docstring.

    Attributes:
        scenario: Number of the scenario, None for a feasibility cut.
        intercept: At state 0.
        slope: Shape (K,).
    """

    scenario: int | None
    intercept: float
    slope: FloatArray

    def height(self, state: FloatArray) -> float:
        """Right-hand side at a state."""
        return self.intercept + float(self.slope @ state)


def tangent(scenario: int | None, value: float, slope: FloatArray, state: FloatArray) -> Cut:
    """The cut of a value and a slope at a state, lowered by rounding."""
    # HiGHS drops coefficients this small, which must not lift the cut.
    kept = np.where(np.abs(slope) < _SMALL, 0.0, slope)
    return Cut(scenario, value - float(kept @ state) - _SMALL * (1 + abs(value)), kept)


def integer_l_shaped(scenario: int, value: float, lower: float, state: FloatArray) -> Cut:
    """The cut that holds the scenario's cost at `value` at a binary state and nowhere else.

    Args:
        scenario: Number.
        value: A lower bound of its cost at `state`.
        lower: A lower bound of its cost at every binary state, at most `value`.
        state: Of zeros and ones, shape (K,).

    Source: Laporte & Louveaux (1993), Operations Research Letters 13(3), equation (8).
    """
    one: BoolArray = state > 0.5
    slope = np.where(one, value - lower, lower - value)
    return Cut(scenario, lower + (value - lower) * (1.0 - float(one.sum())), slope)
