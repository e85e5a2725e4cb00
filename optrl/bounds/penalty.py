"""Penalties for knowing the future: linear in the state after each decision, zero in expectation.

A policy decides y[t], the state after the decision of period t, from what is known before that
period's demand. A penalty charges

    sum over t of multiplier[t] . (y[t] - reference[t]) + constant

and is **dual feasible** where, for every t, the conditional expectation of multiplier[t] given
what is known before the demand of t is zero, reference[t] is known then, and the constant has
expectation zero. For every policy y[t] is known then too, so that the expected penalty is zero: a
planner who knows the path and is paid the penalty does, in expectation, at least as well as any
policy. The bound holds whatever the multipliers are made of; how close it is depends on it. With
the slopes of the true cost-to-go, taken consistently at kinks, nothing is lost for convex problems.

What is "known before" may be more than a policy sees, such as the level of demand in the past: an
expectation that is zero given more is zero given less.

Source: Brown, Smith & Sun (2010), Information relaxations and duality in stochastic dynamic
programs, Operations Research 58(4), theorem 2.1; Brown & Smith (2014), Information relaxations,
duality, and convex stochastic dynamic programs, Operations Research 62(6) (gradient penalties).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.conditions import Condition
from optrl.values.state_columns import StateColumns


@dataclass(frozen=True)
class KnownPath:
    """A path of demand and what else is known of it.

    Attributes:
        demand: Shape (N, D, T).
        rate: What moved each item's demand in each period, where the model has such, shape
            (N, T); ones elsewhere.
    """

    demand: FloatArray
    rate: FloatArray


@dataclass(frozen=True)
class Multipliers:
    """A penalty on one path.

    Attributes:
        multiplier: Shape (T, K).
        reference: Shape (T, K).
        constant: See the module's docstring.
    """

    multiplier: FloatArray
    reference: FloatArray
    constant: float = 0.0


class Penalty(Protocol):
    """Makes multipliers, path by path."""

    @property
    def columns(self) -> StateColumns:
        """The state that is penalized, at the moment ``after_decision``."""
        ...

    @property
    def assumption(self) -> str:
        """What dual feasibility rests on, in words."""
        ...

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What must hold for it."""
        ...

    def on(self, path: KnownPath, generator: np.random.Generator) -> Multipliers:
        """The penalty on a path.

        Args:
            path: The path.
            generator: For samples of what might have come instead, independent of the path.
        """
        ...


@dataclass(frozen=True)
class NoPenalty:
    """Perfect information without a penalty.

    Attributes:
        columns: Any.
        periods: Periods T.
    """

    columns: StateColumns
    periods: int

    assumption: str = "knowing the future costs nothing"
    conditions: tuple[Condition, ...] = ()

    def on(self, path: KnownPath, generator: np.random.Generator) -> Multipliers:
        """All zero."""
        zeros = np.zeros((self.periods, self.columns.size))
        return Multipliers(zeros, zeros)
