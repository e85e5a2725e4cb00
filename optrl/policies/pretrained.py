"""Policy networks that were trained beforehand: near optimal without any training here."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray, IntArray, NodeKind
from torch import Tensor

from optrl.demand.base import DemandModel, TotalShape
from optrl.instance import Instance
from optrl.networks.tensor_file import TensorFileError
from optrl.policies.base_stock import BaseStock
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_file import NetworkFile, read_network
from optrl.policies.neural_inputs import NeuralInputs, rows_tensor
from optrl.policies.pretrained_kinds import DualSourcingKind, Kind, Nodes, SinglePlacesKind
from optrl.policies.pretrained_one_warehouse import OneWarehouseKind
from optrl.simulation.state import Decision, State

KINDS: tuple[Kind, ...] = (SinglePlacesKind(), DualSourcingKind(), OneWarehouseKind())
"""Kinds with a shipped network."""


class UntrainedWarning(UserWarning):
    """Some nodes are not of a kind that a network was trained for."""


@dataclass(frozen=True)
class Trained:
    """A network with the nodes that it decides.

    Attributes:
        neural: Its orders.
        covered: Nodes it was trained for, by item, shape (N, M).
    """

    neural: NeuralPolicy
    covered: BoolArray

    def for_items(self, items: slice) -> Trained:
        """Those of some items."""
        return Trained(self.neural.for_items(items), self.covered[items])

    def lanes(self) -> Tensor:
        """Lanes it decides, shape (1, N, R)."""
        inputs = self.neural.inputs
        network = inputs.sourcing.network
        to: IntArray = np.searchsorted(inputs.sourcing.stocking, network.destination[inputs.lanes])
        mask = rows_tensor(self.covered[:, to].astype(float), torch.float32) > 0
        return mask.permute(1, 2, 0)


class Pretrained:
    """Networks for steady integer demand, one for each kind of place.

    One decides single places, lost sales or backorders, with Poisson, geometric or negative
    binomial demand; one decides places with a slow supplier and a dearer one that delivers at once,
    where demand is uniform on 0..u and waits; one decides a warehouse and all its retailers, whose
    demand has any distribution. All are reviewed every period, and the file of a network's weights
    states the means, lead times and costs it was trained for (`Kind.covered`). Other nodes follow
    base stock, and a warning says how many. Orders are whole units of demand. Limits that items
    share or that hold for single orders are not seen by the networks; the dynamics cut what is not
    possible.

    The weights were learned by `optrl.learning.generalist`. Single places, some
    1,300 CPU seconds together; the first began with larger random weights than it does now:

        optrl train lost-sales/poisson-p9-L4 --learner generalist --out A
        optrl train lost-sales/poisson-p9-L4 --learner generalist --updates 1500 --seed 1
            --set start=A/policy/policy.safetensors --set paths=64 --set learning_rate=1.5e-3
            --set rise=0.1 --set validate_every=250 --set checkpoint_every=125 --out B
        cp B/policy/policy.safetensors optrl/policies/weights/single_places.safetensors

    Dual sourcing, some 800 CPU seconds, in whole lots (`optrl.learning.whole_lots`):

        optrl train dual-sourcing/l4-ce110 --learner generalist --updates 5000
            --set "family=dual sourcing" --set lots=true --set systems=160 --set paths=12
            --set periods=14 --set clip=5 --set learning_rate=4e-3 --out A
        optrl train dual-sourcing/l4-ce110 --learner generalist --updates 3000 --seed 1
            --set "family=dual sourcing" --set lots=true --set systems=160 --set paths=16
            --set periods=14 --set clip=5 --set learning_rate=2e-3 --set rise=0.1 --set window=0.6
            --set start=A/policy/policy.safetensors --out B
        cp B/policy/policy.safetensors optrl/policies/weights/dual_sourcing.safetensors

    One warehouse, some 330 CPU seconds:

        optrl train one-warehouse-multi-retailer/1 --learner generalist --updates 700
            --set "family=one warehouse" --set rounds=1 --set levels=true --set width=32
            --set depth=2 --set systems=42 --set paths=16 --set periods=30 --set restart=10
            --set later_groups_every=1 --set learning_rate=5e-3 --set validate_every=100
            --set checkpoint_every=50 --out A
        cp A/policy/policy.safetensors optrl/policies/weights/one_warehouse.safetensors

    Args:
        trained: Networks and their nodes, which do not overlap.
        base_stock: Orders of nodes that none was trained for, or None where there are none.
        unit: Demand comes in multiples of it, shape (N,).
    """

    name: ClassVar[str] = "pretrained"

    def __init__(
        self, trained: Sequence[Trained], base_stock: BaseStock | None, unit: FloatArray
    ) -> None:
        self._trained, self._base_stock, self._unit = tuple(trained), base_stock, unit
        self._whole = torch.from_numpy(np.where(unit > 0, unit, 1.0))[:, None]
        self._lanes = [each.lanes() for each in self._trained]

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Load the weights; deterministic, whatever the seed.

        Raises:
            optrl.networks.tensor_file.TensorFileError: If the package's weights are damaged.
        """
        trained: list[Trained] = []
        ranges = []
        shape = (
            len(instance.network.items),
            int((instance.network.kind == NodeKind.STOCKING).sum()),
        )
        left = np.ones(shape, dtype=bool)
        for kind in KINDS:
            file = _read(kind)
            ranges.append(kind.ranges(file.about))
            inputs = NeuralInputs.of(instance, demand, file.space)
            covered = _covered(kind, Nodes(inputs, demand, instance), file)
            if covered.any():
                neural = NeuralPolicy(file.network, inputs, instance.due.shape[2])
                trained.append(Trained(neural, covered))
                left &= ~covered
        other = None
        if left.any() or not trained:
            message = (
                f"{left.sum()} of {left.size} pairs of item and node of {instance.name!r} are "
                f"outside of what pretrained networks were trained for and follow base stock; "
                f"there are networks for {'; '.join(ranges)}"
            )
            warnings.warn(message, UntrainedWarning, stacklevel=2)
            other = BaseStock.fit(instance, demand, seed)
        unit = demand.unit if isinstance(demand, TotalShape) else np.zeros(len(left))
        return cls(trained, other, unit)

    def for_items(self, items: slice) -> Self:
        """The policy of some items."""
        other = None if self._base_stock is None else self._base_stock.for_items(items)
        trained = [each.for_items(items) for each in self._trained]
        return type(self)(trained, other, self._unit[items])

    def decide(self, state: State, period: int) -> Decision:
        """Orders of all lanes."""
        order = None
        if self._base_stock is not None:
            order = self._base_stock.decide(state, period).order
        for each, lanes in zip(self._trained, self._lanes, strict=True):
            asked = each.neural.decide(state, period).order
            whole = self._whole.to(asked.dtype)
            asked = (asked / whole + 0.5).floor() * whole
            order = asked if order is None else torch.where(lanes, asked, order.to(asked.dtype))
        assert order is not None
        return Decision(order)


def _read(kind: Kind) -> NetworkFile:
    with resources.as_file(resources.files("optrl.policies") / "weights" / kind.weights) as path:
        return read_network(path)


def _covered(kind: Kind, nodes: Nodes, file: NetworkFile) -> BoolArray:
    try:
        return kind.covered(nodes, file.about)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TensorFileError(
            f"{kind.weights} does not state what its network is for: {error}"
        ) from error
