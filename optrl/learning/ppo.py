"""Proximal policy optimization by stable-baselines3: the baseline nobody can call home-made.

An update is one rollout of all episodes and the passes over it. All its random numbers are drawn
from the seed and the update's number. Episodes that are under way are kept as what was drawn and
done since they began, and played again when a checkpoint is restored.

Source: Schulman et al. (2017), Proximal policy optimization algorithms, arXiv:1707.06347; Raffin et
al. (2021), Stable-Baselines3, Journal of Machine Learning Research 22(268).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from optrl_formulations.network import NodeKind
from stable_baselines3 import PPO
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.encoding import EncodingSettings
from optrl.env.episodes import Episodes
from optrl.instance import Instance
from optrl.learning.base import LearnerSettings, Subject, TrainingError, TrainingState
from optrl.learning.batched_env import BatchedVecEnv
from optrl.learning.ppo_policy import PPOPolicy, actor_tensors
from optrl.learning.state import optimizer_tensors, restore_optimizer
from optrl.learning.validation import Validation


@dataclass(frozen=True, kw_only=True)
class PPOSettings(LearnerSettings):
    """Hyperparameters; an update takes `environments` times `rollout` steps.

    Attributes:
        environments: Episodes side by side.
        rollout: Periods of each episode between updates.
        batch: Transitions of a minibatch.
        epochs: Passes over the transitions of an update.
        learning_rate: At the start; it falls linearly to zero.
        discount: Of the learner, besides the instance's own.
        gae_lambda: Of generalized advantage estimation.
        entropy: Weight of the entropy bonus.
        hidden: Widths of the hidden layers of policy and value network.
        first_deviation: Logarithm of the standard deviation of the first actions.
        truncates: Whether the horizon's end is a truncation (see `BatchedVecEnv`); when None,
            where the subject is endless.
        cost_scale: Money per unit of reward; see `Episodes`.
        episode: Periods of an episode where the subject is endless; else it is the horizon.
        encoding: How states and actions are encoded. Where the subject is endless no clock is
            observed, and orders are whole where a lane has lots of 1.
        validation_scenarios: Paths that the policy is validated on.
        validation_periods: Periods of each where the subject is endless.
    """

    updates: int = 488
    checkpoint_every: int = 25
    validate_every: int = 25
    exploding: float | None = None
    environments: int = 64
    rollout: int = 32
    batch: int = 256
    epochs: int = 6
    learning_rate: float = 1e-3
    discount: float = 0.98
    gae_lambda: float = 0.95
    entropy: float = 0.0
    hidden: tuple[int, ...] = (64, 64)
    first_deviation: float = -1.0
    truncates: bool | None = None
    cost_scale: float | None = None
    episode: int = 100
    encoding: EncodingSettings = field(default_factory=EncodingSettings)
    validation_scenarios: int = 64
    validation_periods: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "environments", "rollout", "batch", "epochs", "episode")
        self._at_least(1, "validation_scenarios", "validation_periods")
        if not self.learning_rate > 0 or any(width < 1 for width in self.hidden):
            raise TrainingError(
                f"learning_rate is {self.learning_rate} and hidden {self.hidden}; all must be "
                "above 0"
            )


class PPOLearner:
    """See the module."""

    name: ClassVar[str] = "ppo"
    settings_class: ClassVar[type[LearnerSettings]] = PPOSettings

    def __init__(self, subject: Subject, settings: PPOSettings, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.learning_rate_factor = 1.0
        instance, encoding = _episodic(subject, settings)
        self.episodes = Episodes(instance, subject.demand, encoding, cost_scale=settings.cost_scale)
        truncates = subject.endless if settings.truncates is None else settings.truncates
        self.env = BatchedVecEnv(
            self.episodes, settings.environments, truncates, np.random.default_rng(seed)
        )
        self._done = 0
        with self._seeded():
            self.model = _model(self.env, settings)
        # What stable-baselines3 sets up at the start of its own loop, without one.
        self.model._last_obs = self.env.reset()
        self.model._last_episode_starts = np.ones(self.env.num_envs, dtype=bool)
        self._validation = Validation(
            subject, settings.validation_scenarios, settings.validation_periods
        )

    @classmethod
    def begin(cls, subject: Subject, settings: PPOSettings, seed: int) -> PPOLearner:
        """The learner before its first update."""
        return cls(subject, settings, seed)

    @property
    def total(self) -> int:
        """Updates in total."""
        return self.settings.updates

    def update(self) -> dict[str, float]:
        """Carry out a rollout and the passes over it."""
        settings, model = self.settings, self.model
        self._done += 1
        left = max(1 - (self._done - 1) / settings.updates, 1e-3)
        rate = settings.learning_rate * self.learning_rate_factor * left
        model.lr_schedule = lambda _: rate
        self.env.costs = []
        try:
            with self._seeded():
                model.learn(1, reset_num_timesteps=False, log_interval=10**9)
        except ValueError:
            # Its distributions refuse what is no number; anything else is an error.
            if all(bool(p.isfinite().all()) for p in model.policy.parameters()):
                raise
            return {"loss": math.nan}
        found = model.logger.name_to_value
        network = self.episodes.instance.network
        periods = settings.environments * settings.rollout
        stocking = int((network.kind == NodeKind.STOCKING).sum())
        return {
            "loss": float(found["train/loss"]),
            "policy_loss": float(found["train/policy_gradient_loss"]),
            "value_loss": float(found["train/value_loss"]),
            "deviation": float(found["train/std"]),
            "training_cost": float(np.mean(self.env.costs)),
            "steps": float(self._done * settings.rollout * self.env.num_envs),
            "work": float(periods * len(network.items) * stocking),
        }

    def validate(self) -> float:
        """Cost a period of the mean action."""
        return self._validation.cost(self.policy)

    @property
    def policy(self) -> PPOPolicy:
        """The policy as it is now."""
        return PPOPolicy.of(actor_tensors(self.model.policy), self.episodes.encoding)

    def state(self) -> TrainingState:
        """Networks, optimizer, and where the episodes are."""
        model = self.model
        actions, position = self.env.position()
        tensors: dict[str, Tensor] = {
            **{f"policy.{name}": value for name, value in model.policy.state_dict().items()},
            **optimizer_tensors(_adam(model)),
            "episodes.actions": actions,
            "episodes.starts": torch.as_tensor(model._last_episode_starts).clone(),
        }
        return TrainingState(tensors, {"done": self._done, "episodes": position})

    def restore(self, state: TrainingState) -> None:
        """Go to a state; the episodes that were under way are played again."""
        model, tensors = self.model, state.tensors
        part = "policy."
        model.policy.load_state_dict(
            {name.removeprefix(part): tensors[name] for name in tensors if name.startswith(part)}
        )
        restore_optimizer(_adam(model), tensors)
        model._last_obs = self.env.go_to(tensors["episodes.actions"], state.numbers["episodes"])
        model._last_episode_starts = tensors["episodes.starts"].numpy()
        self._done = int(str(state.numbers["done"]))

    def save_policy(self, folder: Path) -> None:
        """Write what plays: the network of the mean action, and the encoding."""
        self.policy.save(folder)

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> PPOPolicy:
        """The policy of a folder, for an instance of the same lanes, items and nodes."""
        return PPOPolicy.load(folder, instance, demand)

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Set the generators of the process, then put them back.

        stable-baselines3 draws from them: actions from torch's, minibatches from numpy's.
        """
        of_torch, of_numpy = np.random.SeedSequence((self.seed, self._done)).generate_state(2)
        before = np.random.get_state()  # noqa: NPY002
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(of_torch))
            np.random.seed(int(of_numpy))  # noqa: NPY002
            try:
                yield
            finally:
                np.random.set_state(before)  # noqa: NPY002


def _episodic(subject: Subject, settings: PPOSettings) -> tuple[Instance, EncodingSettings]:
    """The instance of one episode, and how it is encoded."""
    instance, encoding = subject.instance, settings.encoding
    if not subject.endless:
        return instance, encoding
    whole = encoding.whole or bool((instance.network.lot_size == 1).any())
    return replace(instance, horizon=settings.episode), replace(encoding, clock=False, whole=whole)


def _model(env: BatchedVecEnv, settings: PPOSettings) -> PPO:
    transitions = settings.rollout * env.num_envs
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate,
        n_steps=settings.rollout,
        batch_size=min(settings.batch, transitions),
        n_epochs=settings.epochs,
        gamma=settings.discount,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.entropy,
        policy_kwargs={
            "net_arch": list(settings.hidden),
            "log_std_init": settings.first_deviation,
        },
        device="cpu",
    )


def _adam(model: PPO) -> torch.optim.Adam:
    optimizer: Any = model.policy.optimizer
    assert isinstance(optimizer, torch.optim.Adam)
    return optimizer
