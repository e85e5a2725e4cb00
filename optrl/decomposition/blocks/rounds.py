"""One round of questions: every block is asked at the same prices, answers are added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.blocks.checking import nonsense
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.engine import Answer, Engine
from optrl.decomposition.blocks.errors import OutOfTimeError
from optrl.decomposition.blocks.events import Failed
from optrl.decomposition.blocks.oracle import OracleFailure, Plan, Recipe, part_starts


@dataclass(frozen=True)
class Round:
    """Sums over the blocks of each group.

    Attributes:
        cost: True cost, shape (G,).
        usage: On the rows that exist, shape (G, K).
        bound: Lagrangian value, -inf where an oracle claims no bound.
        oracle_seconds: Processor time of the oracles.
    """

    cost: FloatArray
    usage: FloatArray
    bound: float
    oracle_seconds: float


class Asking:
    """The blocks behind an engine."""

    def __init__(
        self, engine: Engine, recipes: Sequence[Recipe], coupling: Coupling, groups: int
    ) -> None:
        """Hold the parts of all blocks in groups of nearly equal size.

        Args:
            engine: Already begun with the recipes.
            recipes: Of the blocks.
            coupling: Capacities.
            groups: At most as many as parts.
        """
        self._engine, self._recipes, self._coupling = engine, recipes, coupling
        self.groups = groups
        parts = [recipe.parts for recipe in recipes]
        group = np.arange(sum(parts)) * groups // sum(parts)
        # The group of each part of each block.
        self._group: list[IntArray] = np.split(group, np.cumsum(parts)[:-1])
        sizes = [len(recipe.items) for recipe in recipes]
        self._starts = [part_starts(size, count) for size, count in zip(sizes, parts, strict=True)]
        self._first_item = np.concatenate([[0], np.cumsum(sizes)])

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._recipes)

    def answers(
        self,
        prices: FloatArray,
        blocks: Sequence[int],
        deadline: float,
        told: Callable[[int], None],
        *,
        plan: bool = False,
    ) -> list[Answer] | Failed:
        """All answers in the order of the blocks, or the first failure.

        Raises:
            OutOfTimeError: At the deadline (of `time.perf_counter`).
        """
        found: dict[int, Answer] = {}
        left = deadline - time.perf_counter()
        until = None if left == np.inf else time.time() + left
        for answer in self._engine.ask(prices, blocks, plan=plan, until=until):
            if isinstance(answer, OracleFailure):
                if answer.late:
                    raise OutOfTimeError(answer.reason)
                return self._failed(answer.block, prices, answer.reason)
            recipe = self._recipes[answer.block]
            wrong = nonsense(answer.response, prices, len(recipe.items), recipe.parts)
            if wrong is not None:
                return self._failed(answer.block, prices, wrong)
            found[answer.block] = answer
            told(len(found))
            if time.perf_counter() > deadline and len(found) < len(blocks):
                raise OutOfTimeError(f"{len(found)} of {len(blocks)} blocks had answered")
        missing = [block for block in blocks if block not in found]
        if missing:
            return self._failed(missing[0], prices, "the engine gave no answer for it")
        # In the order of blocks, since sums depend on it and engines answer in any.
        return [found[block] for block in blocks]

    def round(
        self, prices: FloatArray, deadline: float, told: Callable[[int], None]
    ) -> Round | Failed:
        """Ask all blocks.

        Raises:
            OutOfTimeError: At the deadline.
        """
        blocks = range(len(self._recipes))
        answers = self.answers(prices, blocks, deadline, told)
        if isinstance(answers, Failed):
            return answers
        cost, usage = np.zeros(self.groups), np.zeros((self.groups, *prices.shape))
        bound, seconds = -self._coupling.value(prices), 0.0
        for answer in answers:
            group, response = self._group[answer.block], answer.response
            np.add.at(cost, group, np.add.reduceat(response.cost, self._starts[answer.block]))
            np.add.at(usage, group, response.usage)
            bound += -np.inf if response.bound is None else float(response.bound.sum())
            seconds += answer.seconds
        return Round(cost, self._coupling.flat(usage), bound, seconds)

    def answers_averaged(self, weights: FloatArray) -> int:
        """How many answers an average asks for; weights as in `average`."""
        return sum(int((weights[:, group] > 0).any(axis=1).sum()) for group in self._group)

    def average(
        self, prices: Sequence[FloatArray], weights: FloatArray, deadline: float
    ) -> tuple[Plan, float, FloatArray] | Failed:
        """Plans asked for again and averaged: plan of all items, its cost, its usage (K,).

        Args:
            prices: Of each round, shape (R, P).
            weights: Of rounds and groups, shape (M, G).
            deadline: Of `time.perf_counter`.

        Raises:
            OutOfTimeError: At the deadline.
        """
        total: dict[str, FloatArray] = {}
        cost, usage = 0.0, np.zeros(self._coupling.shape)
        for asked, weight in zip(prices, weights, strict=True):
            blocks = [k for k, group in enumerate(self._group) if (weight[group] > 0).any()]
            # A few at a time, so that no more plans than these are held beside the average.
            for first in range(0, len(blocks), _AT_ONCE):
                if time.perf_counter() > deadline:
                    raise OutOfTimeError("the plan is not whole")
                chosen = blocks[first : first + _AT_ONCE]
                answers = self.answers(asked, chosen, deadline, lambda k: None, plan=True)
                if isinstance(answers, Failed):
                    return answers
                for answer in answers:
                    block, response = answer.block, answer.response
                    if response.plan is None:
                        return self._failed(block, asked, "it gave no plan when asked for it")
                    by_part = weight[self._group[block]]
                    items = len(response.cost)
                    by_item = np.repeat(by_part, np.diff(self._starts[block], append=items))
                    self._add(total, response.plan, block, by_item)
                    cost += float(by_item @ response.cost)
                    usage += np.tensordot(by_part, response.usage, axes=1)
        return total, cost, self._coupling.flat(usage)

    def _add(self, total: dict[str, FloatArray], plan: Plan, block: int, share: FloatArray) -> None:
        here = slice(self._first_item[block], self._first_item[block + 1])
        for name, part in plan.items():
            if name not in total:
                total[name] = np.zeros((int(self._first_item[-1]), *part.shape[1:]))
            total[name][here] += share.reshape(-1, *(1,) * (part.ndim - 1)) * part

    def _failed(self, block: int, prices: FloatArray, reason: str) -> Failed:
        return Failed(block, tuple(self._recipes[block].items), prices, reason)


_AT_ONCE = 16
