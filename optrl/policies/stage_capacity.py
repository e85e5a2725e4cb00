"""What orders of a period may use of the resources, with serving and storage set aside."""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network, NodeKind, Resource

from optrl.policies.sourcing import NOWHERE, Sourcing


def ordering_lanes(network: Network, resource: Resource) -> IntArray:
    """Lanes whose orders a resource limits: for storage those that arrive there."""
    if resource.kind == "storage":
        return np.flatnonzero(network.destination == resource.node)
    return network.lanes_of(resource)


class StageCapacity:
    """Capacities less what is taken of them without orders of the period.

    Serving expected demand takes its part. Storage follows random demand, so that no order controls
    it: what is expected to be there when an order arrives is set aside.

    Args:
        network: The network.
        sourcing: Primary lanes and serving nodes.
        rate: Expected demand a period, shape (N, D).
    """

    def __init__(self, network: Network, sourcing: Sourcing, rate: FloatArray) -> None:
        """See the class."""
        self._network, self._sourcing = network, sourcing
        self._passing = np.einsum("nd,ndm->nm", rate, sourcing.supplies)
        self._served = [
            (r, at, mine)
            for r, resource in enumerate(network.resources)
            for at, mine in _served(network, sourcing, resource)
        ]

    def at(self, period: int) -> FloatArray:
        """Capacities of a period, shape (R,)."""
        return np.array([r.capacity_at(max(period, 0), 1)[0] for r in self._network.resources])

    def left(self, capacity: FloatArray, asked: FloatArray, position: FloatArray) -> FloatArray:
        """What is left of capacities (R,).

        Args:
            capacity: See `at`.
            asked: Expected demand and backlog, shape (N, D).
            position: Stock and pipeline after the period's demand, shape (M, N).
        """
        sourcing, left = self._sourcing, capacity.copy()
        for r, resource in enumerate(self._network.resources):
            if resource.kind == "storage" and resource.node is not None:
                m = int(np.searchsorted(sourcing.stocking, resource.node))
                passed = np.maximum(sourcing.lead_time[:, m], 0) * self._passing[:, m]
                left[r] -= float(resource.use @ np.maximum(position[m] - passed, 0.0))
        for r, at, mine in self._served:
            use = self._network.resources[r].use
            left[r] -= float(use @ (asked[:, at] * mine).sum(axis=1))
        rest: FloatArray = np.maximum(left, 0.0)
        return rest


def _served(
    network: Network, sourcing: Sourcing, resource: Resource
) -> list[tuple[IntArray, BoolArray]]:
    """Demand nodes served over each serving lane of a resource, and by which items (N, nodes)."""
    lanes = network.lanes_of(resource)
    customers = network.kind[sourcing.demand_nodes] == NodeKind.CUSTOMER
    found = []
    for lane in lanes[np.isin(lanes, network.serving_lanes)].tolist():
        at = np.flatnonzero(customers & (sourcing.demand_nodes == network.destination[lane]))
        owner = sourcing.owner[:, at]
        owner = np.where(owner != NOWHERE, sourcing.stocking[owner], NOWHERE)
        found.append((at, owner == network.origin[lane]))
    return found
