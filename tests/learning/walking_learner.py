"""A small learner for tests of the loop: fits a line to noise, with everything a learner has."""

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from optrl.demand.fit import fit
from optrl.learning import find
from optrl.learning.base import LearnerSettings, Subject, TrainingState
from optrl.learning.folder import Job
from optrl.learning.settings import settings_from
from optrl.learning.state import (
    generator_numbers,
    optimizer_tensors,
    restore_generator,
    restore_optimizer,
)
from optrl.learning.training import train
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file
from optrl.policies.base_stock import BaseStock
from optrl.testing import random_instance


@dataclass(frozen=True, kw_only=True)
class WalkingSettings(LearnerSettings):
    updates: int = 60
    checkpoint_every: int = 5
    validate_every: int = 4
    learning_rate: float = 0.01
    breaks_at: int = 0  # from this update on the learning rate must be below `breaks_above`
    breaks_above: float = 0.0
    breaks_by: str = "nan"
    pause: float = 0.0


class WalkingLearner:
    """Least squares by Adam on random points; has torch and numpy randomness and carries state."""

    name: ClassVar[str] = "walking"
    settings_class = WalkingSettings

    def __init__(self, settings, seed):
        self.settings, self.done, self.learning_rate_factor = settings, 0, 1.0
        self.generator = np.random.default_rng(seed)
        self.dropout = torch.Generator().manual_seed(seed)
        self.model = torch.nn.Linear(3, 1)
        torch.nn.init.zeros_(self.model.weight)
        torch.nn.init.zeros_(self.model.bias)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.carried = torch.zeros(4)

    @classmethod
    def begin(cls, subject, settings, seed):
        return cls(settings, seed)

    @property
    def total(self):
        return self.settings.updates

    def update(self):
        settings = self.settings
        if settings.pause:
            import time

            time.sleep(settings.pause)
        rate = settings.learning_rate * self.learning_rate_factor
        self.done += 1
        points = torch.from_numpy(self.generator.normal(size=(16, 3))).float()
        points = points * (torch.rand(16, 3, generator=self.dropout) < 0.9)
        self.carried = 0.9 * self.carried + points[:4, 0]
        wanted = points @ torch.tensor([1.0, -2.0, 0.5]) + self.carried.mean()
        loss = (self.model(points)[:, 0] - wanted).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        result = {"loss": loss.item(), "work": 16.0}
        if settings.breaks_at and self.done >= settings.breaks_at and rate > settings.breaks_above:
            match settings.breaks_by:
                case "nan":
                    result["loss"] = math.nan
                case "explosion":
                    result["loss"] = 1e6
                case "parameter":
                    with torch.no_grad():
                        self.model.weight.fill_(math.nan)
                case "one odd batch":
                    result["loss"] = 1e6 if self.done == settings.breaks_at else result["loss"]
        return result

    def validate(self):
        return (self.model.weight[0] - torch.tensor([1.0, -2.0, 0.5])).square().sum().item()

    def state(self):
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        tensors |= {"dropout": self.dropout.get_state(), "carried": self.carried}
        return TrainingState(
            tensors, {"done": self.done, "generator": generator_numbers(self.generator)}
        )

    def restore(self, state):
        self.model.load_state_dict(
            {k.removeprefix("model."): v for k, v in state.tensors.items() if k[:6] == "model."}
        )
        restore_optimizer(self.optimizer, state.tensors)
        self.dropout.set_state(state.tensors["dropout"])
        self.carried = state.tensors["carried"]
        restore_generator(self.generator, state.numbers["generator"])
        self.done = int(state.numbers["done"])

    def save_policy(self, folder):
        tensors = dict(self.model.state_dict())
        write_tensor_file(folder / "policy.safetensors", "walking policy", tensors, {})

    @classmethod
    def load_policy(cls, folder, instance, demand):
        tensors, _ = read_tensor_file(folder / "policy.safetensors", "walking policy")
        check_same_form(tensors, torch.nn.Linear(3, 1).state_dict(), str(folder))
        policy = BaseStock.fit(instance, demand)
        policy.weights = tensors
        return policy


def subject():
    """A small instance with its demand."""
    instance = random_instance(
        np.random.default_rng(1), items=1, stocking=1, customers=1, horizon=8
    )
    return Subject(instance, fit(instance))


def serve():
    """Run trainings that are asked for, each in a process of its own that may be killed.

    A line of standard input is JSON: learner, settings, folder. Answers are lines too: the process
    of the training, then what `os.waitpid` told of its end. What is imported is imported once.
    """
    torch.set_num_threads(1)
    what, ready = subject(), set()
    for line in sys.stdin:
        learner, given, folder = json.loads(line)
        kind = WalkingLearner if learner == "walking" else find(learner)
        settings = settings_from(kind.settings_class, given)
        if learner not in ready:
            ready.add(learner)
            Job.of(kind.name, what, settings, 0)
            # A gradient here would start threads, which a fork does not take along.
            with torch.no_grad():
                kind.begin(what, settings, 0).validate()
        process = os.fork()
        if process == 0:
            train(what, kind, Path(folder), settings=settings, resume=True)
            os._exit(0)
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
