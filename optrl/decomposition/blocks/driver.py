"""The loop: prices, responses, master, prices.

    Lagrangian value at the prices of a round          -> lower bound
    cheapest average of all plans answered so far      -> plan and upper bound
    both                                               -> the master's next prices

It ends when the two are close enough, at a limit, or when an oracle fails; always with the best it
has. Everything that comes next depends on the ledger and the master's state alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from optrl.decomposition.blocks.combination import Combination, combine, true_cost
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.errors import BlockError, OutOfTimeError
from optrl.decomposition.blocks.events import (
    Answered,
    Begun,
    Event,
    Failed,
    Iterated,
    Stopping,
    StopReason,
    Told,
)
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.master import Master, Standing
from optrl.decomposition.blocks.oracle import Plan, Recipe
from optrl.decomposition.blocks.result import Result, relative_gap
from optrl.decomposition.blocks.rounds import Asking
from optrl.decomposition.blocks.trace import TraceRow


def run(
    coupling: Coupling,
    recipes: Sequence[Recipe],
    master: Master,
    engine: Engine,
    stopping: Stopping,
    *,
    start: Sequence[FloatArray] = (),
    groups: int = 64,
    combine_every: int = 10,
    with_plan: bool = True,
    folder: Path | None = None,
    identity: str = "",
    resume: bool = False,
    told: Told | None = None,
) -> Result:
    """Decompose.

    Args:
        coupling: Capacities.
        recipes: Of the oracles, one a block; together they hold all items, in order.
        master: Proposes prices; must not have been used.
        engine: Carries questions; begun and ended here.
        stopping: When to stop.
        start: Prices (R, P) of the first rounds; zero prices where there are none.
        groups: Parts of blocks are added up in this many groups at most (`ledger`): more make the
            upper bound better and the restricted program slower.
        combine_every: Rounds from one upper bound to the next, for masters that do not need it.
        with_plan: Whether the plan is made at the end, which asks every block once or twice more;
            else the upper bound is what the columns' recorded costs and usages say.
        folder: Where the checkpoint is kept after every round; None for none.
        identity: Of the recipes' problem, for the checkpoint.
        resume: Whether to go on from the folder's checkpoint.
        told: Called with every event.

    Returns:
        The best so far, also on Ctrl-C and where an oracle failed (`Result.failure`).

    Raises:
        BlockError: If there are no blocks, or start prices do not fit.
        BlockCheckpointError: If there is no checkpoint to go on from, or it is of another run.
    """
    if not recipes:
        raise BlockError("there are no blocks: give at least one recipe")
    for prices in start:
        if prices.shape != coupling.shape or not np.isfinite(prices).all():
            raise BlockError(f"start prices must be finite, of shape {coupling.shape}")
    parts = [recipe.parts for recipe in recipes]
    loop = _Loop(coupling, master, stopping, start, combine_every, with_plan, told)
    loop.folder, loop.identity = folder, f"{identity}/{master!r}/{parts}/{groups}"
    if resume and folder is not None:
        loop.restore(read_checkpoint(folder, loop.identity))
    if len(loop.ledger) == 0:
        loop.ledger = Ledger(min(groups, sum(parts)))
    items = sum(len(recipe.items) for recipe in recipes)
    loop.tell(Begun(items, len(recipes), int(coupling.rows.sum()), len(loop.ledger)))
    engine.begin(recipes)
    try:
        asking = Asking(engine, recipes, coupling, loop.ledger.groups)
        reason = loop.iterate(asking)
        return loop.result(asking, reason)
    finally:
        engine.end()


class _Loop:
    """What a run knows."""

    def __init__(
        self,
        coupling: Coupling,
        master: Master,
        stopping: Stopping,
        start: Sequence[FloatArray],
        combine_every: int,
        with_plan: bool,
        told: Told | None,
    ) -> None:
        self.coupling, self.master, self.stopping = coupling, master, stopping
        self.start = list(start) or [np.zeros(coupling.shape)]
        self.combine_every, self.with_plan, self.told = combine_every, with_plan, told
        self.ledger = Ledger(0)
        self.combination: Combination | None = None
        self.trace: list[TraceRow] = []
        self.failure: Failed | None = None
        self.folder: Path | None = None
        self.identity = ""
        self.began = time.perf_counter()
        self.deadline = self.began + (math.inf if stopping.seconds is None else stopping.seconds)
        self.before = 0.0
        self.last_round = 0.0

    def tell(self, event: Event) -> None:
        if self.told is not None:
            self.told(event)

    def restore(self, checkpoint: Checkpoint) -> None:
        self.ledger, self.trace = checkpoint.ledger, checkpoint.trace
        self.master.restore(checkpoint.master)
        self.before = self.trace[-1].seconds if self.trace else 0.0
        due = 1 if self.master.needs_combination else self.combine_every
        # As it was when the checkpoint was written: the master saw no later one.
        seen = len(self.ledger) // due * due
        if seen:
            self.combination = combine(self.ledger.first(seen), self.coupling)

    def iterate(self, asking: Asking) -> StopReason:
        """Rounds until a reason to stop."""
        try:
            while (reason := self._reached(asking)) is None:
                prices = self._next()
                if prices is None:
                    return "stalled"
                asked = time.perf_counter()
                deadline = self.deadline - self._seconds_of_plan(asking)
                done = asking.round(self.coupling.dense(prices), deadline, self._answered(asking))
                self.last_round = time.perf_counter() - asked
                if isinstance(done, Failed):
                    self.failure = done
                    self.tell(done)
                    return "failed"
                self.ledger.add(prices, done.cost, done.usage, done.bound)
                self._after_round(done.oracle_seconds)
        except OutOfTimeError:
            return "seconds"
        except KeyboardInterrupt:
            return "interrupted"
        return reason

    def _next(self) -> FloatArray | None:
        """Prices of the next round, None where the master has nothing new to ask."""
        made = len(self.ledger)
        if made < len(self.start):
            return self.coupling.flat(self.coupling.clipped(self.start[made]))
        standing = Standing(self.coupling, self.ledger, self.combination)
        prices = self.master.propose(standing)
        asked_before = any(np.array_equal(prices, earlier) for earlier in self.ledger.prices)
        return None if asked_before else prices

    def _after_round(self, oracle_seconds: float) -> None:
        if self.master.needs_combination or len(self.ledger) % self.combine_every == 0:
            self._combine()
        standing = Standing(self.coupling, self.ledger, self.combination)
        row = TraceRow(
            iteration=len(self.ledger),
            value=self.ledger.bound[-1],
            lower=standing.lower,
            upper=standing.upper,
            gap=relative_gap(standing.lower, standing.upper),
            seconds=self.before + time.perf_counter() - self.began,
            oracle_seconds=oracle_seconds,
            step=_step(self.ledger.prices),
            columns=len(self.ledger) * self.ledger.groups,
        )
        self.trace.append(row)
        if self.folder is not None:
            checkpoint = Checkpoint(self.ledger, self.master.state(), self.trace)
            write_checkpoint(self.folder, self.identity, checkpoint)
        self.tell(Iterated(row))

    def _combine(self) -> None:
        self.combination = combine(self.ledger, self.coupling)

    def _answered(self, asking: Asking) -> _Answering:
        return _Answering(self, len(self.ledger) + 1, asking.blocks)

    def _seconds_of_plan(self, asking: Asking) -> float:
        """What is kept back of the time, so that the plan at hand can be asked for again."""
        if not self.with_plan or self.combination is None or not self.combination.feasible:
            return 0.0
        answers = asking.answers_averaged(self.combination.weights)
        return _SPARE * answers * self.last_round / asking.blocks

    def _reached(self, asking: Asking) -> StopReason | None:
        stopping, made = self.stopping, len(self.ledger)
        if made and stopping.gap is not None and self.trace[-1].gap <= stopping.gap:
            return "gap"
        if stopping.iterations is not None and made >= stopping.iterations:
            return "iterations"
        if time.perf_counter() + self._seconds_of_plan(asking) >= self.deadline:
            return "seconds"
        return None

    def result(self, asking: Asking, reason: StopReason) -> Result:
        """The best so far."""
        ledger = self.ledger
        if len(ledger) and (
            self.combination is None or len(self.combination.weights) < len(ledger)
        ):
            self._combine()
        combination = self.combination
        plan: Plan | None = None
        usage: FloatArray | None = None
        upper = math.inf
        if combination is not None:
            usage = combination.usage
            upper = combination.cost if combination.feasible else math.inf
            made = self._plan(asking, combination) if self.with_plan else None
            if made is not None:
                plan, upper, usage = made
        best = ledger.best
        if best >= 0:
            prices = ledger.prices[best]
        elif combination is not None:
            prices = combination.prices
        else:
            prices = np.zeros(len(self.coupling.limits))
        return Result(
            coupling=self.coupling,
            prices=self.coupling.dense(prices),
            lower=ledger.bound[best] if best >= 0 else -math.inf,
            upper=upper,
            plan=plan,
            usage=None if usage is None else self.coupling.dense(usage),
            ledger=ledger,
            combination=combination,
            trace=tuple(self.trace),
            stopped="failed" if self.failure is not None else reason,
            failure=self.failure,
        )

    def _plan(
        self, asking: Asking, combination: Combination
    ) -> tuple[Plan, float, FloatArray] | None:
        """Plan, its true cost with overflow (infinite where capacities do not hold), its usage."""
        prices = [self.coupling.dense(p) for p in self.ledger.prices]
        try:
            made = asking.average(prices, combination.weights, self.deadline)
        except (KeyboardInterrupt, OutOfTimeError):
            return None
        if isinstance(made, Failed):
            self.tell(made)
            if self.failure is None:
                self.failure = made
            return None
        plan, cost, usage = made
        cost, feasible = true_cost(cost, usage, self.coupling)
        return plan, cost if feasible else math.inf, usage


_SPARE = 1.25
"""Times as long as the last round took by answer."""


class _Answering:
    """Tells of answers as they come."""

    def __init__(self, loop: _Loop, iteration: int, blocks: int) -> None:
        self._loop, self._iteration, self._blocks = loop, iteration, blocks

    def __call__(self, answered: int) -> None:
        self._loop.tell(Answered(self._iteration, answered, self._blocks))


def _step(prices: Sequence[FloatArray]) -> float:
    if len(prices) < 2:
        return 0.0
    largest = max(float(np.abs(prices[-1]).max(initial=0.0)), 1e-300)
    return float(np.abs(prices[-1] - prices[-2]).max(initial=0.0)) / largest
