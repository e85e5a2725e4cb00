"""What carries questions to the oracles and answers back: one process, many, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.oracle import OracleFailure, Recipe, Response


@dataclass(frozen=True)
class Answer:
    """One block's response.

    Attributes:
        block: Number of the block.
        response: What its oracle answered.
        seconds: Processor time the oracle took.
    """

    block: int
    response: Response
    seconds: float


@runtime_checkable
class Engine(Protocol):
    """Maps questions over blocks.

    An engine builds each block's oracle where it will live, once, and sends every question about
    the block there. What it must not do is change an answer: the driver's result is the same on
    every engine.
    """

    name: ClassVar[str]
    """Name on the command line, in lower case with underscores."""

    def begin(self, recipes: Sequence[Recipe]) -> None:
        """Take the blocks; oracles are built now or at their first question."""
        ...

    def ask(
        self,
        prices: FloatArray,
        blocks: Sequence[int],
        *,
        plan: bool = False,
        until: float | None = None,
    ) -> Iterator[Answer | OracleFailure]:
        """Ask some blocks, and give each answer as it comes, in any order.

        A block whose oracle raises, or whose process dies, gives an `OracleFailure`. The iterator
        may be closed before its end, when time is over: what is still out is then dropped.

        Args:
            prices: Shape (R, P).
            blocks: Numbers of the blocks.
            plan: Whether responses shall hold their plans.
            until: When time is up, as `time.time` counts it; oracles that are `Timed` are told.
        """
        ...

    def end(self) -> None:
        """Let oracles and processes go; called once, also after a failure."""
        ...
