"""The bound of a planner who knows each path and is charged a penalty for it.

For every path the inner problem (`optrl.bounds.inner_problem`) is solved; the mean of its values is
a lower bound on the expected cost of every policy for every dual feasible penalty
(`optrl.bounds.penalty`). With no penalty it is perfect information. Only the perfect-information
program and linear terms are solved, so that its relaxations (integers, service levels) keep the
bound valid as they do there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from optrl.bounds.conditions import require
from optrl.bounds.inner_problem import InnerProblem, InnerSolution
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.paths import PathSource
from optrl.bounds.penalty import Multipliers, Penalty
from optrl.evaluation.perfect_information import relaxations

NAME = "information relaxation"


class Relaxation:
    """Inner problems under a penalty on the paths of a source.

    Args:
        source: Of paths.
        penalty: What knowing them costs.
        time_limit: Seconds for each path.
        merge: Whether to merge customers into relaxed zones (`optrl.bounds.zones`).
    """

    def __init__(
        self,
        source: PathSource,
        penalty: Penalty,
        *,
        time_limit: float | None = None,
        merge: bool = False,
    ) -> None:
        """See the class."""
        instance = source.instance
        self.source, self.penalty, self._time_limit = source, penalty, time_limit
        weight = source.model.mean(instance.start, instance.horizon).mean(axis=2)
        self._inner = InnerProblem(
            *(instance, penalty.columns, weight, instance.horizon), seed=source.seed, merge=merge
        )

    def solve(self, number: int, made: Multipliers | None = None) -> InnerSolution:
        """Solve a path; its value has, over paths, an expectation below every policy's cost.

        Args:
            number: Of the path.
            made: The penalty on it, where that is known already.
        """
        path = self.source.path(number)
        if made is None:
            made = self.penalty.on(path, self.source.generator(number))
        solved = self._inner.solve(
            path.demand, made.multiplier, made.reference, number, time_limit=self._time_limit
        )
        return InnerSolution(solved.value - made.constant, solved.columns, solved.seconds)


def information_relaxation(
    source: PathSource,
    penalty: Penalty,
    scenarios: int,
    *,
    first: int = 0,
    time_limit: float | None = None,
    merge: bool = False,
    told: Callable[[int, float], None] = lambda _number, _value: None,
) -> LowerBound:
    """Bound the cost of every policy on the demand of a source.

    Args:
        source: Of paths.
        penalty: What knowing them costs; it must not have been chosen by looking at these paths
            (`optrl.bounds.penalty_training` trains on others).
        scenarios: Number of paths.
        first: Number of the first.
        time_limit: Seconds for each path.
        merge: Whether to merge customers into relaxed zones (`optrl.bounds.zones`).
        told: Called with the number of a path and its value.

    Raises:
        BoundRefusedError: If a condition of the penalty does not hold.
    """
    require(NAME, penalty.conditions)
    began = time.process_time()
    relaxation = Relaxation(source, penalty, time_limit=time_limit, merge=merge)
    values = []
    for number in range(first, first + scenarios):
        values.append(relaxation.solve(number).value)
        told(number, values[-1])
    return LowerBound(
        name=NAME,
        assumption="; ".join(
            [
                "demand is that of the model; demand and delays of a path are known in advance at "
                "the price of a penalty with expectation zero for every policy",
                penalty.assumption,
                *relaxations(source.instance),
                *(["customers are merged at the least of their costs"] if merge else []),
            ]
        ),
        conditions=penalty.conditions,
        sample=np.array(values),
        paths=source.name if first == 0 else f"{source.name}, from {first}",
        seconds=time.process_time() - began,
    )
