"""How dual decomposition is run, and what it tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optrl.errors import OptrlError


class DualDecompositionError(OptrlError):
    """A setting out of range, or a program without a finite first bound."""


@dataclass(frozen=True)
class DualSettings:
    """How to run.

    Attributes:
        gap: (value - bound) / |value| at which to stop.
        seconds: By `clock`, None for no limit.
        iterations: Rounds of all blocks at most, None for no limit.
        together: Scenarios a block to begin with: more make the bound tighter and each block's
            program harder.
        patience: Rounds whose bounds must rise by a tenth of the gap together; else blocks merge.
        piece_seconds: For one scenario at a given first stage, at most.
    """

    gap: float = 1e-4
    seconds: float | None = None
    iterations: int | None = None
    together: int = 1
    patience: int = 4
    piece_seconds: float = 20.0

    def __post_init__(self) -> None:
        if self.gap < 0 or self.together < 1 or self.patience < 1:
            raise DualDecompositionError(
                f"gap {self.gap}, {self.together} scenarios together, patience {self.patience}: "
                "the gap may not be negative, the others must be at least 1"
            )


@dataclass(frozen=True)
class DualIterated:
    """All blocks were solved at one set of multipliers.

    Attributes:
        iteration: Number of the round.
        blocks: How many there are.
        bound: Best lower bound so far.
        value: Cost of the best solution so far, inf without one.
        seconds: Since the run began.
    """

    iteration: int
    blocks: int
    bound: float
    value: float
    seconds: float


Told = Callable[[DualIterated], None]
