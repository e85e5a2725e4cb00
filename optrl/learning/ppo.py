"""Proximal policy optimization by stable-baselines3: the baseline nobody can call home-made.

Training runs in chunks of `PPOSettings.chunk` steps. Each chunk starts from the checkpoint of the
one before and draws all its random numbers from the seed and the chunk's number, and checkpoints
are written atomically. So a training that was killed resumes from its last checkpoint and ends
with the same network, to the last bit, as one that was not.

Source: Schulman et al. (2017), Proximal policy optimization algorithms, arXiv:1707.06347; Raffin et
al. (2021), Stable-Baselines3, Journal of Machine Learning Research 22(268).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed

from optrl.demand.base import DemandModel
from optrl.env.encoding import Encoding, EncodingSettings
from optrl.env.episodes import Episodes
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.learning.batched_env import BatchedVecEnv
from optrl.simulation.state import Decision, State
from optrl.tables.atomic import write_file

_LOG = "training.json"


class TrainingError(OptrlError):
    """A training cannot start, or a folder does not hold one that fits."""


@dataclass(frozen=True)
class PPOSettings:
    """Hyperparameters.

    Attributes:
        environments: Episodes side by side.
        rollout: Periods of each episode between updates.
        batch: Transitions of a minibatch.
        epochs: Passes over the transitions of an update.
        chunk: Steps between checkpoints, rounded up to whole updates.
        learning_rate: At the start; it falls linearly to zero.
        discount: Of the learner, besides the instance's own.
        gae_lambda: Of generalized advantage estimation.
        entropy: Weight of the entropy bonus.
        hidden: Widths of the hidden layers of policy and value network.
        first_deviation: Logarithm of the standard deviation of the first actions.
        truncates: Whether the horizon's end is a truncation (see `BatchedVecEnv`).
        cost_scale: Money per unit of reward; see `Episodes`.
    """

    environments: int = 64
    rollout: int = 32
    batch: int = 256
    epochs: int = 6
    chunk: int = 50_000
    learning_rate: float = 1e-3
    discount: float = 0.98
    gae_lambda: float = 0.95
    entropy: float = 0.0
    hidden: tuple[int, ...] = (64, 64)
    first_deviation: float = -1.0
    truncates: bool = False
    cost_scale: float | None = None


@dataclass(frozen=True)
class _Job:
    """What one training is, as its folder says it."""

    instance: str
    seed: int
    steps: int
    settings: PPOSettings
    encoding: EncodingSettings

    def as_dict(self) -> dict[str, Any]:
        # Through JSON, so that what was read compares equal to what would be written.
        result: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return result


def train_ppo(
    instance: Instance,
    demand: DemandModel,
    out: Path | str,
    *,
    steps: int,
    seed: int = 0,
    resume: bool = False,
    settings: PPOSettings | None = None,
    encoding: EncodingSettings | None = None,
    paths: FloatArray | None = None,
    told: Callable[[dict[str, float]], None] = lambda _: None,
) -> PPOPolicy:
    """Train a policy and keep it in a folder.

    Args:
        instance: The instance; its horizon is the length of an episode.
        demand: Draws the demand of episodes. Of a test bed, its `demand`.
        out: Folder of the checkpoint ``model-STEPS.zip`` and the learning curve ``training.json``.
        steps: Periods to train for, over all episodes together.
        seed: Of everything random.
        resume: Whether to go on from the folder's checkpoint; without one, training starts anew.
        settings: Hyperparameters.
        encoding: How states and actions are encoded.
        paths: Demand paths to draw episodes from; see `Episodes`.
        told: Called after each chunk with steps, mean cost a period, and steps per second over the
            chunk (throughput) and over the whole run with saving and loading (goodput).

    Raises:
        TrainingError: If the folder holds a training and `resume` is false, or one of other
            settings, steps, seed or instance.
    """
    job = _Job(
        instance.name, seed, steps, settings or PPOSettings(), encoding or EncodingSettings()
    )
    folder = Path(out)
    curve = _begin(folder, job, resume)
    episodes = Episodes(
        instance, demand, job.encoding, paths=paths, cost_scale=job.settings.cost_scale
    )
    begun, at_first = time.perf_counter(), curve[-1]["steps"] if curve else 0
    while not curve or curve[-1]["steps"] < steps:
        line = _chunk(folder, job, episodes, curve)
        line["goodput"] = (line["steps"] - at_first) / (time.perf_counter() - begun)
        curve.append(line)
        with write_file(folder / _LOG) as path:
            path.write_text(json.dumps({"job": job.as_dict(), "curve": curve}, indent=1))
        told(line)
    return PPOPolicy.load(folder, instance, demand)


def _begin(folder: Path, job: _Job, resume: bool) -> list[dict[str, float]]:
    """The learning curve so far."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _LOG).exists():
        return []
    if not resume:
        raise TrainingError(
            f"{folder} holds a training already: resume it or choose another folder"
        )
    known = _read(folder)
    if known["job"] != job.as_dict():
        different = [k for k, v in job.as_dict().items() if known["job"].get(k) != v]
        raise TrainingError(
            f"{folder} holds a training of other {', '.join(different)}: a resumed training keeps "
            "them; choose another folder to change them"
        )
    curve: list[dict[str, float]] = known["curve"]
    return curve


