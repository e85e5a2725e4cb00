"""Customers merged into zones so that no policy costs less: a relaxation that is solved faster.

Where unmet demand is lost, what customer j costs is, with x[l, j] served over its lanes l,

    base[j] d[j] + sum over l of (c[l, j] - base[j]) x[l, j] + (p[j] - base[j]) unmet[j]

base[j] is the cost of its cheapest lane. The first term is known with the path. A zone asks for the
demand of its customers together, at the smallest of their numbers in the other terms: the sum of
any customers' flows is a flow of the zone that costs no more. What is lost is the detour of a
customer that is not served from its nearest node, where another of its zone has a shorter one.

Zones hold customers with the same nodes in the same order of cost (`optrl.aggregation`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.errors import BoundError
from optrl.instance import Instance
from optrl.stages.coarse import CoarseView


@dataclass(frozen=True)
class Zones:
    """An instance with relaxed zones in place of customers.

    Attributes:
        view: Of the instance through zones, their costs the smallest of their customers'.
        base: Cost of the cheapest lane into each demand node, zero at stocking nodes, (N, D).
    """

    view: CoarseView
    base: FloatArray

    @classmethod
    def of(cls, instance: Instance, weight: FloatArray) -> Self:
        """Merge the customers of an instance.

        Args:
            instance: Integers, service levels and storage limits without a price already relaxed.
            weight: Typical demand, shape (N, D); pairs of zero weight have no demand at all.

        Raises:
            BoundError: If unmet demand waits: then it matters later whose it is.
        """
        network = instance.network
        if network.unmet != "lost":
            raise BoundError(
                "customers can be merged for a bound only where unmet demand is lost: keep them "
                "apart"
            )
        view = CoarseView.of(instance, weight)
        fine, coarse = view.aggregation, view.aggregation.network
        serving = network.serving_lanes
        ends = network.destination[serving]
        served = network.allowed[:, serving]
        cost = network.lane_cost[:, serving]
        base = np.full((len(network.items), len(network.nodes)), np.inf)
        np.minimum.at(base.T, ends, np.where(served, cost, np.inf).T)
        base = np.where(np.isfinite(base), base, 0.0)
        # Least detour by zone lane, least loss by zone; lanes into stocking nodes keep their cost.
        detour = np.full_like(coarse.lane_cost, np.inf)
        np.minimum.at(
            detour.T, fine.lane[serving], np.where(served, cost - base[:, ends], np.inf).T
        )
        detour = np.where(np.isfinite(detour), detour, coarse.lane_cost)
        loss = np.full_like(coarse.shortage_cost, np.inf)
        np.minimum.at(loss.T, fine.node, (network.shortage_cost - base).T)
        zoned = replace(coarse, lane_cost=detour, shortage_cost=loss)
        relaxed = replace(view, aggregation=replace(fine, network=zoned))
        return cls(relaxed, base[:, instance.demand.nodes])

    def constant(self, path: FloatArray) -> float:
        """Discounted cost of demand (N, D, T) over its cheapest lanes: not in the program."""
        discount = self.view.instance.network.discount ** np.arange(path.shape[2])
        return float(np.einsum("nd,ndt,t->", self.base, path, discount))
