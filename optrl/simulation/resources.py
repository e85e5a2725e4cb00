"""Shared resources: use, what is left, and the share of requests that fits."""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import IntArray, Network
from torch import Tensor

from optrl.simulation.feasibility import SMALLEST, lane_tensor
from optrl.simulation.features import Features


class Capacities:
    """Capacity and consumption of all resources.

    Resources that consume alike (by volume, say) share one column, so that a pass over the
    quantities weighs them once for each distinct consumption.

    Args:
        network: The network.
        items: Items simulated.
        dtype: Floating type.
        features: What the network uses.
    """

    def __init__(
        self, network: Network, items: slice, dtype: torch.dtype, features: Features
    ) -> None:
        self.network = network
        self.items = items
        self.dtype = dtype
        self.has_setup = features.setup
        resources = network.resources
        use = np.array([r.use[items] for r in resources]).reshape(len(resources), -1)
        distinct, column = np.unique(use, axis=0, return_inverse=True)
        self._weights = torch.from_numpy(distinct.T.copy()).to(dtype)
        self._column = torch.from_numpy(column.reshape(-1).astype(np.int64))
        self.storage: IntArray = np.flatnonzero([r.kind == "storage" for r in resources])
        cost = np.array([r.overflow_cost for r in resources])
        self.overflow_cost = torch.from_numpy(np.where(np.isfinite(cost), cost, 0.0)).to(dtype)

    def __len__(self) -> int:
        return len(self.network.resources)

    def at(self, period: int) -> Tensor:
        """Capacity in `period`, shape (R,)."""
        # Periods of the calendar before planning starts have its first value.
        first = max(period, 0)
        values = [r.capacity_at(first, 1)[0] for r in self.network.resources]
        return torch.tensor(values, dtype=self.dtype)

    def weigh(self, x: Tensor, member: Tensor) -> Tensor:
        """Consumption of `x` (rows, S, N) by each resource, shape (S, R).

        Args:
            x: Quantity on lanes or at nodes.
            member: Which row counts for which resource, shape (rows, R).
        """
        load = (x @ self._weights)[:, :, self._column]
        return (load * member[:, None, :]).sum(0)


class LaneResources:
    """The resources that limit some lanes."""

    def __init__(self, capacities: Capacities, lanes: IntArray) -> None:
        self._capacities = capacities
        network, dtype = capacities.network, capacities.dtype
        member = np.stack([np.isin(lanes, network.lanes_of(r)) for r in network.resources], 1)
        takes_setup = np.array([r.takes_setup_time for r in network.resources])
        self.any = bool(member.any())
        self._touches = torch.from_numpy(member)
        self._member = self._touches.to(dtype)
        self._setup_member = self._member * torch.from_numpy(takes_setup).to(dtype)
        self._setup: Tensor | None = None
        if capacities.has_setup and bool((self._setup_member > 0).any()):
            self._setup = lane_tensor(network.setup_time, lanes, capacities.items, dtype)

    def setups(self, q: Tensor) -> Tensor:
        """Set-up time of `q` by resource, shape (S, R)."""
        if self._setup is None:
            return q.new_zeros(q.shape[1], len(self._capacities))
        time = ((q > 0) * self._setup).sum(2)
        return torch.einsum("as,ar->sr", time, self._setup_member)

    def use(self, q: Tensor) -> Tensor:
        """Use of each resource by `q` (lanes, S, N), set-up time included, shape (S, R)."""
        return self._capacities.weigh(q, self._member) + self.setups(q)

    def share(self, q: Tensor, left: Tensor) -> Tensor:
        """Largest share of each lane's requests that keeps to `left` (S, R), shape (lanes, S, 1).

        Set-up time does not shrink with the quantities, so it is taken off what is left first.
        """
        flow = self._capacities.weigh(q, self._member)
        room = (left - self.setups(q)).clamp(min=0)
        share = room / torch.maximum(flow, room).clamp(min=SMALLEST)
        by_lane = torch.where(self._touches[:, None, :], share[None], 1.0)
        return by_lane.amin(2)[:, :, None]
