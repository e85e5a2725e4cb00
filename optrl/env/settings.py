"""What of a state a learner sees and how its actions are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from optrl.errors import OptrlError

ActionKind = Literal["order", "order_up_to", "levels"]


class EncodingError(OptrlError):
    """An environment cannot be made of the instance or its settings."""


@dataclass(frozen=True)
class EncodingSettings:
    """How states and actions are encoded.

    Attributes:
        actions: ``order``: the action is the quantity ordered on each lane; ``order_up_to``: it is
            a level that the inventory position of the lane's destination is raised to, for
            networks of one lane into a node; ``levels``: each item is an agent that moves the
            levels of a classical rule at the nodes, for networks of many items and echelons.
        largest: Order or level at action 1, in periods of the item's whole expected demand; for
            levels the longest lead time is added to it. A lane's largest quantity lowers it.
        whole: Whether orders are rounded to whole units.
        forecast: Periods of expected demand, from the current one on, in the observation.
        clock: Whether the share of the horizon that is over is in the observation; leave it out
            where episodes stand for a longer run.
        rule: For ``levels``: the level policy whose levels are moved; action 0 is that policy.
        reach: For ``levels``: action 1 multiplies a level by exp(reach), action -1 divides it.
    """

    actions: ActionKind = "order"
    largest: float = 2.0
    whole: bool = False
    forecast: int = 1
    clock: bool = True
    rule: str = "base_stock"
    reach: float = 0.7

    def __post_init__(self) -> None:
        if self.actions not in get_args(ActionKind):
            raise EncodingError(
                f"actions is {self.actions!r}; choose one of {', '.join(get_args(ActionKind))}"
            )
        if not self.largest > 0 or self.forecast < 0 or not self.reach > 0:
            raise EncodingError(
                f"largest is {self.largest}, forecast {self.forecast} and reach {self.reach}; they "
                "must be above 0, at least 0 and above 0"
            )
