"""Decisions fixed beforehand, played one period after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from optrl_formulations.network import FloatArray

from optrl.simulation.state import Decision, State


@dataclass(frozen=True)
class PlannedFlows:
    """Flows of a plan over T periods from `first_period` on.

    Attributes:
        first_period: Absolute period of the first column.
        order: Released on replenishment lanes, shape (N, replenishment lanes, T).
        serve: Largest quantity served over serving lanes, shape (N, serving lanes, T).
    """

    first_period: int
    order: FloatArray
    serve: FloatArray


class PlannedDecisions:
    """Plays planned flows in every scenario, whatever the state."""

    name: ClassVar[str] = "planned"

    def __init__(self, flows: PlannedFlows) -> None:
        """See the class.

        Args:
            flows: What to play.
        """
        self.flows = flows

    def decide(self, state: State, period: int) -> Decision:
        """The planned flows of `period`."""
        column = period - self.flows.first_period
        on_hand = state.on_hand

        def spread(values: FloatArray) -> torch.Tensor:
            tensor = torch.as_tensor(values[:, :, column]).to(on_hand.dtype)
            return tensor.expand(on_hand.shape[0], *tensor.shape)

        return Decision(order=spread(self.flows.order), serve=spread(self.flows.serve))
