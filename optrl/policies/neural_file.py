"""A policy network in one file, with the inputs it takes and what it was trained for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from optrl.networks.graph_policy import PolicyNetwork, PolicyShape
from optrl.networks.separate_policies import SeparatePolicies
from optrl.networks.tensor_file import (
    TensorFileError,
    check_same_form,
    read_tensor_file,
    write_tensor_file,
)
from optrl.policies.neural_conditions import LANE_FEATURES, NODE_FEATURES, InputSpace

_KIND = "optrl policy network"
_LARGEST = {
    "slots": 1000,
    "forecast": 1000,
    "width": 65536,
    "depth": 1000,
    "rounds": 1000,
    "copies": 10**7,
    "levels": 1,
}


@dataclass(frozen=True)
class NetworkFile:
    """What a file holds.

    Attributes:
        network: The network, or one for each item and node.
        space: Inputs it takes.
        about: What it was trained for, as JSON.
    """

    network: PolicyNetwork | SeparatePolicies
    space: InputSpace
    about: Mapping[str, Any]


def write_network(
    path: str | os.PathLike[str],
    network: PolicyNetwork | SeparatePolicies,
    space: InputSpace,
    about: Mapping[str, Any],
) -> None:
    """Write a network; the file appears whole or not at all."""
    shape = network.shape
    sizes = {"width": shape.width, "depth": shape.depth, "rounds": shape.rounds}
    sizes["levels"] = int(shape.levels)
    sizes["copies"] = network.copies if isinstance(network, SeparatePolicies) else 0
    document = {
        "sizes": asdict(space) | sizes,
        "node_features": list(NODE_FEATURES),
        "lane_features": list(LANE_FEATURES),
        "about": dict(about),
    }
    write_tensor_file(path, _KIND, network.state_dict(), document)


def read_network(path: str | os.PathLike[str]) -> NetworkFile:
    """Read a network that nobody vouches for.

    Raises:
        TensorFileError: If the file is none, damaged, or of other inputs than this version's.
    """
    tensors, document = read_tensor_file(path, _KIND)
    features = [document.get("node_features"), document.get("lane_features")]
    if features != [list(NODE_FEATURES), list(LANE_FEATURES)]:
        raise TensorFileError(f"{path}: its network takes other inputs: train it again")
    sizes, about = document.get("sizes"), document.get("about")
    if isinstance(sizes, dict):
        # Files written before there were levels name none.
        sizes = {"levels": 0} | sizes
    if not isinstance(sizes, dict) or not isinstance(about, dict) or set(sizes) != set(_LARGEST):
        raise TensorFileError(f"{path}: its document does not describe a policy network")
    for name, largest in _LARGEST.items():
        if type(sizes[name]) is not int or not 0 <= sizes[name] <= largest:
            raise TensorFileError(f"{path}: {name} is {sizes[name]!r}, not within 0..{largest}")
    space = InputSpace(sizes["slots"], sizes["forecast"])
    try:
        numbers = sizes["width"], sizes["depth"], sizes["rounds"]
        shape = policy_shape(space, *numbers, levels=bool(sizes["levels"]))
    except ValueError as error:
        raise TensorFileError(f"{path}: {error}") from error

    def build() -> PolicyNetwork | SeparatePolicies:
        copies = sizes["copies"]
        return SeparatePolicies(shape, copies) if copies else PolicyNetwork(shape)

    with torch.device("meta"):
        expected = build().state_dict()
    check_same_form(tensors, expected, str(path))
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise TensorFileError(f"{path}: weight {name!r} is not finite")
    network = build()
    network.load_state_dict(tensors)
    network.requires_grad_(False)
    return NetworkFile(network, space, about)


def policy_shape(
    space: InputSpace, width: int, depth: int, rounds: int, *, levels: bool = False
) -> PolicyShape:
    """Sizes of a network over the inputs of a space."""
    node, lane = space.node_features, space.lane_features
    return PolicyShape(node, lane, space.slots, width, depth, rounds, levels)
