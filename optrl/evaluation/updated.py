"""A policy whose belief about demand is updated each period with the demand of its own path.

Simulated years differ by more than their weeks: where the model has an error of the level, a year
that begins high stays high, and weeks of demand tell it. Each period the demand model is taken
given what was seen so far (`optrl.demand.base.LearningDemand`), scenario by scenario, and the
policy decides on that belief. A planner sees demand, not sales: what was lost counts.

This is Bayes' rule within a model; `optrl.evaluation.refitted` estimates a new model from a table.
Both together: ``Refitted(instance, lambda i, d: Updated(i, d, make), every=13)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from optrl.demand.base import DemandModel, LearningDemand
from optrl.errors import OptrlError
from optrl.evaluation.refitted import Make
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy
from optrl.simulation.state import Decision, InformedState, State


@runtime_checkable
class BelievingPolicy(Protocol):
    """A policy that takes another belief about demand without being built anew."""

    def believing(self, demand: DemandModel) -> Self:
        """The policy with another belief."""
        ...

    def decide(self, state: State, period: int) -> Decision:
        """Decide what to release in absolute period `period`."""
        ...


class Updated:
    """See the module's docstring.

    Args:
        instance: The instance; demand before its start is not learned from again.
        demand: What is believed at its start.
        make: Fits the policy to an instance and what is believed about its demand; called anew
            for each belief where the policy is not a `BelievingPolicy`.
        name: Name in tables and errors.

    Raises:
        OptrlError: If the demand model learns nothing from what is seen.
    """

    def __init__(
        self, instance: Instance, demand: DemandModel, make: Make, *, name: str = "updated"
    ) -> None:
        """See the class."""
        if not isinstance(demand, LearningDemand):
            raise OptrlError(
                f"{type(demand).__name__} demand learns nothing from what was seen: let the policy "
                "decide without updates, or choose demand_family 'negative_binomial'"
            )
        self.name = name
        self._instance, self._demand, self._make = instance, demand, make
        self._first = make(instance, demand)

    def decide(self, state: State, period: int) -> Decision:
        """Decide scenario by scenario, on what is believed given its demand so far.

        Raises:
            OptrlError: If the state does not tell demand, as outside of rollouts.
        """
        if not isinstance(state, InformedState) or state.seen is None:
            raise OptrlError("the state does not tell past demand: decide within `simulate`")
        seen = state.seen.detach().double().numpy()
        first = max(period - seen.shape[3], self._instance.start)
        seen = seen[:, :, :, seen.shape[3] - (period - first) :]
        decided = [
            self._believing(self._demand.given(path, first)).decide(each, period)
            for path, each in zip(seen, _scenarios(state), strict=True)
        ]
        serve = [each.serve for each in decided if each.serve is not None]
        return Decision(
            order=torch.cat([each.order for each in decided]),
            serve=torch.cat(serve) if serve else None,
        )

    def _believing(self, belief: DemandModel) -> DecidingPolicy:
        if isinstance(self._first, BelievingPolicy):
            return self._first.believing(belief)
        return self._make(self._instance, belief)


@dataclass(frozen=True)
class _Scenario:
    """What a decision sees of one scenario."""

    on_hand: Tensor
    backlog: Tensor
    in_transit: Tensor
    due: Tensor


def _scenarios(state: State) -> Iterator[State]:
    parts = state.on_hand, state.backlog, state.in_transit, state.due
    for s in range(state.on_hand.shape[0]):
        yield _Scenario(*(part[s : s + 1] for part in parts))
