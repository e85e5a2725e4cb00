"""What turns answers into the next prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.combination import Combination
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.ledger import Ledger


@dataclass(frozen=True)
class Standing:
    """All that a master may know; the same after a resume.

    Attributes:
        coupling: Capacities.
        ledger: All rounds so far, at least one.
        combination: Cheapest feasible combination of the columns so far; None where it was not
            asked for (`Master.needs_combination`).
    """

    coupling: Coupling
    ledger: Ledger
    combination: Combination | None

    @property
    def centre(self) -> FloatArray:
        """Prices of the largest Lagrangian value so far, shape (K,)."""
        return self.ledger.prices[self.ledger.centre(self.coupling.limits)]

    @property
    def value(self) -> float:
        """Largest Lagrangian value so far, see `Ledger.value`; no bound where none is claimed."""
        limits = self.coupling.limits
        return self.ledger.value(self.ledger.centre(limits), limits)

    @property
    def lower(self) -> float:
        """Best lower bound, -inf without one."""
        best = self.ledger.best
        return -float("inf") if best < 0 else self.ledger.bound[best]

    @property
    def upper(self) -> float:
        """Cost of the cheapest feasible combination, infinite without one."""
        feasible = self.combination is not None and self.combination.feasible
        return self.combination.cost if feasible and self.combination else float("inf")


@dataclass(frozen=True)
class MasterState:
    """What a master remembers beyond the ledger, as it stands in a checkpoint.

    Attributes:
        arrays: By name.
        numbers: By name.
    """

    arrays: Mapping[str, FloatArray] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Master(Protocol):
    """Proposes prices; lower bound, upper bound and gap are the driver's, the same for all.

    A master must be deterministic given `Standing` and its own `state`.
    """

    name: ClassVar[str]
    """Name on the command line, in lower case with underscores."""

    needs_combination: ClassVar[bool]
    """Whether `propose` needs the combination after every round; else the driver solves it when it
    is due."""

    def propose(self, standing: Standing) -> FloatArray:
        """The next prices on the rows that exist, shape (K,), within 0..price limit."""
        ...

    def state(self) -> MasterState:
        """What it remembers."""
        ...

    def restore(self, state: MasterState) -> None:
        """Go on from a state.

        Raises:
            BlockCheckpointError: If it is no state of this master.
        """
        ...
