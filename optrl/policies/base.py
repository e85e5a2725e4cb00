"""What a policy must offer; one file per policy, found by walking this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.planned import PlannedFlows
from optrl.simulation.state import Decision, State
from optrl.solver.highs import Progress


@runtime_checkable
class Policy(Protocol):
    """A rule that decides from the state, batched over scenarios and items."""

    name: ClassVar[str]
    """Name on the command line and in tables, in lower case with underscores."""

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Build the policy for an instance and what is believed about its demand.

        Raises:
            optrl.errors.OptrlError: If the policy does not apply to the instance.
        """
        ...

    def decide(self, state: State, period: int) -> Decision:
        """Decide what to release in absolute period `period`."""
        ...


@dataclass(frozen=True)
class ProgramReport:
    """What solving a plan's program, or its programs one after the other, gave.

    Attributes:
        method: How the plan was made, in words.
        programs: How many programs were solved.
        status: Of the solver; of several programs, that of the one with the largest gap.
        objective: Value of the one program, which may hold terms beyond cost; None for several.
        bound: Best bound of the one program; None for several.
        gap: Relative gap between the two; the largest.
        seconds: Solving time of all.
        columns: Size of the program.
        rows: Size of the program.
        prices: Price of each resource and period, shape (R, T).
        warnings: Numerical trouble the solver reported.
    """

    method: str
    programs: int
    status: str
    objective: float | None
    bound: float | None
    gap: float
    seconds: float
    columns: int
    rows: int
    prices: FloatArray
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All but the prices, ready for JSON."""
        return {key: value for key, value in vars(self).items() if key != "prices"}


@runtime_checkable
class PlanningPolicy(Protocol):
    """A policy that can plan the whole horizon at once."""

    def plan(
        self,
        *,
        time_limit: float | None = None,
        relative_gap: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[PlannedFlows, ProgramReport]:
        """Plan all periods of the instance from its first state on.

        Args:
            time_limit: Seconds for the solver; the policy's own when None.
            relative_gap: At which a MIP may stop; the policy's own when None.
            progress: Called with the state of a long MIP.
        """
        ...
