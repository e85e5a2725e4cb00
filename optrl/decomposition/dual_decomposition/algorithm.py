"""Dual decomposition of two-stage programs with integers: scenarios joined by prices.

Every block of scenarios decides the first stage for itself; that all decide the same is an
equation that is priced. For any prices that sum to zero the blocks' optima sum to a lower bound:
their *proved bounds* are added, never their solutions, so that a block stopped by time costs
tightness and not validity. First stages that blocks choose, and their average in the master, are
tried in all scenarios: the best is the value.

Where rounds no longer raise the bound the rest of the gap is the price of decomposing so far:
blocks that disagree most merge two by two, with the sum of their prices, which never lowers the
bound and cuts what is left between them. In the end one block holds all scenarios, which ends the
method for every kind of first and second stage; in most cases the gap is closed before.

Source: Caroe & Schultz (1999), Operations Research Letters 24(1-2); Escudero, Garin & Unzueta
(2016), Computers & Operations Research 67 (clusters of scenarios); Ryan, Ahmed, Dey, Rajan,
Musselman & Watson (2020), INFORMS Journal on Computing 32(3) (which to group).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.benders.events import Ended, TwoStageResult, gap_of
from optrl.decomposition.benders.problem import TwoStage
from optrl.decomposition.dual_decomposition.block import Answer
from optrl.decomposition.dual_decomposition.candidates import Candidates, Tried
from optrl.decomposition.dual_decomposition.events import (
    DualDecompositionError,
    DualIterated,
    DualSettings,
    Told,
)
from optrl.decomposition.dual_decomposition.first_multipliers import first_multipliers
from optrl.decomposition.dual_decomposition.stand import Stand
from optrl.decomposition.sddp.graph import PolicyGraph

_RISEN, _NOTHING, _LOOSE = 0.1, 1e-7, 1e-3
_TRY_EVERY = 4


class DualDecomposition:
    """One run's state.

    Attributes:
        problem: The program.
        settings: How to run.
        bound: Best lower bound so far.
    """

    def __init__(
        self,
        graph: PolicyGraph,
        settings: DualSettings | None = None,
        *,
        told: Told | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take the graph apart.

        Args:
            graph: Of two stages, as for `Benders`.
            settings: How to run.
            told: Called after every round.
            clock: Seconds, for limits and the trace.

        Raises:
            NotTwoStageError: If the graph is not one of two stages, or see `TwoStage.of`.
        """
        self.problem = TwoStage.of(graph)
        self.settings = DualSettings() if settings is None else settings
        self.bound = -np.inf
        self._told, self._clock = told, clock
        self._began = clock()
        self._candidates = Candidates(
            self.problem, self.settings.piece_seconds, lambda: self._left() != 0.0
        )
        self._pieces = 0
        self._trace: list[tuple[int, float, float, float]] = []

    @property
    def value(self) -> float:
        """Cost of the best first stage so far, inf without one."""
        best = self._candidates.best
        return np.inf if best is None else best.value

    def run(self) -> TwoStageResult:
        """Run until the gap is closed or a limit is reached.

        Raises:
            InfeasibleError: If no first stage leaves the second one feasible.
            DualDecompositionError: If a block's cost has no lower bound at the first multipliers.
        """
        self._began = self._clock()
        by_scenario, relaxed = first_multipliers(self.problem)
        self._candidates.try_near(relaxed)
        count = len(self.problem.scenarios)
        parts = -(-count // self.settings.together)
        groups = [list(range(count))[k::parts] for k in range(parts)]
        multipliers = np.array([by_scenario[group].sum(axis=0) for group in groups])
        while True:
            stand = Stand(self.problem, groups, multipliers)
            ended = self._rounds(stand)
            if ended is not None or len(groups) == 1:
                break
            groups, multipliers = stand.merged()
        best = self._candidates.best
        return TwoStageResult(
            *(self.bound, self.value, None if best is None else best.x),
            ended or "tolerance",
            *(len(self._trace), self._pieces, tuple(self._trace)),
        )

    def _rounds(self, stand: Stand) -> Ended | None:
        """Rounds of these blocks; the end of the run, or None where the bound rises no more."""
        for tried in self._candidates.tried:
            stand.add(self._as_answers(stand, tried))
        asked, promised = stand.centre, np.nan
        bounds: list[float] = []
        while True:
            answers = self._ask(stand, asked)
            if answers is None:
                return "seconds"
            stand.take(asked, answers, promised)
            if stand.best == -np.inf:
                if any(a.stopped for a in answers):
                    return "seconds"
                raise DualDecompositionError(
                    "a block's cost has no lower bound at the duals of the relaxation, which only "
                    "trouble with numbers explains: scale the program, see optrl.solver.diagnose"
                )
            self.bound = max(self.bound, min(stand.best, self.value))
            bounds.append(stand.best)
            last = len(stand.blocks) == 1
            if last or len(bounds) == 1:
                self._try(stand, [a.x for a in answers if a.x is not None])
            ended = self._tell(stand)
            if ended is not None or last:
                return "seconds" if ended is None and answers[0].stopped else ended
            finite = np.isfinite(self.value)
            room = self.value - stand.best if finite else abs(stand.best) + 1.0
            before = bounds[max(len(bounds) - 1 - self.settings.patience, 0)]
            if len(bounds) > self.settings.patience and stand.best - before < _RISEN * room:
                self._try(stand, [a.x for a in answers if a.x is not None][:2])
                return None
            if not stand.every_block_has_a_point:
                return None
            proposal = stand.bundle.propose(stand.centre, stand.best, room)
            nothing = proposal.promised - stand.best <= _NOTHING * (1 + abs(stand.best))
            if nothing or len(bounds) % _TRY_EVERY == 0:
                self._try_average(stand, answers, proposal.average)
            if nothing:
                return None
            asked, promised = proposal.multipliers, proposal.promised

    def _ask(self, stand: Stand, multipliers: FloatArray) -> list[Answer] | None:
        """All blocks at their multipliers; None where the time is up."""
        answers = []
        best, last = self._candidates.best, len(stand.blocks) == 1
        start = best.x if best is not None and last else None
        wanted = self.settings.gap
        open_gap = gap_of(self.value, self.bound)
        # What the blocks leave open need only be small beside what the prices leave open.
        tolerance = wanted / 2 if last else max(wanted / 4, min(_LOOSE, open_gap / 20))
        for block, at in zip(stand.blocks, multipliers, strict=True):
            left = self._left()
            if left == 0.0:
                return None
            answers.append(block.solve(at, tolerance, left, start))
        return answers

    def _try(self, stand: Stand, found: list[FloatArray]) -> None:
        """The blocks' own first stages where they are few, and what covers all of them."""
        if not found:
            return
        own = found if len(found) <= 5 else []
        for x in own:
            self._take_candidate(stand, self._candidates.try_at(x))
        self._take_candidate(stand, self._candidates.try_near(np.max(found, axis=0)))

    def _try_average(self, stand: Stand, answers: list[Answer], average: FloatArray) -> None:
        """The relaxation's first stage, and the one a block chose that is nearest to it."""
        self._take_candidate(stand, self._candidates.try_near(average))
        found = [a.x for a in answers if a.x is not None]
        if found:
            apart = np.abs(np.array(found) - average) / (1.0 + np.abs(average))
            nearest = found[int(apart.sum(axis=1).argmin())]
            self._take_candidate(stand, self._candidates.try_at(nearest))

    def _take_candidate(self, stand: Stand, tried: Tried | None) -> None:
        if tried is not None:
            stand.add(self._as_answers(stand, tried))

    def _as_answers(self, stand: Stand, tried: Tried) -> list[Answer]:
        """A first stage that all blocks agree on is a point of each."""
        first, weighted = self.problem.first, self.problem.probability * tried.recourse
        own = float(first.cost @ tried.x) + first.offset
        return [
            Answer(
                *(-np.inf, b.share * own + float(weighted[list(b.scenarios)].sum()), tried.x, False)
            )
            for b in stand.blocks
        ]

    def _tell(self, stand: Stand) -> Ended | None:
        """Trace and event of a round; the end of the run where a limit is reached."""
        seconds = self._clock() - self._began
        self._pieces = stand.bundle.size
        number = len(self._trace) + 1
        self._trace.append((number, self.bound, self.value, seconds))
        if self._told is not None:
            self._told(DualIterated(number, len(stand.blocks), self.bound, self.value, seconds))
        if gap_of(self.value, self.bound) <= self.settings.gap:
            return "optimal"
        if self.settings.iterations is not None and number >= self.settings.iterations:
            return "iterations"
        return "seconds" if self._left() == 0.0 else None

    def _left(self) -> float | None:
        if self.settings.seconds is None:
            return None
        return max(self.settings.seconds - (self._clock() - self._began), 0.0)
