"""What a learner sees and does: states as observations, actions in [-1, 1] as orders."""

from __future__ import annotations

from typing import Protocol

from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.lane_coding import LaneCoding
from optrl.env.level_coding import LevelCoding
from optrl.env.settings import ActionKind, EncodingError, EncodingSettings
from optrl.instance import Instance
from optrl.simulation.state import State

__all__ = ["ActionKind", "Coding", "Encoding", "EncodingError", "EncodingSettings"]


class Coding(Protocol):
    """A way to encode; `agents` rows of observations and actions belong to each scenario."""

    @property
    def agents(self) -> int:
        """Agents that act in a scenario."""
        ...

    @property
    def size(self) -> int:
        """Length of an agent's observation."""
        ...

    @property
    def actions(self) -> int:
        """Length of an agent's action."""
        ...

    @property
    def scale(self) -> FloatArray:
        """Expected demand of each item a period, shape (N,)."""
        ...

    def observe(self, state: State, period: int) -> Tensor:
        """Observations, float32, shape (S * agents, size), the agents of a scenario together."""
        ...

    def orders(self, action: Tensor, state: State, period: int) -> Tensor:
        """Orders of actions (S * agents, actions), shape (S, N, replenishment lanes)."""
        ...


class Encoding:
    """Encodes the states and actions of one instance as its settings say.

    See `optrl.env.lane_coding` for one agent that decides all lanes, and
    `optrl.env.level_coding` for items as agents that move the levels of a classical rule.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        settings: How to encode.
    """

    def __init__(
        self, instance: Instance, demand: DemandModel, settings: EncodingSettings | None = None
    ) -> None:
        self.instance, self.demand = instance, demand
        self.settings = settings or EncodingSettings()
        kind = LevelCoding if self.settings.actions == "levels" else LaneCoding
        self.coding: Coding = kind(instance, demand, self.settings)

    @property
    def agents(self) -> int:
        """Rows of observations and actions that belong to a scenario."""
        return self.coding.agents

    @property
    def scale(self) -> FloatArray:
        """Expected demand of each item a period, shape (N,)."""
        return self.coding.scale

    @property
    def size(self) -> int:
        """Length of an observation."""
        return self.coding.size

    @property
    def actions(self) -> int:
        """Length of an action."""
        return self.coding.actions

    def observe(self, state: State, period: int) -> Tensor:
        """Observations, float32, shape (S * `agents`, `size`)."""
        return self.coding.observe(state, period)

    def orders(self, action: Tensor, state: State, period: int) -> Tensor:
        """Orders of actions (S * `agents`, `actions`), shape (S, N, replenishment lanes)."""
        return self.coding.orders(action, state, period)
