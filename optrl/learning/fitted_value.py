"""Fitted value functions: what states cost under a teacher, learned and put into a short program.

Rounds alternate two things. States after decisions are gathered and valued; then an input-convex
network is fitted to values and gradients. The policy that comes of it is `cost_to_go`: a program of
one period that ends in the network, one step of policy improvement over the teacher, which keeps
all limits.

In the first round states lie about those of the teacher, and rollouts of the teacher value them,
with pathwise gradients (`rollout_targets`). From the second round on every other batch of states
is met by the program with the value function as it is, so that it is right where the program
goes. They are valued as ``targets`` says: by rollouts of the teacher still, or by programs that end
in the value function, whose duals are the gradients (`program_targets`): then rounds are
approximate policy iteration. Values of programs count up from period to period where costs are
not discounted, so that they are shifted to agree with the value function on average.

The teacher is a policy by name or the folder of a training, such as one of ``pathwise``.

Source: Powell (2011), Approximate Dynamic Programming, 2nd ed., chapter 10 (approximate policy
iteration); Czarnecki et al. (2017), Sobolev training for neural networks, NeurIPS 30 (gradients as
targets); Bertsekas (2019), Reinforcement Learning and Optimal Control, section 2.4 (rollout).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import NodeKind

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.base import LearnerSettings, Subject, TrainingError, TrainingState
from optrl.learning.folder import load_policy as load_trained
from optrl.learning.gradient_steps import GradientSteps
from optrl.learning.program_targets import ProgramTargets
from optrl.learning.rollout_targets import RolloutTargets, continuous
from optrl.learning.state import generator_numbers, restore_generator
from optrl.learning.state_sampling import StateSampler
from optrl.learning.value_columns import columns_by_node, moved_columns, order_scale
from optrl.networks.blockwise_convex import BlockwiseConvexNetwork
from optrl.policies import find, names
from optrl.policies.cost_to_go import CostToGo
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.values.input_convex import InputConvex
from optrl.values.state_columns import StateColumns

_TARGETS = ("rollout", "program")


@dataclass(frozen=True, kw_only=True)
class FittedValueSettings(LearnerSettings):
    """How to learn. An update is a batch of states valued, or some steps of fitting.

    Attributes:
        teacher: Name of a policy, or folder of a training.
        rounds: Times that states are gathered and the network is fitted; divides `updates`.
        gathering: Updates of a round in which states are gathered.
        states: States gathered in such an update.
        replicates: Demand paths of each state.
        periods: Periods simulated of each path.
        targets: What values the states that the program meets: "rollout" or "program".
        program_states: States of a gathering update that programs value, up to `states`; the
            others of the batch stay as the round before had them.
        program_replicates: Demand paths of each of these.
        program_periods: Periods of these programs.
        noise: Disturbance of orders, see `StateSampler`.
        steps: Steps of Adam in an update of fitting.
        batch: States of a step.
        learning_rate: Largest of the cycle, which begins anew with each round.
        value_weight: Weight of squared differences of values, against gradients.
        group_hidden: Units of the hidden layers of a node's network.
        joint_hidden: Units of those of the joint network.
        widths: Over which rectifiers are smoothed, at the first and last step.
        kinks: Rectifiers in place of a smoothed one in the program.
        validation_paths: Paths of a validation.
        validation_periods: Periods of a validation that count.
    """

    updates: int = 200
    checkpoint_every: int = 25
    validate_every: int = 200
    exploding: float | None = None
    teacher: str = "base_stock"
    rounds: int = 1
    gathering: int = 40
    states: int = 512
    replicates: int = 32
    periods: int = 20
    targets: str = "rollout"
    program_states: int = 32
    program_replicates: int = 8
    program_periods: int = 1
    noise: float = 0.2
    steps: int = 25
    batch: int = 1024
    learning_rate: float = 1e-2
    value_weight: float = 0.02
    group_hidden: tuple[int, ...] = (12, 8)
    joint_hidden: tuple[int, ...] = (32, 16)
    widths: tuple[float, ...] = (2.0, 0.7)
    kinks: int = 3
    validation_paths: int = 8
    validation_periods: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "rounds", "gathering", "states", "replicates", "steps", "batch", "kinks")
        self._at_least(1, "program_states", "program_replicates", "program_periods")
        self._at_least(1, "validation_paths", "validation_periods")
        self._at_least(2, "periods")
        self._at_least(0, "noise", "value_weight")
        self._positive("learning_rate")
        if self.targets not in _TARGETS:
            raise TrainingError(f"targets is {self.targets!r}; it must be one of {_TARGETS}")
        if self.updates % self.rounds or self.updates // self.rounds <= self.gathering:
            raise TrainingError(
                f"{self.updates} updates must be a multiple of {self.rounds} rounds of more than "
                f"the {self.gathering} updates that gather"
            )
        for name in ("group_hidden", "joint_hidden", "widths"):
            if len(getattr(self, name)) != 2 or not all(x > 0 for x in getattr(self, name)):
                raise TrainingError(f"{name} is {getattr(self, name)}; give two positive numbers")
        if self.validate_every % (self.updates // self.rounds):
            raise TrainingError(
                f"validate_every is {self.validate_every}; validate at the end of rounds, at "
                f"multiples of {self.updates // self.rounds} updates"
            )


class FittedValue:
    """Learns a value function of states after decisions.

    Args:
        subject: What to train on; endless.
        settings: How.
        seed: Of first weights, demand and disturbances.
    """

    name: ClassVar[str] = "fitted_value"
    settings_class: ClassVar[type[LearnerSettings]] = FittedValueSettings

    learning_rate_factor: float

    def __init__(self, subject: Subject, settings: FittedValueSettings, seed: int) -> None:
        if not subject.endless:
            raise TrainingError(
                "fitted_value learns one function for all periods: train it on a run without end, "
                "such as a test bed"
            )
        self._subject, self._settings, self._seed = subject, settings, seed
        self.learning_rate_factor = 1.0
        self._instance = continuous(subject.instance)
        self._teacher = _teacher(settings.teacher, self._instance, subject.demand)
        self.columns = StateColumns.of(subject.instance)
        self.network = BlockwiseConvexNetwork(
            self.columns.size,
            columns_by_node(self.columns),
            (settings.group_hidden[0], settings.group_hidden[1]),
            (settings.joint_hidden[0], settings.joint_hidden[1]),
            generator=torch.Generator().manual_seed(seed),
        )
        self._steps = GradientSteps(self.network)
        self._generator = np.random.default_rng(seed)
        self._targets = RolloutTargets(
            self._instance,
            subject.demand,
            self._teacher,
            self.columns,
            periods=settings.periods,
            replicates=settings.replicates,
        )
        scale = order_scale(self._instance, subject.demand)
        self._samplers = [
            StateSampler(
                self._instance,
                subject.demand,
                self._teacher,
                paths=settings.states,
                spacing=4,
                noise=settings.noise,
                scale=scale,
            ),
            # Decided by programs, one after the other: fewer paths, states of every period.
            StateSampler(
                self._instance,
                subject.demand,
                self._teacher,
                paths=max(1, settings.states // 8),
                spacing=1,
                noise=settings.noise,
                scale=scale,
            ),
        ]
        size = settings.states * settings.gathering
        self._data = {
            "arguments": torch.zeros(size, self.columns.size),
            "values": torch.zeros(size),
            "gradients": torch.zeros(size, self.columns.size),
        }
        moved = moved_columns(subject.instance, self.columns)
        self._weights = torch.from_numpy(np.where(moved, 3.0, 1.0)).float()
        self._done, self._loss = 0, 1.0

    @classmethod
    def begin(cls, subject: Subject, settings: FittedValueSettings, seed: int) -> Self:
        """The learner before its first update."""
        return cls(subject, settings, seed)

    @property
    def total(self) -> int:
        """Updates in total."""
        return self._settings.updates

    @property
    def _round(self) -> int:
        return self._settings.updates // self._settings.rounds

    def update(self) -> dict[str, float]:
        """Value a batch of states, or take some steps of fitting."""
        step = self._done % self._round
        fits = step >= self._settings.gathering
        metrics = self._fit(step - self._settings.gathering) if fits else self._gather(step)
        self._done += 1
        return metrics

    def _gather(self, step: int) -> dict[str, float]:
        settings = self._settings
        met = int(self._done >= self._round and step % 2)
        sampler = self._samplers[met]
        if met:
            sampler.policy = self.policy(self._instance, self._subject.demand)
        if sampler.period == self._instance.start:
            sampler.skip(15 if met else 40, self._generator)
        by_program = bool(met) and settings.targets == "program"
        wanted = min(settings.program_states, settings.states) if by_program else settings.states
        value_of = self._by_programs() if by_program else self._targets
        batches, taken = [], 0
        while taken < wanted:
            states, period = sampler.take(self._generator)
            states = states.some(slice(0, wanted - taken))
            values, gradients = value_of(states, period, self._generator)
            batches.append((states.columns(self.columns), values, gradients))
            taken += len(states)
        arguments, values, gradients = (torch.cat(part) for part in zip(*batches, strict=True))
        if by_program:
            known = torch.from_numpy(self.value()(arguments.double().numpy())).float()
            values = values - (values - known).mean()
        place = slice(step * settings.states, step * settings.states + wanted)
        found = {"arguments": arguments, "values": values, "gradients": gradients}
        for name, numbers in found.items():
            self._data[name][place] = numbers
        each = settings.replicates * settings.periods
        if by_program:
            each = settings.program_replicates * settings.program_periods
        nodes = int((self._instance.network.kind == NodeKind.STOCKING).sum())
        items = len(self._instance.network.items)
        return {"loss": self._loss, "work": float(taken * each * nodes * items)}

    def _by_programs(self) -> ProgramTargets:
        """Programs that end in the value function; made anew, so that they know no history."""
        settings = self._settings
        return ProgramTargets(
            self._instance,
            self._subject.demand,
            self.value(),
            self.columns,
            periods=settings.program_periods,
            replicates=settings.program_replicates,
        )

    def _fit(self, update: int) -> dict[str, float]:
        settings, data = self._settings, self._data
        if not update and self._done < self._round:
            self.network.scale_to(data["arguments"], data["values"])
        # Gradients in units of their own spread: the loss is the share that is not explained.
        unit = float((data["gradients"].var(dim=0) * self._weights).sum().clamp(min=1e-12))
        spread = float(data["values"].var().clamp(min=1e-12))
        whole = (self._round - settings.gathering) * settings.steps
        total, norm, rate = 0.0, 0.0, 0.0
        for k in range(settings.steps):
            done = update * settings.steps + k
            chosen = self._generator.integers(0, len(data["values"]), settings.batch)
            index = torch.from_numpy(chosen)
            x = data["arguments"][index].requires_grad_(True)
            value = self.network(x, self._width(done / whole))
            (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            off = ((slope - data["gradients"][index]) ** 2 * self._weights).sum(dim=1).mean()
            apart = ((value - data["values"][index]) ** 2).mean()
            loss = off / unit + settings.value_weight * apart / spread
            rate = self._steps.cycle(done, whole, 0.3)
            rate *= settings.learning_rate * self.learning_rate_factor
            norm = self._steps.descend(loss, rate, 10.0)
            total += float(loss.detach())
        self._loss = total / settings.steps
        return {"loss": self._loss, "gradient_norm": norm, "learning_rate": rate, "work": 0.0}

    def _width(self, share: float) -> float:
        first, last = self._settings.widths
        return float(first * (last / first) ** share)

    def value(self) -> InputConvex:
        """The value function as it is now."""
        # In a round's first part the network is what the round before left.
        fitted = self._done % self._round - self._settings.gathering
        share = fitted / (self._round - self._settings.gathering) if fitted > 0 else 1.0
        arrays = self.network.export(self._width(share), self._settings.kinks)
        return InputConvex.of_arrays(arrays)

    def policy(self, instance: Instance, demand: DemandModel) -> CostToGo:
        """The program with the value function as it is now."""
        return CostToGo.with_value(instance, demand, self.value(), self.columns)

    def validate(self) -> float:
        """Cost a period of the program's decisions on fixed paths."""
        subject, settings = self._subject, self._settings
        warm_up = min(subject.warm_up, 50)
        periods = warm_up + settings.validation_periods
        demand = subject.demand.sample(
            settings.validation_paths,
            subject.instance.start,
            periods,
            np.random.default_rng(1_000_003),
        )
        policy = self.policy(subject.instance, subject.demand)
        run = simulate(
            subject.instance,
            policy,
            demand,
            seed=1_000_003,
            warm_up=warm_up,
            dtype=torch.float64,
        )
        return float(run.period_cost[:, warm_up:].mean())

    def state(self) -> TrainingState:
        """The state now."""
        tensors = self._steps.tensors()
        tensors |= {f"buffer.{name}": tensor for name, tensor in self.network.named_buffers()}
        tensors |= {f"data.{name}": tensor for name, tensor in self._data.items()}
        for k, sampler in enumerate(self._samplers):
            tensors |= {f"paths{k}.{name}": x for name, x in sampler.tensors().items()}
        return TrainingState(
            tensors,
            {
                "done": self._done,
                "loss": self._loss,
                "periods": [sampler.period for sampler in self._samplers],
                "generator": generator_numbers(self._generator),
            },
        )

    def restore(self, state: TrainingState) -> None:
        """Go to a state."""
        self._steps.restore(state.tensors)
        for name, buffer in self.network.named_buffers():
            buffer.copy_(state.tensors[f"buffer.{name}"])
        for name, tensor in self._data.items():
            tensor.copy_(state.tensors[f"data.{name}"])
        numbers: Any = state.numbers
        for k, sampler in enumerate(self._samplers):
            found = {name: state.tensors[f"paths{k}.{name}"] for name in sampler.tensors()}
            sampler.restore(found, int(numbers["periods"][k]))
        self._done, self._loss = int(numbers["done"]), float(numbers["loss"])
        restore_generator(self._generator, numbers["generator"])

    def save_policy(self, folder: Path) -> None:
        """Write the value function as it is now."""
        self.policy(self._subject.instance, self._subject.demand).save(folder)

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> DecidingPolicy:
        """The program with the value function of a folder.

        Raises:
            optrl.errors.OptrlError: If the folder holds none, or one that does not fit.
        """
        return CostToGo.load(folder, instance, demand)


def _teacher(name: str, instance: Instance, demand: DemandModel) -> DecidingPolicy:
    if name in names():
        return find(name).fit(instance, demand)
    policy = load_trained(name, instance, demand)
    for parameter in getattr(getattr(policy, "network", None), "parameters", list)():
        parameter.requires_grad_(False)
    return policy
