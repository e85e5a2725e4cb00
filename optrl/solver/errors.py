"""Errors of the solver path; each message is complete by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.solver.explanation import Conflict


class SolverError(OptrlError):
    """Base of everything the solver path raises on purpose."""


class CompileError(SolverError):
    """The Pyomo model is not a mixed-integer linear program, or its data are incomplete."""


class PushError(SolverError, ValueError):
    """Values pushed into a model do not fit its block, or are not numbers."""


class InfeasibleError(SolverError):
    """No values satisfy all rows, bounds and integrality.

    Attributes:
        conflict: Members that contradict each other, or None where none was isolated.
    """

    def __init__(self, message: str, conflict: Conflict | None = None) -> None:
        self.conflict = conflict
        super().__init__(message)


class UnboundedError(SolverError):
    """The objective improves without limit.

    Attributes:
        columns: Names of columns that grow together along a ray, largest first.
    """

    def __init__(self, message: str, columns: tuple[str, ...] = ()) -> None:
        self.columns = columns
        super().__init__(message)


class NoSolutionError(SolverError):
    """A limit was reached before any feasible solution was found.

    Attributes:
        bound: Bound on the optimal value known by then, in the model's own sense.
    """

    def __init__(self, message: str, bound: float) -> None:
        self.bound = bound
        super().__init__(message)


class NumericalTroubleError(SolverError):
    """The solver could not decide, or its answer fails an independent check."""
