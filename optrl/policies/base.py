"""What a policy must offer; one file per policy, found by walking this package."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self, runtime_checkable

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.simulation.state import Decision, State


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