def _read(folder: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads((folder / _LOG).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / _LOG} is not the log of a training: {error}") from error
    return known


def _chunk(
    folder: Path, job: _Job, episodes: Episodes, curve: list[dict[str, float]]
) -> dict[str, float]:
    """Train one chunk from the checkpoint that the curve ends with."""
    settings, number = job.settings, len(curve)
    # stable-baselines3 draws actions and minibatches from the global generators of torch and numpy.
    torch_seed, env_seed = np.random.SeedSequence((job.seed, number)).generate_state(2)
    env = BatchedVecEnv(
        episodes, settings.environments, settings.truncates, np.random.default_rng(int(env_seed))
    )
    done = int(curve[-1]["steps"]) if curve else 0
    rate = settings.learning_rate * max(1 - done / job.steps, 1e-3)
    set_random_seed(int(torch_seed))
    model = _load(folder / _file(done), env, rate) if curve else _new(env, settings, rate)
    set_random_seed(int(torch_seed))
    begun = time.perf_counter()
    wanted = min(settings.chunk, job.steps - done)
    model.learn(total_timesteps=wanted, reset_num_timesteps=not curve, log_interval=10**9)
    seconds = time.perf_counter() - begun
    steps = int(model.num_timesteps)
    with write_file(folder / _file(steps)) as path:
        model.save(path)
    # The log names the checkpoint it belongs to; older ones go only after it is written.
    for old in folder.glob("model-*.zip"):
        if old.name not in (_file(steps), _file(done)):
            old.unlink()
    return {
        "steps": steps,
        "cost": float(np.mean(env.costs)),
        "throughput": (steps - done) / seconds,
    }


def _file(steps: int) -> str:
    return f"model-{steps}.zip"


def _new(env: BatchedVecEnv, settings: PPOSettings, rate: float) -> PPO:
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=rate,
        n_steps=settings.rollout,
        batch_size=min(settings.batch, settings.rollout * settings.environments),
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


def _load(path: Path, env: BatchedVecEnv, rate: float) -> PPO:
    constant = {"learning_rate": rate, "lr_schedule": lambda _: rate}
    return PPO.load(path, env=env, device="cpu", custom_objects=constant)


class PPOPolicy:
    """A trained policy; plays the mean of its action distribution.

    Args:
        model: The trained model.
        encoding: Its encoding.
    """

    name: ClassVar[str] = "ppo"

    def __init__(self, model: PPO, encoding: Encoding) -> None:
        self.model, self.encoding = model, encoding

    @classmethod
    def load(cls, folder: Path | str, instance: Instance, demand: DemandModel) -> PPOPolicy:
        """The policy of a folder that `train_ppo` wrote, at its last checkpoint.

        Args:
            folder: The folder.
            instance: An instance of the same lanes, items and nodes as in training.
            demand: What is believed about its demand.

        Raises:
            TrainingError: If the folder holds no training, or one of another shape.
        """
        known = _read(Path(folder))
        encoding = Encoding(instance, demand, EncodingSettings(**known["job"]["encoding"]))
        model = PPO.load(Path(folder) / _file(int(known["curve"][-1]["steps"])), device="cpu")
        observation, action = model.observation_space.shape, model.action_space.shape
        if observation != (encoding.size,) or action != (encoding.actions,):
            raise TrainingError(
                f"{folder} was trained on observations of shape {observation} and actions of "
                f"shape {action}; instance {instance.name!r} has {encoding.size} and "
                f"{encoding.actions}: train on this instance"
            )
        return cls(model, encoding)

    def decide(self, state: State, period: int) -> Decision:
        """The orders of the mean action."""
        with torch.no_grad():
            observed = self.encoding.observe(state, period)
            mean = self.model.policy.get_distribution(observed).mode()
        return Decision(order=self.encoding.orders(mean, state, period))
