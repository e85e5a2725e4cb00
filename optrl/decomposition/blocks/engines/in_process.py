"""Engine: every oracle in this process, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.engine import Answer
from optrl.decomposition.blocks.errors import OutOfTimeError
from optrl.decomposition.blocks.oracle import Oracle, OracleFailure, Recipe, Timed


class Holder:
    """The oracles of one process, built at their first question."""

    def __init__(self, recipes: Mapping[int, Recipe]) -> None:
        """Take recipes by number of the block; nothing is built yet."""
        self._recipes = recipes
        self._oracles: dict[int, Oracle] = {}

    def ask(
        self, block: int, prices: FloatArray, plan: bool, until: float | None
    ) -> Answer | OracleFailure:
        """One block's answer; arguments as in `Engine.ask`.

        An oracle may be anyone's code, so whatever it raises is its failure and not this program's.
        """
        began = time.process_time()
        try:
            if block not in self._oracles:
                self._oracles[block] = self._recipes[block].build()
            oracle = self._oracles[block]
            if isinstance(oracle, Timed):
                oracle.allow(None if until is None else max(until - time.time(), 0.0))
            response = oracle.answer(prices, plan=plan)
        except OutOfTimeError as error:
            return OracleFailure(block, str(error), late=True)
        except Exception as error:
            return OracleFailure(block, f"{type(error).__name__}: {error}")
        return Answer(block, response, time.process_time() - began)


class InProcess:
    """See the module's docstring."""

    name: ClassVar[str] = "in_process"

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._holder = Holder({})

    def begin(self, recipes: Sequence[Recipe]) -> None:
        """See `Engine`."""
        self._holder = Holder(dict(enumerate(recipes)))

    def ask(
        self,
        prices: FloatArray,
        blocks: Sequence[int],
        *,
        plan: bool = False,
        until: float | None = None,
    ) -> Iterator[Answer | OracleFailure]:
        """See `Engine`."""
        for block in blocks:
            yield self._holder.ask(block, prices, plan, until)

    def end(self) -> None:
        """See `Engine`."""
        self._holder = Holder({})
