"""The kind of systems that the shipped network for one warehouse and its retailers is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray

from optrl.demand.base import DemandModel, TotalShape
from optrl.demand.discrete import Discrete
from optrl.policies.pretrained_kinds import Nodes, within
from optrl.policies.sourcing import NOWHERE

_SLACK = 1.05
_ALIKE = 1.01


class OneWarehouseKind:
    """A warehouse fed by one supplier, whose retailers have the demand; all of it or nothing."""

    weights = "one_warehouse.safetensors"

    def covered(self, nodes: Nodes, about: Mapping[str, Any]) -> BoolArray:
        """See `optrl.policies.pretrained_kinds.Kind`."""
        sourcing = nodes.inputs.sourcing
        network = sourcing.network
        usable = nodes.simple & (nodes.feature("choices") == 0) & (nodes.lot == 1)
        usable &= _whole_units(nodes.demand) and not len(network.serving_lanes)
        holding = network.holding_cost[:, sourcing.stocking]
        # Purchases count: a unit lost is neither bought nor carried.
        ratio = nodes.cost_ratio
        mean = nodes.inputs.scale
        retailer = usable & (sourcing.parent != NOWHERE) & (nodes.feature("passed_on") < 1e-9)
        retailer &= sourcing.owns.sum(axis=1) == 1
        retailer &= within(sourcing.lead_time, about["retailer_lead_times"])
        retailer &= within(mean, about["mean"])
        # The wildest demand trained is normal with deviation 6 and mean 0.4, cut at 0.
        retailer &= nodes.feature("squared_variation") <= 1 / mean + 1.6
        retailer &= within(ratio, about["cost_ratio"])
        warehouse = usable & (sourcing.parent == NOWHERE)
        warehouse &= nodes.feature("passed_on") > 1 - 1e-9
        warehouse &= within(sourcing.lead_time, about["warehouse_lead_times"])
        covered: BoolArray = np.zeros_like(usable)
        for w in np.flatnonzero(warehouse.any(axis=0)):
            below = sourcing.parent == w
            some = below.sum(axis=1)
            tree = warehouse[:, w] & (retailer | ~below).all(axis=1)
            tree &= within(some, about["retailers"])
            low, high = _extent(holding, below)
            bounds = about["warehouse_holding_cost"]
            tree &= (high <= low * _ALIKE) & within(holding[:, w], [b * low for b in bounds])
            low, high = _extent(ratio, below)
            tree &= high <= low * _ALIKE
            covered |= tree[:, None] & below
            covered[:, w] |= tree
        return covered

    def ranges(self, about: Mapping[str, Any]) -> str:
        """See `optrl.policies.pretrained_kinds.Kind`."""
        number, mean, ratio = about["retailers"], about["mean"], about["cost_ratio"]
        above, below = about["warehouse_lead_times"], about["retailer_lead_times"]
        return (
            f"one warehouse with {number[0]} to {number[1]} retailers, lead times {above[0]} to "
            f"{above[1]} and {below[0]} to {below[1]}, mean demand {mean[0]:g} to {mean[1]:g} "
            f"units, shortage over holding cost {ratio[0]:g} to {ratio[1]:g}"
        )


def _whole_units(demand: DemandModel) -> bool:
    """Whether all demand comes in units of 1."""
    if isinstance(demand, Discrete):
        return True
    return isinstance(demand, TotalShape) and bool((demand.unit == 1).all())


def _extent(values: FloatArray, some: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest of an item's values at some nodes, shape (N,); infinite at none."""
    low = np.where(some, values, np.inf).min(axis=1)
    return low, np.where(some, values, -np.inf).max(axis=1)
