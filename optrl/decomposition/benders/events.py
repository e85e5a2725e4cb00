"""How Benders' method is run, what it tells while it goes on, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.errors import BendersError

Phase = Literal["relaxation", "integer"]
Ended = Literal["optimal", "seconds", "iterations", "no cut", "tolerance"]

EXPLANATION: dict[Ended, str] = {
    "optimal": "the gap asked for is closed",
    "seconds": "the time was up; bound and value hold",
    "iterations": "the iterations were up; bound and value hold",
    "no cut": (
        "no cut of the kinds at hand cuts off the master's solution: the bound is that of the "
        "second stage's convex hull over the first stage's continuous or general integer columns. "
        "It holds, the value is feasible; `dual_decomposition` closes such gaps"
    ),
    "tolerance": "one program holds all scenarios; what is left is the solver's tolerance",
}


@dataclass(frozen=True)
class BendersSettings:
    """How to run.

    Attributes:
        gap: (value - bound) / |value| at which to stop.
        seconds: By `clock`, None for no limit.
        iterations: Masters solved at most, None for no limit.
        centre: Weight of the point of the iteration before when cuts of the relaxation are
            separated, from 0 (at the master's solution) to below 1.
        lagrangian_steps: Steps to improve the multipliers of a Lagrangian cut from the duals of
            the relaxation; 0 for strengthened Benders cuts alone.
        retained: Scenarios whose second stage stays in the master, see `benders.master`: those that
            the cheapest first stage serves worst. Helps most where the relaxed second stage says
            little.
        piece_seconds: For one integer program of one scenario, at most.
    """

    gap: float = 1e-4
    seconds: float | None = None
    iterations: int | None = None
    centre: float = 0.5
    lagrangian_steps: int = 10
    retained: int = 0
    piece_seconds: float = 20.0

    def __post_init__(self) -> None:
        if (
            self.gap < 0
            or not 0 <= self.centre < 1
            or min(self.lagrangian_steps, self.retained) < 0
        ):
            raise BendersError(
                f"gap {self.gap}, centre {self.centre}, {self.lagrangian_steps} Lagrangian steps "
                f"and {self.retained} retained: none may be negative and the centre must be below 1"
            )


@dataclass(frozen=True)
class BendersIterated:
    """A master was solved and cuts were made.

    Attributes:
        iteration: Its number.
        phase: Whether the master's integers were relaxed.
        bound: Best lower bound so far.
        value: Cost of the best solution so far, inf without one.
        cuts: Cuts in the master.
        seconds: Since the run began.
    """

    iteration: int
    phase: Phase
    bound: float
    value: float
    cuts: int
    seconds: float


Told = Callable[[BendersIterated], None]


@dataclass(frozen=True)
class TwoStageResult:
    """What a run found, by Benders' method or by dual decomposition.

    Attributes:
        bound: Lower bound on the optimal cost.
        value: Cost of `x`, inf without a solution.
        x: First stage's columns of the best solution, None without one.
        ended: Why; `explanation` says it in words.
        iterations: Masters solved, or rounds of all blocks.
        cuts: Cuts in the master, pieces of the dual function in dual decomposition.
        trace: Iteration, bound, value and seconds, one row an iteration.
    """

    bound: float
    value: float
    x: FloatArray | None
    ended: Ended
    iterations: int
    cuts: int
    trace: tuple[tuple[int, float, float, float], ...] = field(repr=False)

    @property
    def gap(self) -> float:
        """(value - bound) / |value|; inf without a solution."""
        return gap_of(self.value, self.bound)

    @property
    def explanation(self) -> str:
        """Why the run ended."""
        return EXPLANATION[self.ended]


def gap_of(value: float, bound: float) -> float:
    """(value - bound) / |value|, 0 where they cross by rounding."""
    if not np.isfinite(value):
        return np.inf
    return max(value - bound, 0.0) / max(abs(value), 1e-9)
