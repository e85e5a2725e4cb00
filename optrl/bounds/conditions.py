"""Conditions that a bound rests on: each said in words and looked up in the numbers.

A bound whose condition does not hold is no bound. `LowerBound` refuses to be made of one, so that
no code path can hand out such a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optrl.bounds.errors import BoundRefusedError
from optrl.demand.base import DemandModel, PeriodDependence
from optrl.instance import Instance


@dataclass(frozen=True)
class Condition:
    """What a bound needs and what was found.

    Attributes:
        needs: What must hold, in words.
        holds: Whether it does.
        found: What was found instead, and what to do.
    """

    needs: str
    holds: bool
    found: str = ""


def require(bound: str, conditions: Sequence[Condition]) -> None:
    """Refuse a bound one of whose conditions does not hold.

    Raises:
        BoundRefusedError: Naming the condition.
    """
    for condition in conditions:
        if not condition.holds:
            raise BoundRefusedError(
                f"the {bound} bound is refused: it needs that {condition.needs}, but "
                f"{condition.found}"
            )


def all_periods_count(warm_up: int) -> Condition:
    """Costs are of the whole path that the bound plans."""
    return Condition(
        "costs of all periods count",
        warm_up == 0,
        f"the first {warm_up} periods are left out of the cost of policies: count all periods",
    )


def independent_periods(model: DemandModel) -> Condition:
    """Demand of a period says nothing about later ones."""
    name = type(model).__name__
    known = isinstance(model, PeriodDependence)
    return Condition(
        "demand is independent from period to period",
        isinstance(model, PeriodDependence) and model.independent_periods,
        f"demand model {name} "
        + (
            "has periods that depend on one another: use a bound that allows for it, such as "
            "perfect information"
            if known
            else "does not say so: give it the attribute independent_periods"
        ),
    )


def certain_arrivals(instance: Instance) -> Condition:
    """Orders arrive after their lead time."""
    lanes = [instance.network.lanes[profile.lane] for profile in instance.arrivals]
    return Condition(
        "every order arrives after its lead time",
        not lanes,
        f"lane {lanes[0] if lanes else ''} has random arrivals: take them out, or use perfect "
        "information",
    )
