"""A Gymnasium environment over any instance: one episode at a time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.env.encoding import EncodingError, EncodingSettings
from optrl.env.episodes import Episodes
from optrl.instance import Instance

Array = NDArray[np.float32]


Space = gymnasium.spaces.Box[np.float32]


def spaces(episodes: Episodes) -> tuple[Space, Space]:
    """Observation and action space of one agent."""
    encoding = episodes.encoding
    observed = gymnasium.spaces.Box(-np.inf, np.inf, (encoding.size,), np.float32)
    return observed, gymnasium.spaces.Box(-1.0, 1.0, (encoding.actions,), np.float32)


def check_single(episodes: Episodes) -> None:
    """Refuse encodings of several agents.

    Raises:
        EncodingError: If a scenario has more than one agent.
    """
    if episodes.encoding.agents > 1:
        raise EncodingError(
            "an encoding whose items are agents (actions 'levels') has as many rows of "
            "observations as items, and Gymnasium's environments have one: choose 'order' or "
            "'order_up_to', or train with `optrl train`"
        )


class InventoryEnv(gymnasium.Env[Array, Array]):
    """One episode of an instance at a time.

    Observations and actions are those of `optrl.env.encoding`, episodes and rewards those of
    `optrl.env.episodes`. ``info`` of a step holds the period's ``cost`` in money, not discounted,
    and ``cut``, what of the action was not possible.

    Args:
        instance: The instance.
        demand: Draws the demand of episodes.
        settings: How states and actions are encoded.
        paths: See `Episodes`.
        cost_scale: See `Episodes`.
        truncates: Whether the horizon's end is a truncation, for instances that stand for a longer
            run, rather than a terminal state.
        dtype: Of the simulator.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012, Gymnasium's own declaration

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        settings: EncodingSettings | None = None,
        *,
        paths: FloatArray | None = None,
        cost_scale: float | None = None,
        truncates: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.episodes = Episodes(
            instance, demand, settings, paths=paths, cost_scale=cost_scale, dtype=dtype
        )
        check_single(self.episodes)
        self.truncates = truncates
        self.observation_space, self.action_space = spaces(self.episodes)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode; its demand follows from `seed`."""
        super().reset(seed=seed)
        return self.episodes.reset(self.np_random, 1)[0].numpy(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Carry out one period."""
        tensor = torch.as_tensor(np.asarray(action, dtype=np.float32))[None]
        observed, done = self.episodes.step(tensor)
        info = {"cost": float(sum(c[0] for c in done.cost.values())), "cut": float(done.cut[0])}
        ended = done.over and not self.truncates
        return observed[0].numpy(), float(done.reward[0]), ended, done.over and not ended, info
