"""What a test bed offers, and the row that a benchmark gives for each policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from optrl.demand.base import DemandModel
from optrl.instance import Instance


@dataclass(frozen=True)
class Row:
    """One policy on one instance.

    Attributes:
        instance: Full name of the instance.
        policy: Name of the policy, with its parameters where a best one was searched.
        cost: Average cost a period.
        optimum: Known optimal cost, or None.
        bound: Best known lower bound on the optimal cost, or None.
        gap_percent: Excess over optimum, or else over the bound; None where neither is known.
        half_width: Half of the interval that holds the cost: between proven bounds where a dynamic
            program or a Markov chain gives it, of 95 % confidence where it is simulated. Of the
            optimum of a serial system, which a recursion on a grid gives, it is what a grid twice
            as fine changed: an estimate of the error, not a bound on it.
        seconds: Time to find and evaluate the policy.
        published: Published cost or gap that this row is to be compared with, as text, or "".
    """

    instance: str
    policy: str
    cost: float
    optimum: float | None
    bound: float | None
    gap_percent: float | None
    half_width: float
    seconds: float
    published: str = ""


@dataclass(frozen=True)
class TestBed:
    """An instance with what is known about it.

    Costs are averages a period, after `warm_up` periods, in the instance's own order of events;
    each family's module says how that maps to the published one.

    Attributes:
        name: Full name, ``family/case``.
        instance: The instance; its horizon is warm-up plus counted periods.
        demand: The true demand.
        warm_up: First periods that do not count.
        optimum: Optimal average cost a period, or None where it is not known.
        source: Where the instance and its numbers are from.
        published: Published cost a period by policy, as the source names it.
    """

    __test__: ClassVar[bool] = False  # not a class of tests, whatever its name

    name: str
    instance: Instance
    demand: DemandModel
    warm_up: int
    optimum: float | None
    source: str
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def periods(self) -> int:
        """Periods that count."""
        return self.instance.horizon - self.warm_up

    def gap(self, cost: float) -> float | None:
        """Excess of a cost over the optimum, percent."""
        return None if self.optimum is None else 100 * (cost / self.optimum - 1)


@runtime_checkable
class Family(Protocol):
    """Instances of one kind."""

    name: ClassVar[str]
    """Name on the command line, in lower case with hyphens."""

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """The instances that the source publishes, or a few that stand for the family."""
        ...

    @staticmethod
    def rows() -> Iterator[Row]:
        """The benchmark: each instance under its policies."""
        ...
