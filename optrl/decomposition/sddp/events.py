"""What a training run tells while it goes on, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optrl.decomposition.sddp.errors import SddpError
from optrl.decomposition.sddp.simulate import Estimate

StopReason = Literal["gap", "stalled", "seconds", "iterations", "interrupted"]


@dataclass(frozen=True)
class Stopping:
    """When to stop; whichever comes first.

    Attributes:
        iterations: In all, those before a resume included.
        seconds: Of this run.
        stall: Relative rise of the bound from one sweep to the next that is too little to go on;
            needs sweeps (`SddpSettings.sweep_growth`).
        stall_after: Iterations before which no run counts as stalled: over many stages the bound
            may rest until the first states of a good policy are met.
        gap: (upper end of the simulated cost's interval - lower bound) / |lower bound|.
        simulate_every: Iterations from one simulation to the next.
        paths: Of a simulation.
        confidence: Of its interval.
    """

    iterations: int | None = None
    seconds: float | None = None
    gap: float | None = None
    stall: float | None = None
    stall_after: int = 20
    simulate_every: int = 50
    paths: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if {self.iterations, self.seconds, self.gap, self.stall} == {None}:
            raise SddpError(
                "give a limit on iterations, seconds, the gap or the rise between sweeps: training "
                "has no end"
            )


@dataclass(frozen=True)
class Iterated:
    """An iteration is done.

    Attributes:
        iteration: Its number.
        bound: Best lower bound so far.
        seconds: Since this run began.
        solves: Programs solved in this process.
        upper: Simulated cost, where it was simulated after this iteration.
    """

    iteration: int
    bound: float
    seconds: float
    solves: int
    upper: Estimate | None = None


Told = Callable[[Iterated], None]


@dataclass(frozen=True)
class SddpResult:
    """What a run found.

    Attributes:
        bound: Deterministic lower bound on the optimal cost of the graph as modelled.
        upper: Simulated cost of its policy, None where nothing was simulated.
        stopped: Why it ended.
        trace: Iteration, bound and seconds (of all runs before, too), one row an iteration.
        integers_relaxed: Whether stages had integers: the bound holds, the policy is relaxed.
    """

    bound: float
    upper: Estimate | None
    stopped: StopReason
    trace: tuple[tuple[int, float, float], ...]
    integers_relaxed: bool

    @property
    def gap(self) -> float | None:
        """See `Stopping.gap`."""
        if self.upper is None:
            return None
        return (self.upper.upper - self.bound) / max(abs(self.bound), 1e-12)
