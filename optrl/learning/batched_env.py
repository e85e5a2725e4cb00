"""Episodes as a vector environment of stable-baselines3, simulated as one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from optrl.env.episodes import Episodes
from optrl.env.single import spaces
from optrl.learning.base import JSON, TrainingError
from optrl.learning.state import generator_numbers, restore_generator

_Indices = None | int | Iterable[int]


class BatchedVecEnv(VecEnv):
    """All episodes in one batch; when they end, new ones start within the same step.

    The horizon's end is reported as ``TimeLimit.truncated`` where `truncates`, so that the learner
    bootstraps with its value function there.

    Where a scenario has several agents (`Encoding.agents`), each is an environment of its own to
    the learner.

    Args:
        episodes: What is simulated.
        environments: Number of episodes side by side.
        truncates: Whether the horizon's end is a truncation.
        generator: Draws demand and arrivals.
    """

    def __init__(
        self,
        episodes: Episodes,
        environments: int,
        truncates: bool,
        generator: np.random.Generator,
    ) -> None:
        self.episodes, self.truncates, self.generator = episodes, truncates, generator
        self._actions = torch.zeros(0)
        self.costs: list[float] = []
        self.render_mode = None
        self._scenarios = environments
        self._generator_before = generator_numbers(generator)
        self._taken: list[Tensor] = []
        super().__init__(environments * episodes.encoding.agents, *spaces(episodes))

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes."""
        self._generator_before = generator_numbers(self.generator)
        self._taken = []
        return self.episodes.reset(self.generator, self._scenarios).numpy()

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take the actions of the next step."""
        self._actions = torch.as_tensor(actions)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Carry out one period; keeps the mean cost of the period in `costs`."""
        self._taken.append(self._actions)
        following, done = self.episodes.step(self._actions)
        observed = following.numpy()
        total = sum(done.cost.values(), np.zeros(self._scenarios))
        self.costs.append(float(total.mean()))
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.over:
            for k, info in enumerate(infos):
                info["terminal_observation"] = observed[k]
                info["TimeLimit.truncated"] = self.truncates
            observed = self.reset()
        over = np.full(self.num_envs, done.over)
        return observed, done.reward.astype(np.float32), over, infos

    def position(self) -> tuple[Tensor, dict[str, JSON]]:
        """Where the episodes are: what was done in them, and how they were drawn.

        Returns:
            Actions since they began, zeros in the periods to come, shape (periods, environments,
            actions); and the generator before they were drawn, with the periods that are over.
        """
        periods = max(1, self.episodes.instance.horizon)
        actions = torch.zeros(periods, self.num_envs, self.episodes.encoding.actions)
        for period, action in enumerate(self._taken):
            actions[period] = action
        return actions, {"generator": self._generator_before, "elapsed": len(self._taken)}

    def go_to(self, actions: Tensor, numbers: JSON) -> NDArray[np.float32]:
        """Draw the episodes that `position` told of anew and do in them what was done.

        Returns:
            What is observed there.

        Raises:
            TrainingError: If there are no such periods or no such generator.
        """
        if not isinstance(numbers, dict) or numbers.get("elapsed") not in range(len(actions)):
            raise TrainingError("the position in the episodes of training is not one of them")
        restore_generator(self.generator, numbers.get("generator"))
        observed = self.reset()
        for action in actions[: numbers["elapsed"]]:
            self._taken.append(action)
            observed = self.episodes.step(action)[0].numpy()
        return observed

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: _Indices = None) -> list[Any]:
        """An attribute, once for each environment asked for."""
        return [getattr(self, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: _Indices = None) -> None:
        """Set an attribute of the batch."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: _Indices = None, **kwargs: Any
    ) -> list[Any]:
        """Refused: there are no separate environments to call."""
        raise NotImplementedError(f"{method_name}: the episodes of a batch are no environments")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: _Indices = None) -> list[bool]:
        """No environment of the batch is wrapped."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: _Indices) -> Sequence[int]:
        return list(self._get_indices(indices))
