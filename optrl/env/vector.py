"""A Gymnasium vector environment over any instance: episodes simulated as one batch."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.env.encoding import EncodingSettings
from optrl.env.episodes import Episodes
from optrl.env.single import Array, check_single, spaces
from optrl.instance import Instance


class InventoryVectorEnv(gymnasium.vector.VectorEnv[Array, Array, NDArray[Any]]):
    """`num_envs` episodes of one instance in one batch of the simulator.

    All episodes have the same length, so all end together; the step after the last starts new ones
    (autoreset in the next step) and ignores the action.

    Args:
        num_envs: Episodes side by side.
        instance: The instance.
        demand: Draws the demand of episodes.
        settings: How states and actions are encoded.
        paths: See `Episodes`.
        cost_scale: See `Episodes`.
        truncates: See `optrl.env.single.InventoryEnv`.
        dtype: Of the simulator.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012, Gymnasium's own declaration
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int,
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
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces(self.episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over = False

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Array, dict[str, Any]]:
        """Start episodes; a list of seeds counts as one seed made of all of them."""
        if isinstance(seed, list):
            known = [s for s in seed if s is not None]
            seed = int(np.random.SeedSequence(known).generate_state(1)[0]) if known else None
        super().reset(seed=seed)
        self._over = False
        return self.episodes.reset(self.np_random, self.num_envs).numpy(), {}

    def step(
        self, actions: Array
    ) -> tuple[Array, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Carry out one period in every episode."""
        no = np.zeros(self.num_envs, dtype=bool)
        if self._over:
            self._over = False
            observed = self.episodes.reset(self.np_random, self.num_envs).numpy()
            return observed, np.zeros(self.num_envs), no, no.copy(), {}
        tensor = torch.as_tensor(np.asarray(actions, dtype=np.float32))
        following, done = self.episodes.step(tensor)
        self._over = done.over
        over = np.full(self.num_envs, done.over)
        cost = sum(done.cost.values(), np.zeros(self.num_envs))
        info = {"cost": cost, "cut": done.cut}
        ended, cut_off = (no, over) if self.truncates else (over, no)
        return following.numpy(), done.reward, ended, cut_off, info
