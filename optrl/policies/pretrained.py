"""A policy network that was trained beforehand: near optimal without any training here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import resources
from typing import Any, ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel, TotalShape
from optrl.instance import Instance
from optrl.networks.tensor_file import TensorFileError
from optrl.policies.base_stock import BaseStock
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import NODE_FEATURES
from optrl.policies.neural_file import read_network
from optrl.policies.neural_inputs import NeuralInputs, rows_tensor
from optrl.simulation.state import Decision, State

WEIGHTS = "single_places.safetensors"
_SLACK = 1.05


class UntrainedWarning(UserWarning):
    """Some nodes are not of the kind that the network was trained for."""


class Pretrained:
    """One network for single places with steady integer demand, lost sales or backorders.

    It was trained for stocking nodes that are fed by one lane from a supplier and feed no other
    stocking node, with Poisson, geometric or negative binomial demand, reviewed every period, for
    the range of means, lead times and cost ratios that the file of its weights states (`covered`).
    Other nodes follow base stock, and a warning says how many. Orders are whole units of demand.
    Limits that items share or that hold for single orders are not seen by the network; the dynamics
    cut what is not possible.

    The weights were learned by `optrl.learning.generalist` in two runs, some 1,300 CPU seconds
    together; the first began with larger random weights than it does now:

        optrl train lost-sales/poisson-p9-L4 --learner generalist --out A
        optrl train lost-sales/poisson-p9-L4 --learner generalist --updates 1500 --seed 1
            --set start=A/policy/policy.safetensors --set paths=64 --set learning_rate=1.5e-3
            --set rise=0.1 --set validate_every=250 --set checkpoint_every=125 --out B
        cp B/policy/policy.safetensors optrl/policies/weights/single_places.safetensors

    Args:
        neural: The network's orders.
        base_stock: Orders of nodes it was not trained for, or None where there are none.
        covered: Nodes it was trained for, by item, shape (N, M).
        unit: Demand comes in multiples of it, shape (N,).
    """

    name: ClassVar[str] = "pretrained"

    def __init__(
        self,
        neural: NeuralPolicy,
        base_stock: BaseStock | None,
        covered: BoolArray,
        unit: FloatArray,
    ) -> None:
        self._neural, self._base_stock, self._covered = neural, base_stock, covered
        self._unit = unit
        whole = np.where(unit > 0, unit, 1.0)
        self._whole = torch.from_numpy(whole)[:, None]
        inputs = neural.inputs
        network = inputs.sourcing.network
        to = np.searchsorted(inputs.sourcing.stocking, network.destination[inputs.lanes])
        self._mask: Tensor = rows_tensor(covered[:, to].astype(float), torch.float32) > 0

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Load the weights; deterministic, whatever the seed.

        Raises:
            optrl.networks.tensor_file.TensorFileError: If the package's weights are damaged.
        """
        with resources.as_file(resources.files("optrl.policies") / "weights" / WEIGHTS) as path:
            file = read_network(path)
        inputs = NeuralInputs.of(instance, demand, file.space)
        covered = trained_for(inputs, demand, instance, file.about)
        other = None
        if not covered.all():
            message = (
                f"{(~covered).sum()} of {covered.size} pairs of item and node of "
                f"{instance.name!r} are outside of what the pretrained network was trained for and "
                f"follow base stock; it is for single places with steady demand, "
                f"{_ranges(file.about)}"
            )
            warnings.warn(message, UntrainedWarning, stacklevel=2)
            other = BaseStock.fit(instance, demand, seed)
        neural = NeuralPolicy(file.network, inputs, instance.due.shape[2])
        unit = demand.unit if isinstance(demand, TotalShape) else np.zeros(len(covered))
        return cls(neural, other, covered, unit)

    def for_items(self, items: slice) -> Self:
        """The policy of some items."""
        other = None if self._base_stock is None else self._base_stock.for_items(items)
        neural = self._neural.for_items(items)
        return type(self)(neural, other, self._covered[items], self._unit[items])

    def decide(self, state: State, period: int) -> Decision:
        """Orders of all lanes."""
        order = self._neural.decide(state, period).order
        whole = self._whole.to(order.dtype)
        order = (order / whole + 0.5).floor() * whole
        if self._base_stock is not None:
            classical = self._base_stock.decide(state, period).order
            order = torch.where(self._mask.permute(1, 2, 0), order, classical.to(order.dtype))
        return Decision(order)


def trained_for(
    inputs: NeuralInputs, demand: DemandModel, instance: Instance, about: Mapping[str, Any]
) -> BoolArray:
    """Nodes, by item, that a network for single places was trained for, shape (N, M).

    Args:
        inputs: What the network sees of the instance.
        demand: Its demand model.
        instance: The instance.
        about: Ranges of the training, as its file states them.

    Raises:
        TensorFileError: If `about` states none.
    """
    sourcing, network = inputs.sourcing, inputs.sourcing.network
    try:
        leads = [int(lead) for lead in about["lead_times"]]
        means, ratios, sizes = (
            (float(about[key][0]), float(about[key][1])) for key in ("mean", "cost_ratio", "size")
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TensorFileError(f"the weights do not state what they are for: {error}") from error
    feature = {name: inputs.node[..., k] for k, name in enumerate(NODE_FEATURES)}
    single = feature["choices"] == 0
    single &= (feature["fed_from_stock"] == 0) & (feature["passed_on"] < 1e-9)
    single &= np.isin(sourcing.lead_time, leads) & (sourcing.review == 1)
    single &= sourcing.lead_time_variance == 0
    with np.errstate(divide="ignore"):
        mean = 1 / feature["grain"]
    single &= _within(mean, means)
    single &= _within(np.exp(2 * feature["log_ratio"]), ratios)
    # Variance over squared mean is 1 / mean + 1 / size, with 1 / size = 0 for Poisson.
    single &= feature["squared_variation"] >= 1 / (mean * _SLACK)
    single &= feature["squared_variation"] <= (1 / mean + 1 / sizes[0]) * _SLACK
    lot = sourcing.of_lane(network.lot_size[inputs.items])
    unit = demand.unit[inputs.items] if isinstance(demand, TotalShape) else np.zeros(len(lot))
    single &= (unit[:, None] > 0) & ((lot == 0) | (lot == unit[:, None]))
    for charge in (network.fixed_cost, network.minimum_quantity):
        single &= sourcing.of_lane(charge[inputs.items]) == 0
    of_period = demand.mean(instance.start, max(instance.horizon, 1))[inputs.items]
    steady = (of_period.max(axis=2) - of_period.min(axis=2)) <= 0.01 * of_period.max(axis=2)
    single &= ~np.einsum("nd,ndm->nm", ~steady, sourcing.supplies)
    known: BoolArray = single & (not network.closed)
    return known


def _within(values: np.ndarray, bounds: tuple[float, float]) -> BoolArray:
    inside: BoolArray = (values >= bounds[0] / _SLACK) & (values <= bounds[1] * _SLACK)
    return inside


def _ranges(about: Mapping[str, Any]) -> str:
    lead, mean, ratio = about["lead_times"], about["mean"], about["cost_ratio"]
    return (
        f"lead times {min(lead)} to {max(lead)}, mean demand {mean[0]:g} to {mean[1]:g} units, "
        f"shortage over holding cost {ratio[0]:g} to {ratio[1]:g}"
    )
