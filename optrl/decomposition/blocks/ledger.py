"""All that was answered so far: for every round of questions, prices, costs, usages and bound.

A group is a run of parts of blocks whose answers are added up: a column of the combined program
is the plan of a group at the prices of a round. Few groups keep that program small. Plans are not
stored (`optrl.decomposition.blocks.oracle.Oracle.answer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockCheckpointError


@dataclass
class Ledger:
    """Rounds 0, ..., M - 1 in the order they were asked.

    Attributes:
        groups: Number of groups G.
        prices: By round, on the rows that exist, shape (K,).
        cost: True cost by round and group, shape (G,).
        usage: By round and group, shape (G, K).
        bound: Lagrangian value of the round, a valid lower bound on the whole; -inf where an
            oracle claims none.
    """

    groups: int
    prices: list[FloatArray] = field(default_factory=list)
    cost: list[FloatArray] = field(default_factory=list)
    usage: list[FloatArray] = field(default_factory=list)
    bound: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.bound)

    def add(self, prices: FloatArray, cost: FloatArray, usage: FloatArray, bound: float) -> None:
        """Enter a round."""
        self.prices.append(prices)
        self.cost.append(cost)
        self.usage.append(usage)
        self.bound.append(bound)

    def first(self, rounds: int) -> Ledger:
        """The first rounds alone."""
        return Ledger(
            self.groups,
            self.prices[:rounds],
            self.cost[:rounds],
            self.usage[:rounds],
            self.bound[:rounds],
        )

    def value(self, number: int, limits: FloatArray) -> float:
        """Lagrangian value of a round; where no bound is claimed, that of the round's own plans.

        Args:
            number: Of the round.
            limits: Capacities, shape (K,).
        """
        if self.bound[number] > -np.inf:
            return self.bound[number]
        excess = self.usage[number].sum(axis=0) - limits
        return float(self.cost[number].sum() + self.prices[number] @ excess)

    def centre(self, limits: FloatArray) -> int:
        """The round of the largest value, around which masters search."""
        return int(np.argmax([self.value(m, limits) for m in range(len(self))]))

    @property
    def best(self) -> int:
        """The round of the largest bound, the first where several are equal; -1 without one."""
        if not self.bound or max(self.bound) == -np.inf:
            return -1
        return int(np.argmax(self.bound))

    def arrays(self) -> dict[str, FloatArray]:
        """All numbers, to be kept in a file."""
        return {name: np.stack(getattr(self, name)) for name in ("prices", "cost", "usage")} | {
            "bound": np.array(self.bound)
        }

    @classmethod
    def of(cls, groups: int, arrays: Mapping[str, FloatArray]) -> Ledger:
        """The opposite of `arrays`.

        Raises:
            BlockCheckpointError: If shapes do not fit or a number is not finite.
        """
        try:
            prices, cost, usage, bound = (
                np.asarray(arrays[name], dtype=float)
                for name in ("prices", "cost", "usage", "bound")
            )
        except KeyError as error:
            raise BlockCheckpointError(f"the checkpoint lacks {error}") from error
        rounds, rows = prices.shape
        if (
            cost.shape != (rounds, groups)
            or usage.shape != (rounds, groups, rows)
            or bound.shape != (rounds,)
        ):
            raise BlockCheckpointError("the checkpoint's arrays have other shapes than this run's")
        if not all(np.isfinite(part).all() for part in (prices, cost, usage)):
            raise BlockCheckpointError("the checkpoint holds numbers that are not finite")
        return cls(groups, list(prices), list(cost), list(usage), bound.tolist())
