"""Engine: processes of this machine, each of which keeps its share of the oracles.

Block k lives in process k mod workers for good, because an oracle that is warm answers faster.
Processes are spawned, not forked: forking a process whose libraries run threads may hang.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import ClassVar

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.engine import Answer
from optrl.decomposition.blocks.engines.in_process import Holder
from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.oracle import OracleFailure, Recipe


class ProcessPool:
    """See the module's docstring."""

    name: ClassVar[str] = "process_pool"

    def __init__(self, workers: int | None = None) -> None:
        """Hold nothing yet.

        Args:
            workers: Processes; None for one a processor.

        Raises:
            BlockError: If it is below 1.
        """
        if workers is not None and workers < 1:
            raise BlockError(f"{workers} workers: give at least 1")
        self._workers = workers or os.cpu_count() or 1
        self._pools: list[ProcessPoolExecutor] = []

    def begin(self, recipes: Sequence[Recipe]) -> None:
        """See `Engine`."""
        self.end()
        context = multiprocessing.get_context("spawn")
        count = min(self._workers, max(len(recipes), 1))
        for worker in range(count):
            share = {k: recipes[k] for k in range(worker, len(recipes), count)}
            self._pools.append(
                ProcessPoolExecutor(1, context, initializer=_hold, initargs=(share,))
            )

    def ask(
        self,
        prices: FloatArray,
        blocks: Sequence[int],
        *,
        plan: bool = False,
        until: float | None = None,
    ) -> Iterator[Answer | OracleFailure]:
        """See `Engine`."""
        asked: dict[Future[Answer | OracleFailure], int] = {}
        try:
            for block in blocks:
                pool = self._pools[block % len(self._pools)]
                try:
                    asked[pool.submit(_ask, block, prices, plan, until)] = block
                except BrokenProcessPool as error:
                    yield _died(block, error)
            for future in as_completed(asked):
                try:
                    yield future.result()
                except BrokenProcessPool as error:
                    yield _died(asked[future], error)
        finally:
            for future in asked:
                future.cancel()

    def end(self) -> None:
        """See `Engine`."""
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._pools = []


class _Share:
    """What a worker process holds; set once when it starts."""

    holder: Holder | None = None


def _hold(recipes: dict[int, Recipe]) -> None:
    _Share.holder = Holder(recipes)


def _ask(block: int, prices: FloatArray, plan: bool, until: float | None) -> Answer | OracleFailure:
    if _Share.holder is None:
        return OracleFailure(block, "the worker process was not begun")
    return _Share.holder.ask(block, prices, plan, until)


def _died(block: int, error: BrokenProcessPool) -> OracleFailure:
    return OracleFailure(
        block, f"its process died ({error}); it may have been killed for want of memory"
    )
