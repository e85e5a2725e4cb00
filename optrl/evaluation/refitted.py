"""A policy fitted anew as a replay moves on: forecasts are updated with the demand seen so far.

A planner does not keep for a year the forecast that the year began with. Every so many periods the
instance is taken as it stands then, with the demand observed before that period as its history;
the demand model is fitted to it, and the policy to both. Decisions between follow the last fit.

What was seen is taken from the instance's own demand table, so that this is for replays of that
table alone (`optrl.evaluation.judge.kept_demand`): on sampled paths it would learn from demand that
was never met. Any policy can be refitted; a comparison refits all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from optrl.demand.base import DemandModel
from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy
from optrl.simulation.state import Decision, State

Make = Callable[[Instance, DemandModel], DecidingPolicy]
"""Fits a policy, such as `Policy.fit`."""


class Refitted:
    """See the module's docstring.

    Args:
        instance: The instance that is replayed, from its start on.
        make: Fits the policy to an instance and what is believed about its demand.
        every: Periods between fits.

    Raises:
        OptrlError: If `every` is not positive, or the instance has a forecast of its own, which
            demand seen later would not update.
    """

    def __init__(self, instance: Instance, make: Make, *, every: int) -> None:
        if every < 1:
            raise OptrlError(f"every is {every}; fit anew after at least 1 period")
        if instance.forecast is not None:
            raise OptrlError(
                f"{instance.name!r} has a forecast, which is not fitted to demand: leave it out to "
                "have forecasts updated"
            )
        self._instance, self._make, self._every = instance, make, every
        self._fitted: tuple[int, DecidingPolicy] | None = None

    def decide(self, state: State, period: int) -> Decision:
        """Decide as the policy fitted last does.

        Raises:
            OptrlError: If the table of demand ends before the period of the fit.
        """
        start = self._instance.start
        at = start + (period - start) // self._every * self._every
        if self._fitted is None or self._fitted[0] != at:
            known = moved_on(self._instance, at)
            self._fitted = at, self._make(known, fit(known))
        return self._fitted[1].decide(state, period)


def moved_on(instance: Instance, start: int) -> Instance:
    """The instance with planning starting later and ending when it did, one period long at least.

    Its first state stays what it was.

    Args:
        instance: The instance.
        start: Absolute period of the new start, not before the old.

    Raises:
        OptrlError: If it is before.
    """
    gone = start - instance.start
    if gone < 0:
        raise OptrlError(f"start {start} is before the instance's, {instance.start}")
    return replace(
        instance,
        start=start,
        horizon=max(instance.horizon - gone, 1),
        frozen=instance.frozen[:, :, gone:],
    )
