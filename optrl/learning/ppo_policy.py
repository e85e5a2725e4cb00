"""A policy trained by PPO, played without what trained it: the network of its mean action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.env.encoding import Encoding, EncodingSettings
from optrl.instance import Instance
from optrl.learning.base import TrainingError
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file
from optrl.simulation.state import Decision, State

KIND = "optrl policy of ppo"
FILE = "policy.safetensors"
_LAYERS = 32
"""Layers of a network that is read, at most."""


class PPOPolicy:
    """Plays the mean of the action distribution.

    Args:
        network: Observations to mean actions.
        encoding: Its encoding.
    """

    name: ClassVar[str] = "ppo"

    def __init__(self, network: torch.nn.Sequential, encoding: Encoding) -> None:
        self.network, self.encoding = network, encoding

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], encoding: Encoding) -> PPOPolicy:
        """The policy of weights and biases, ``0.weight``, ``0.bias``, ``2.weight`` and so on."""
        widths = [int(t.shape[0]) for name, t in tensors.items() if name.endswith("weight")]
        network = _network([encoding.size, *widths])
        network.load_state_dict(dict(tensors), assign=True)
        return cls(network.requires_grad_(False), encoding)

    def save(self, folder: Path) -> None:
        """Write the policy into a folder."""
        state = self.network.state_dict()
        widths = [int(t.shape[0]) for name, t in state.items() if name.endswith("weight")]
        document = {"widths": widths, "encoding": asdict(self.encoding.settings)}
        write_tensor_file(folder / FILE, KIND, state, document)

    @classmethod
    def load(cls, folder: Path, instance: Instance, demand: DemandModel) -> PPOPolicy:
        """The policy of a folder.

        Args:
            folder: The folder.
            instance: An instance of the same lanes, items and nodes as in training.
            demand: What is believed about its demand.

        Raises:
            optrl.errors.OptrlError: If the folder holds none, or one of another shape.
        """
        place = folder / FILE
        tensors, document = read_tensor_file(place, KIND)
        try:
            settings = TypeAdapter(EncodingSettings).validate_python(document.get("encoding"))
            widths = TypeAdapter(list[int]).validate_python(document.get("widths"))
        except ValidationError as error:
            raise TrainingError(f"{place} does not say how it was encoded: {error}") from error
        if not 1 <= len(widths) <= _LAYERS or not all(1 <= width < 2**24 for width in widths):
            raise TrainingError(
                f"{place} is of a network of {len(widths)} layers, which is not read"
            )
        encoding = Encoding(instance, demand, settings)
        observed = int(tensors["0.weight"].shape[-1]) if "0.weight" in tensors else 0
        if (observed, widths[-1]) != (encoding.size, encoding.actions):
            raise TrainingError(
                f"{place} was trained on observations of length {observed} and actions of length "
                f"{widths[-1]}; instance {instance.name!r} has {encoding.size} and "
                f"{encoding.actions}: train on this instance"
            )
        # Without memory behind it, so that no size a file states is made before it is checked.
        with torch.device("meta"):
            expected = _network([observed, *widths]).state_dict()
        check_same_form(tensors, expected, str(place))
        return cls.of({name: tensors[name] for name in expected}, encoding)

    def decide(self, state: State, period: int) -> Decision:
        """The orders of the mean action."""
        with torch.no_grad():
            mean = self.network(self.encoding.observe(state, period))
        return Decision(order=self.encoding.orders(mean, state, period))


def actor_tensors(policy: Any) -> dict[str, Tensor]:
    """Weights of the mean action of a policy of stable-baselines3, as `PPOPolicy.of` takes them."""
    found = {
        name: value.detach().clone()
        for name, value in policy.mlp_extractor.policy_net.state_dict().items()
    }
    last = 2 * (len(found) // 2)
    for name, value in policy.action_net.state_dict().items():
        found[f"{last}.{name}"] = value.detach().clone()
    return found


def _network(widths: Sequence[int]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [torch.nn.Linear(inner, outer), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])
