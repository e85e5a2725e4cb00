"""What a run tells while it goes on, when it stops, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.trace import TraceRow

StopReason = Literal["gap", "seconds", "iterations", "stalled", "interrupted", "failed"]


@dataclass(frozen=True)
class Stopping:
    """When to stop; whichever comes first.

    Attributes:
        gap: (upper - lower) / |upper|.
        seconds: Wall time of this run; a round that is under way is dropped. As much as the plan
            needs is kept back from the rounds.
        iterations: Rounds in all, those before a resume included.
    """

    gap: float | None = 0.001
    seconds: float | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        if self.gap is None and self.seconds is None and self.iterations is None:
            raise BlockError("give a limit on gap, seconds or iterations: the run has no end")


@dataclass(frozen=True)
class FirstPrices:
    """The first prices are found.

    Attributes:
        items: Of the sample whose program gave them; 0 for prices of zero.
        seconds: Wall time.
    """

    items: int
    seconds: float


@dataclass(frozen=True)
class Begun:
    """A run begins.

    Attributes:
        items: In all.
        blocks: Their number.
        rows: Rows that couple them.
        resumed: Rounds taken over from a checkpoint.
    """

    items: int
    blocks: int
    rows: int
    resumed: int


@dataclass(frozen=True)
class Answered:
    """A block answered.

    Attributes:
        iteration: The round under way.
        answered: Blocks that answered so far in this round.
        blocks: Of all.
    """

    iteration: int
    answered: int
    blocks: int


@dataclass(frozen=True)
class Iterated:
    """A round is done."""

    row: TraceRow


@dataclass(frozen=True)
class Failed:
    """An oracle failed or answered nonsense; the run ends with what it has.

    Attributes:
        block: Number of the block.
        items: Its items.
        prices: It was asked at, shape (R, P).
        reason: What was wrong.
    """

    block: int
    items: tuple[str, ...]
    prices: FloatArray
    reason: str

    def __str__(self) -> str:
        shown = ", ".join(map(repr, self.items[:5]))
        if len(self.items) > 5:
            shown += f" and {len(self.items) - 5:,} more"
        low, high = float(self.prices.min(initial=0.0)), float(self.prices.max(initial=0.0))
        return (
            f"the oracle of block {self.block} (items {shown}) failed at prices from {low:.6g} to "
            f"{high:.6g}: {self.reason}"
        )


Event = FirstPrices | Begun | Answered | Iterated | Failed
Told = Callable[[Event], None]
