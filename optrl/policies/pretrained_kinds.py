"""Kinds of nodes that shipped networks were trained for, and which nodes are of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, NodeKind

from optrl.demand.base import DemandModel, TotalShape
from optrl.demand.discrete import Discrete
from optrl.instance import Instance
from optrl.policies.neural_conditions import NODE_FEATURES
from optrl.policies.neural_inputs import NeuralInputs

_SLACK = 1.05


@dataclass(frozen=True)
class Nodes:
    """Nodes of an instance by item; arrays of shape (N, M).

    Attributes:
        inputs: What a network sees of them.
        demand: Their demand.
        instance: The instance.
    """

    inputs: NeuralInputs
    demand: DemandModel
    instance: Instance

    def feature(self, name: str) -> FloatArray:
        """A condition of the network."""
        found: FloatArray = self.inputs.node[..., NODE_FEATURES.index(name)]
        return found

    @cached_property
    def lot(self) -> FloatArray:
        """Lot size of the primary lane."""
        return self.inputs.sourcing.of_lane(self.inputs.sourcing.network.lot_size)

    @cached_property
    def cost_ratio(self) -> FloatArray:
        """Cost of a unit too few over that of a unit too many."""
        return np.exp(2 * self.feature("log_ratio"))

    @cached_property
    def simple(self) -> BoolArray:
        """Steady demand; lanes open in every period, without charges on single orders."""
        sourcing, network = self.inputs.sourcing, self.inputs.sourcing.network
        lanes = self.inputs.lanes
        simple = (sourcing.lead_time_variance == 0) & (not network.closed)
        charged = (network.fixed_cost > 0) | (network.minimum_quantity > 0)
        charged |= network.review_period != 1
        simple &= ~self.fed_by(charged[:, lanes])
        of_period = self.demand.mean(self.instance.start, max(self.instance.horizon, 1))
        changes = of_period.max(axis=2) - of_period.min(axis=2) > 0.01 * of_period.max(axis=2)
        changing: BoolArray = np.einsum("nd,ndm->nm", changes, sourcing.supplies)
        result: BoolArray = simple & ~changing
        return result

    @cached_property
    def plain(self) -> BoolArray:
        """Simple, fed by suppliers alone and feeding nothing."""
        network, lanes = self.inputs.sourcing.network, self.inputs.lanes
        from_stock = network.kind[network.origin[lanes]] != NodeKind.SUPPLIER
        result: BoolArray = self.simple & (self.feature("passed_on") < 1e-9)
        return result & ~self.fed_by(np.broadcast_to(from_stock, (len(result), len(lanes))))

    def fed_by(self, some: BoolArray) -> BoolArray:
        """Nodes that some of the lanes that an item may use, shape (N, R), lead to."""
        network, lanes = self.inputs.sourcing.network, self.inputs.lanes
        to = np.searchsorted(self.inputs.sourcing.stocking, network.destination[lanes])
        fed = np.zeros(self.inputs.scale.shape, dtype=bool)
        np.logical_or.at(fed.T, to, (some & network.allowed[:, lanes]).T)
        return fed


class Kind(Protocol):
    """Nodes that one network was trained for."""

    @property
    def weights(self) -> str:
        """File of the network, among the package's weights."""
        ...

    def covered(self, nodes: Nodes, about: Mapping[str, Any]) -> BoolArray:
        """Which nodes are of the kind and within the ranges of the training, shape (N, M)."""
        ...

    def ranges(self, about: Mapping[str, Any]) -> str:
        """The kind and the ranges in words."""
        ...


