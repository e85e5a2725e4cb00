"""Policies learned by the gradient of simulated cost, taken through the simulator.

Demand does not depend on what is decided, so that the cost of a simulated path has a derivative
with respect to every weight of the policy: the pathwise gradient, exact up to kinks. An update
simulates some periods from where the last one stopped, cuts the gradient there, and takes a step of
Adam.
Every `restart` updates all paths begin anew. The learning rate follows one cycle.

Lots, minimum quantities and fixed costs have gradients of zero and are left out while learning; the
policy rounds its orders to lots when it plays. Where a lot is much of an order, `lots` learns with
orders as they are played (`optrl.learning.whole_lots`).

Source: Glasserman & Tayur (1995), Sensitivity analysis for base-stock levels in multiechelon
production-inventory systems, Management Science 41(2); Alvo, Russo & Kanoria (2023), Neural
inventory control in networks via hindsight differentiable policy optimization (deep networks);
Smith & Topin (2018), Super-convergence (one cycle).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.learning.base import JSON, LearnerSettings, Subject, TrainingError, TrainingState
from optrl.learning.gradient_steps import GradientSteps
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.learning.state import generator_numbers, restore_generator
from optrl.learning.training_instance import TrainingInstance, training_instance
from optrl.learning.whole_lots import WholeLotSystems
from optrl.networks.graph_policy import PolicyNetwork
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape, read_network, write_network
from optrl.policies.neural_inputs import NeuralInputs, conditions
from optrl.simulation.rollout import DecidingPolicy, simulate

POLICY_FILE = "policy.safetensors"


@dataclass(frozen=True, kw_only=True)
class PathwiseSettings(LearnerSettings):
    """How to learn.

    Attributes:
        width: Units of a hidden layer.
        depth: Hidden layers.
        separate: Whether each item at each node has a network of its own; for nodes that are fed
            by one lane each and do not feed others.
        rounds: Rounds of messages between nodes; None for 1 where stocking nodes feed others
            and 0 elsewhere.
        levels: Whether the network moves the levels of echelon base stock, with which learning then
            begins, and shares out scarce stock by them; else it gives orders.
        slots: Periods ahead of which arrivals are told apart; None for the longest lead time.
        forecast: Periods of expected demand among the inputs, 0 where it is steady.
        paths: Demand paths simulated side by side.
        periods: Periods of an update, where the instance is endless.
        restart: Updates after which all paths begin anew, where the instance is endless.
        spread: Whether they begin with shares from 0 to 1 of the instance's first stock.
        cut_charge: What is charged, in the gradient alone, for a unit of mean demand that is asked
            for and cut for want of stock or capacity. What is cut has no gradient, so that orders
            once too large would stay so.
        lots: Whether orders are in whole lots while learning, with gradients from rollouts of
            `periods` (about three lead times do); where the instance is endless.
        window: Lots about the point where rounding changes within which such orders are moved.
        learning_rate: Largest of the cycle.
        rise: Share of the updates in which it rises.
        clip: Largest norm of the gradient.
        start: File of a policy network of the same sizes and inputs to begin with, or None for
            random weights. Separate networks may begin as copies of one network for all.
        validation_paths: Paths of a validation.
        validation_periods: Periods of a validation that count, where the instance is endless.
    """

    updates: int = 1500
    checkpoint_every: int = 250
    validate_every: int = 250
    width: int = 64
    depth: int = 2
    separate: bool = False
    rounds: int | None = None
    levels: bool = False
    slots: int | None = None
    forecast: int = 0
    paths: int = 512
    periods: int = 40
    restart: int = 50
    spread: bool = False
    cut_charge: float = 0.05
    lots: bool = False
    window: float = 1.0
    learning_rate: float = 5e-3
    rise: float = 0.2
    clip: float = 1.0
    start: str | None = None
    validation_paths: int = 256
    validation_periods: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "width", "slots", "paths", "periods", "restart")
        self._at_least(1, "validation_paths", "validation_periods")
        self._at_least(2, "depth")
        self._at_least(0, "rounds", "forecast", "cut_charge")
        self._positive("learning_rate", "clip")
        if self.levels and (self.separate or self.lots):
            raise TrainingError("levels are for one network that learns without `lots`")
        if not 0 < self.window <= 1:
            raise TrainingError(f"window is {self.window}; it must be above 0 and at most 1")
        if not 0 <= self.rise < 1:
            raise TrainingError(f"rise is {self.rise}; it must be at least 0 and below 1")


class Pathwise:
    """Learns one policy network for one instance.

    Args:
        subject: What to train on.
        settings: How.
        seed: Of first weights and demand.
    """

    name: ClassVar[str] = "pathwise"
    settings_class: ClassVar[type[LearnerSettings]] = PathwiseSettings

    learning_rate_factor: float

    def __init__(self, subject: Subject, settings: PathwiseSettings, seed: int) -> None:
        self._subject, self._settings, self._seed = subject, settings, seed
        self.learning_rate_factor = 1.0
        self._space = self._inputs()
        rounds = settings.rounds
        if rounds is None:
            inputs = NeuralInputs.of(subject.instance, subject.demand, self._space)
            rounds = int(inputs.stocked.size > 0 and not settings.separate)
        sizes = settings.width, settings.depth, rounds
        shape = policy_shape(self._space, *sizes, levels=settings.levels)
        self.network: PolicyNetwork | SeparatePolicies = PolicyNetwork.seeded(shape, seed)
        self._clip = settings.clip
        if settings.separate:
            inputs = NeuralInputs.of(subject.instance, subject.demand, self._space)
            self.network = SeparatePolicies.seeded(shape, inputs.scale.size, seed)
            self._clip /= inputs.scale.size**0.5
        if settings.start is not None:
            self._begin_with(settings.start)
        self._steps = GradientSteps(self.network)
        self._generator = np.random.default_rng(seed)
        self._done = 0
        self._systems: list[SimulatedSystems] = []
        self._begin_round()

    @classmethod
    def begin(cls, subject: Subject, settings: PathwiseSettings, seed: int) -> Self:
        """The learner before its first update."""
        return cls(subject, settings, seed)

    def _begin_with(self, path: str) -> None:
        """Take the weights of a file.

        Raises:
            TrainingError: If the file's network has other sizes or inputs.
        """
        file, mine = read_network(path), self.network
        if (file.space, file.network.shape) != (self._space, mine.shape):
            raise TrainingError(
                f"start is {path}, a network of {file.network.shape} over {file.space}; the "
                f"settings ask for {mine.shape} over {self._space}"
            )
        given = file.network
        if isinstance(mine, SeparatePolicies) and isinstance(given, PolicyNetwork):
            inputs = NeuralInputs.of(self._subject.instance, self._subject.demand, self._space)
            node, lane = (conditions(x, torch.float32) for x in (inputs.node, inputs.lane))
            given = SeparatePolicies.of(given, node, lane)
        if type(given) is not type(mine):
            raise TrainingError(f"start is {path}, which holds a network for each item and node")
        mine.load_state_dict(given.state_dict())

    @property
    def total(self) -> int:
        """Updates in total."""
        return self._settings.updates

    def update(self) -> dict[str, float]:
        """Simulate some periods and take one step."""
        settings, groups = self._settings, self._systems
        if self._done and (self._done % settings.restart == 0 or not groups[0].carries):
            self._begin_round()
        endless = self._subject.endless
        periods = settings.periods if endless else self._subject.instance.horizon
        first = self._done * settings.paths
        total = sum(each.count for each in groups)
        loss, work = torch.zeros(()), 0
        for k, each in enumerate(groups):
            if self._takes_part(k):
                cost = each.cost(periods, self._generator, self._seed, first)
                loss = loss + cost * (each.count / total)
                work += each.work * periods
        rate = self._steps.cycle(self._done, settings.updates, settings.rise)
        rate *= settings.learning_rate * self.learning_rate_factor
        norm = self._steps.descend(loss, rate, self._clip)
        self._done += 1
        return {
            "loss": float(loss.detach()),
            "gradient_norm": norm,
            "learning_rate": rate,
            "work": float(work),
        }

    def _takes_part(self, group: int) -> bool:
        """Whether the next update simulates a group of systems."""
        return True

    def _inputs(self) -> InputSpace:
        """Inputs of the network."""
        return InputSpace(_slots(self._settings, self._subject.instance), self._settings.forecast)

    @property
    def _round(self) -> int:
        """Number of the round that the next update belongs to."""
        return self._done // self._settings.restart

    def _draw(self) -> Sequence[TrainingInstance]:
        """What to simulate in the round that begins with the next update."""
        return [self._training]

    @cached_property
    def _training(self) -> TrainingInstance:
        return training_instance(self._subject.instance, self._subject.demand)

    def _begin_round(self) -> None:
        """Let all paths begin anew, in systems drawn anew where there are many."""
        drawn = self._draw()
        if len(drawn) == len(self._systems) and all(
            each.training is training for each, training in zip(self._systems, drawn, strict=True)
        ):
            for each in self._systems:
                each.restart()
            return
        self._systems = [self._simulated(training) for training in drawn]

    def _simulated(self, training: TrainingInstance) -> SimulatedSystems:
        """A training instance with the policy in it."""
        settings, network, space = self._settings, self.network, self._space
        paths, spread, endless = settings.paths, settings.spread, self._subject.endless
        if not settings.lots:
            return SimulatedSystems(
                training,
                network,
                space,
                paths=paths,
                endless=endless,
                spread=spread,
                cut_charge=settings.cut_charge,
            )
        if not endless:
            raise TrainingError("lots: rollouts look past any end; learn without `lots`")
        return WholeLotSystems(
            training, network, space, paths=paths, spread=spread, window=settings.window
        )

    def validate(self) -> float:
        """Cost a period on fixed paths, orders in lots."""
        subject, settings = self._subject, self._settings
        instance, warm_up = subject.instance, 0
        periods = instance.horizon
        if subject.endless:
            warm_up = min(subject.warm_up, 100)
            periods = warm_up + settings.validation_periods
        demand = subject.demand.sample(
            settings.validation_paths, instance.start, periods, np.random.default_rng(1_000_003)
        )
        policy = self.policy(instance, subject.demand)
        run = simulate(instance, policy, demand, seed=1_000_003, warm_up=warm_up)
        if subject.endless:
            return float(run.period_cost[:, warm_up:].mean())
        return float(run.total_cost.mean()) / periods

    def policy(self, instance: Instance, demand: DemandModel) -> NeuralPolicy:
        """The policy as it is now."""
        inputs = NeuralInputs.of(instance, demand, self._space)
        return NeuralPolicy(self.network, inputs, instance.due.shape[2])

    def state(self) -> TrainingState:
        """The state now."""
        tensors = self._steps.tensors()
        numbers: dict[str, JSON] = {"done": self._done}
        for k, each in enumerate(self._systems):
            carried, numbers[f"period{k}"] = each.state()
            tensors |= {f"carried{k}.{name}": tensor for name, tensor in carried.items()}
        numbers |= {"generator": generator_numbers(self._generator)}
        return TrainingState(tensors, numbers)

    def restore(self, state: TrainingState) -> None:
        """Go to a state."""
        self._steps.restore(state.tensors)
        numbers: Any = state.numbers
        self._done = numbers["done"]
        restore_generator(self._generator, numbers["generator"])
        self._done -= self._done > 0
        self._begin_round()
        self._done = numbers["done"]
        for k, each in enumerate(self._systems):
            prefix = f"carried{k}."
            carried = {
                name.removeprefix(prefix): tensor
                for name, tensor in state.tensors.items()
                if name.startswith(prefix)
            }
            each.restore(carried, numbers[f"period{k}"])

    def save_policy(self, folder: Path) -> None:
        """Write the network as it is now."""
        write_network(folder / POLICY_FILE, self.network, self._space, self._about())

    def _about(self) -> dict[str, Any]:
        """How it was trained; of the file it began with the name alone, not where it was."""
        settings = asdict(self._settings)
        if self._settings.start is not None:
            settings["start"] = Path(self._settings.start).name
        return {"learner": self.name, "seed": self._seed, "settings": settings}

    @classmethod
    def load_policy(cls, folder: Path, instance: Instance, demand: DemandModel) -> DecidingPolicy:
        """The policy of a folder, for this or another instance.

        Raises:
            optrl.errors.OptrlError: If the folder holds no such policy.
        """
        file = read_network(folder / POLICY_FILE)
        inputs = NeuralInputs.of(instance, demand, file.space)
        return NeuralPolicy(file.network, inputs, instance.due.shape[2])


def _slots(settings: PathwiseSettings, instance: Instance) -> int:
    if settings.slots is not None:
        return settings.slots
    network = instance.network
    lead = network.lead_time[network.replenishment_lanes].max(initial=1)
    return max(1, min(int(lead), 12))
