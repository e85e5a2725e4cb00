"""How far a simulation is, for policies that take long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optrl.cli.terminal import write_line
from optrl.simulation.rollout import DecidingPolicy, SeparablePolicy
from optrl.simulation.state import Decision, State

_BATCH = 8
"""Scenarios decided together, so that the first word on the duration comes soon."""

_WORTH_SAYING = 10.0
"""Seconds."""


class Watched:
    """A policy that tells after each decision for how many scenarios it decided."""

    def __init__(self, policy: DecidingPolicy, tell: Callable[[int], None]) -> None:
        """See the class.

        Args:
            policy: Decides.
            tell: Called with the number of scenarios.
        """
        self.name = str(getattr(policy, "name", type(policy).__name__))
        self._policy, self._tell = policy, tell

    def decide(self, state: State, period: int) -> Decision:
        """What the policy decides."""
        decision = self._policy.decide(state, period)
        self._tell(int(state.on_hand.shape[0]))
        return decision


@contextmanager
def simulation_progress(
    console: Console, policy: DecidingPolicy, scenarios: int, periods: int
) -> Iterator[tuple[DecidingPolicy, int | None]]:
    """Show how long is left; on standard error that is no terminal, one line if it takes long.

    Policies that decide each item by itself are quick and left alone.

    Yields:
        The policy to simulate, and the batch of scenarios.
    """
    if isinstance(policy, SeparablePolicy):
        yield policy, None
        return
    total = scenarios * periods
    if not console.is_terminal:
        yield Watched(policy, _estimate(total)), _BATCH
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("decisions", total=total)
        yield Watched(policy, lambda count: bar.advance(task, count)), _BATCH


def _estimate(total: int) -> Callable[[int], None]:
    """Says once, after the second batch, how long all of it will take."""
    began = time.perf_counter()
    counts: list[int] = []
    times: list[float] = []

    def tell(count: int) -> None:
        if len(times) == 2:
            return
        counts.append(count)
        times.append(time.perf_counter())
        if len(times) == 2:  # the first also builds
            left = (times[1] - times[0]) / counts[1] * (total - sum(counts))
            if left > _WORTH_SAYING:
                write_line(
                    f"{total:,} decisions will take about {left + times[1] - began:,.0f} s",
                    error=True,
                )

    return tell
