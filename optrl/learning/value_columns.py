"""What a learner of value functions needs to know of an instance's columns and lanes."""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import BoolArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.levels import mean_rate
from optrl.policies.sourcing import Sourcing
from optrl.values.state_columns import KINDS, StateColumns


def columns_by_node(columns: StateColumns) -> list[list[int]]:
    """Columns of each item and node."""
    found: dict[tuple[int, int], list[int]] = {}
    for k, place in enumerate(zip(columns.item.tolist(), columns.node.tolist(), strict=True)):
        found.setdefault(place, []).append(k)
    return list(found.values())


def moved_columns(instance: Instance, columns: StateColumns) -> BoolArray:
    """Columns that a decision moves at once, shape (K,): what decisions depend on."""
    network = instance.network
    moved = np.zeros(columns.size, dtype=bool)
    for lane in network.replenishment_lanes.tolist():
        lead = int(network.lead_time[lane])
        into, out = network.destination[lane], network.origin[lane]
        stock = columns.kind == KINDS.index("on_hand")
        moved |= stock & (columns.node == out)
        if lead:
            due = columns.kind == KINDS.index("due")
            moved |= due & (columns.node == into) & (columns.slot == lead - 1)
        else:
            moved |= stock & (columns.node == into)
    return moved


def order_scale(instance: Instance, demand: DemandModel) -> Tensor:
    """Expected demand that passes each lane's destination, shape (N, lanes)."""
    sourcing = Sourcing.of(instance)
    network = instance.network
    rate = mean_rate(demand, instance.start, instance.horizon)
    passing = np.einsum("nd,ndm->nm", rate, sourcing.supplies)
    lanes = network.replenishment_lanes
    to = np.searchsorted(sourcing.stocking, network.destination[lanes])
    return torch.from_numpy(passing[:, to]).float()