class SinglePlacesKind:
    """One supplier; Poisson, geometric or negative binomial demand, lost or waiting."""

    weights = "single_places.safetensors"

    def covered(self, nodes: Nodes, about: Mapping[str, Any]) -> BoolArray:
        """See `Kind`."""
        sourcing, demand = nodes.inputs.sourcing, nodes.demand
        single = nodes.plain & (nodes.feature("choices") == 0)
        single &= np.isin(sourcing.lead_time, about["lead_times"])
        with np.errstate(divide="ignore"):
            mean = 1 / nodes.feature("grain")
        single &= within(mean, about["mean"])
        single &= within(nodes.cost_ratio, about["cost_ratio"])
        # Variance over squared mean is 1 / mean + 1 / size, with 1 / size = 0 for Poisson.
        size = float(about["size"][0])
        single &= nodes.feature("squared_variation") >= 1 / (mean * _SLACK)
        single &= nodes.feature("squared_variation") <= (1 / mean + 1 / size) * _SLACK
        if not isinstance(demand, TotalShape):
            return np.zeros_like(single)
        unit = demand.unit[:, None]
        covered: BoolArray = single & (unit > 0) & ((nodes.lot == 0) | (nodes.lot == unit))
        return covered

    def ranges(self, about: Mapping[str, Any]) -> str:
        """See `Kind`."""
        lead, mean, ratio = about["lead_times"], about["mean"], about["cost_ratio"]
        return (
            f"single places with steady demand, lead times {min(lead)} to {max(lead)}, mean demand "
            f"{mean[0]:g} to {mean[1]:g} units, shortage over holding cost {ratio[0]:g} to "
            f"{ratio[1]:g}"
        )


class DualSourcingKind:
    """A cheap slow supplier and one that delivers at once; demand uniform on 0..u waits."""

    weights = "dual_sourcing.safetensors"

    def covered(self, nodes: Nodes, about: Mapping[str, Any]) -> BoolArray:
        """See `Kind`."""
        sourcing, slots = nodes.inputs.sourcing, nodes.inputs.space.slots
        dual = nodes.plain & (nodes.feature("choices") == 1)
        dual &= sourcing.network.unmet == "backorder"
        dual &= np.isin(sourcing.lead_time, about["lead_times"])
        dual &= np.rint(sourcing.lead_time + slots * nodes.feature("fastest")) == 0
        dual &= within(nodes.cost_ratio, about["cost_ratio"])
        dual &= within(np.expm1(nodes.feature("fast_premium")), about["premium"])
        lots = sourcing.network.lot_size[:, nodes.inputs.lanes]
        dual &= ((lots == 0) | (lots == 1)).all(axis=1)[:, None]
        largest = _largest_of_uniform(nodes)
        low, high = about["largest_demand"]
        covered: BoolArray = dual & (largest >= low) & (largest <= high)
        return covered

    def ranges(self, about: Mapping[str, Any]) -> str:
        """See `Kind`."""
        lead, most, premium = about["lead_times"], about["largest_demand"], about["premium"]
        ratio = about["cost_ratio"]
        return (
            f"places with a second supplier that delivers at once, lead times {min(lead)} to "
            f"{max(lead)}, demand uniform on 0..{most[0]} to 0..{most[1]}, backorder over holding "
            f"cost {ratio[0]:g} to {ratio[1]:g}, premium over holding cost {premium[0]:g} to "
            f"{premium[1]:g}"
        )


def within(values: FloatArray | IntArray, bounds: Sequence[float]) -> BoolArray:
    """Whether values lie between two bounds, or just outside."""
    inside: BoolArray = (values >= bounds[0] / _SLACK) & (values <= bounds[1] * _SLACK)
    return inside


def _largest_of_uniform(nodes: Nodes) -> FloatArray:
    """Largest demand where a node's own is uniform on 0..largest, 0 elsewhere, shape (N, M)."""
    demand, sourcing = nodes.demand, nodes.inputs.sourcing
    if not isinstance(demand, Discrete):
        return np.zeros(nodes.inputs.scale.shape)
    probability = demand.probability
    count = (probability > 0).sum(axis=2)
    steps = np.arange(probability.shape[2]) < count[..., None]
    uniform = np.isclose(probability, steps / count[..., None], rtol=0, atol=1e-6).all(axis=2)
    alone = sourcing.owns.sum(axis=1) == 1
    largest = np.einsum("nd,ndm->nm", np.where(uniform, count - 1, 0), sourcing.owns)
    return np.where(alone, largest, 0)
