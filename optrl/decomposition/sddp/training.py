"""The loop: iterate, tell, keep, stop.

Checkpoints are written where programs are built anew, so that a run killed at any moment and
continued from its file makes the same cuts as one that was never killed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from optrl.decomposition.sddp.algorithm import Sddp, sweeps_at
from optrl.decomposition.sddp.cut_file import Trace, load_cuts, save_cuts
from optrl.decomposition.sddp.events import Iterated, SddpResult, Stopping, StopReason, Told
from optrl.decomposition.sddp.simulate import Estimate


def train(
    sddp: Sddp,
    stopping: Stopping,
    *,
    file: str | os.PathLike[str] | None = None,
    resume: bool = False,
    told: Told | None = None,
) -> SddpResult:
    """Train until a limit is reached.

    Args:
        sddp: What to train; it holds the cuts afterwards.
        stopping: When to stop.
        file: Where cuts are kept, every `SddpSettings.refresh_every` iterations and at the end.
        resume: Whether to go on from `file` if it is there.
        told: Called after every iteration.

    Returns:
        The bound, and why the run ended; on Ctrl-C, too.

    Raises:
        StageInfeasibleError: If a stage cannot go on; cuts made so far are in `file`.
        CutFileError: If `file` is of another problem.
    """
    began = time.perf_counter()
    trace: Trace = []
    if resume and file is not None and Path(file).exists():
        trace = load_cuts(sddp, file)
    before = trace[-1][2] if trace else 0.0
    upper: Estimate | None = None
    reason: StopReason | None = _reached(sddp, stopping, 0.0, None, trace)
    try:
        while reason is None:
            sddp.iterate()
            upper, fresh = _simulated(sddp, stopping, upper)
            seconds = time.perf_counter() - began
            trace.append((sddp.iteration, sddp.bound, before + seconds))
            if file is not None and sddp.refreshed:
                save_cuts(sddp, file, trace)
            if told is not None:
                estimate = upper if fresh else None
                told(Iterated(sddp.iteration, sddp.bound, seconds, sddp.solves, estimate))
            reason = _reached(sddp, stopping, seconds, upper, trace)
    except KeyboardInterrupt:
        # The file holds the last checkpoint; a half-done iteration must not replace it.
        reason = "interrupted"
    else:
        if file is not None:
            save_cuts(sddp, file, trace)
    return SddpResult(sddp.bound, upper, reason, tuple(trace), sddp.graph.has_integers)


def _simulated(
    sddp: Sddp, stopping: Stopping, last: Estimate | None
) -> tuple[Estimate | None, bool]:
    """The cost of the policy, where the gap needs it now."""
    due = sddp.iteration % stopping.simulate_every == 0 or sddp.iteration == stopping.iterations
    if stopping.gap is None or not due:
        return last, False
    estimate = sddp.simulate(stopping.paths, _SEED, confidence=stopping.confidence)
    # Simulating moves the bases of programs, which must not change the cuts to come.
    sddp.refresh()
    return estimate, True


_SEED = 20_231


def _reached(
    sddp: Sddp, stopping: Stopping, seconds: float, upper: Estimate | None, trace: Trace
) -> StopReason | None:
    if stopping.gap is not None and upper is not None:
        gap = (upper.upper - sddp.bound) / max(abs(sddp.bound), 1e-12)
        if gap <= stopping.gap:
            return "gap"
    if stopping.stall is not None and sddp.iteration >= stopping.stall_after:
        growth = sddp.settings.sweep_growth
        bounds = [bound for number, bound, _ in trace[:-1] if sweeps_at(number, growth)]
        # Judged when a sweep is done; iterations in between raise the bound but little.
        if bounds and sweeps_at(sddp.iteration, growth):
            rise = sddp.bound - bounds[-1]
            if rise <= stopping.stall * abs(sddp.bound):
                return "stalled"
    if stopping.iterations is not None and sddp.iteration >= stopping.iterations:
        return "iterations"
    if stopping.seconds is not None and seconds >= stopping.seconds:
        return "seconds"
    return None
