"""Steps 2 and 3 of a period: the decision is cut to what is possible, zero-lead lanes deliver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import IntArray, Network
from torch import Tensor

from optrl.simulation.arrivals import Arrivals, Underway
from optrl.simulation.feasibility import Cuts, LaneLimits, Lots, Pool
from optrl.simulation.features import Features
from optrl.simulation.fulfilment import levels_of
from optrl.simulation.resources import Capacities, LaneResources
from optrl.simulation.rows import Rows


@dataclass(frozen=True)
class Release:
    """What was released.

    Attributes:
        released: Quantity on each replenishment lane, shape (lanes, S, N).
        stock: Stock after shipping and zero-lead deliveries, shape (M, S, N); owned by whoever
            receives it.
        supply: What limited suppliers have left, shape (U, S, N), or None.
        left: What resources have left, shape (S, R), or None.
    """

    released: Tensor
    stock: Tensor
    supply: Tensor | None
    left: Tensor | None


@dataclass(frozen=True)
class _Level:
    pool: Pool | None
    lots: Lots | None
    delivering: Rows
    targets: Rows
    random_delivering: Rows
    random_choice: Rows
    random_targets: Rows


class Replenishment:
    """Releases a decision; built once for an instance.

    Args:
        network: The network.
        stocking: Stocking nodes, shape (M,).
        suppliers: Limited suppliers, shape (U,).
        capacities: Shared resources, or None.
        arrivals: Random arrivals.
        items: Items simulated.
        dtype: Floating type.
        features: What the network uses.
    """

    def __init__(
        self,
        network: Network,
        stocking: IntArray,
        suppliers: IntArray,
        capacities: Capacities | None,
        arrivals: Arrivals,
        items: slice,
        dtype: torch.dtype,
        features: Features,
    ) -> None:
        lanes = network.replenishment_lanes
        self._arrivals = arrivals
        self._limits = LaneLimits(network, lanes, items, dtype, features)
        lots = Lots(network, lanes, items, dtype, features)
        self._lots = lots if lots.active else None
        origin, count = network.origin[lanes], len(lanes)
        supplied = np.flatnonzero(np.isin(origin, suppliers))
        self._supply = (
            Pool(supplied, count, np.searchsorted(suppliers, origin[supplied]), len(suppliers))
            if len(supplied)
            else None
        )
        self._resources = LaneResources(capacities, lanes) if capacities else None
        random = np.isin(lanes, arrivals.lanes)
        zero = (network.lead_time[lanes] == 0) & ~random
        at_once = np.isin(lanes, arrivals.lanes[arrivals.at_once])
        level = levels_of(network, lanes[zero | at_once])[origin]
        to_stock = np.searchsorted(stocking, network.destination[lanes])
        self._levels: list[_Level] = []
        for value in np.unique(level):
            here = level == value
            from_stock = np.flatnonzero(here & np.isin(origin, stocking))
            delivering, drawn = np.flatnonzero(here & zero), np.flatnonzero(here & at_once)
            if not (len(from_stock) or len(delivering) or len(drawn)):
                continue
            holder = np.searchsorted(stocking, origin[from_stock])
            choice = [int(np.flatnonzero(arrivals.lanes == lane)[0]) for lane in lanes[drawn]]
            mine = Lots(network, lanes[from_stock], items, dtype, features)
            self._levels.append(
                _Level(
                    Pool(from_stock, count, holder, len(stocking)) if len(from_stock) else None,
                    mine if mine.active else None,
                    Rows(delivering, count),
                    Rows(to_stock[delivering], len(stocking)),
                    Rows(drawn, count),
                    Rows(np.array(choice, dtype=np.int64), len(arrivals)),
                    Rows(to_stock[drawn], len(stocking)),
                )
            )

    def release(
        self,
        order: Tensor,
        stock: Tensor,
        supply: Tensor | None,
        capacity: Tensor | None,
        drawn: Tensor | None,
        period: int,
        cuts: Cuts,
    ) -> Release:
        """Cut `order` to what is possible, ship it and deliver what has no lead time.

        Args:
            order: What the policy asks for, (replenishment lanes, S, N); negative counts as 0.
            stock: Stock the decision saw, shape (M, S, N); left as it is.
            supply: Capacity of limited suppliers, (U, S, N), or None; may be overwritten.
            capacity: Capacity of each resource, shape (R,), or None.
            drawn: How orders on lanes with profiles will arrive, or None.
            period: Absolute period.
            cuts: Takes what is cut.
        """
        q = self._limits.apply(order.clamp(min=0), period, cuts)
        if self._supply is not None and supply is not None:
            q, _ = self._supply.limit_(q, supply, None, "supply_capacity", cuts)
        if self._lots is not None:
            q = self._lots.apply(q, cuts, tolerant=True)
        if self._resources is not None and capacity is not None:
            asked = q
            q = q * self._resources.share(q, capacity)
            cuts.add("resources", asked - q)
            if self._lots is not None:
                # Tolerant: a plan that fills a capacity exceeds it by rounding, not by a lot.
                q = self._lots.apply(q, cuts, tolerant=True)
        stock = stock.clone()
        for level in self._levels:
            if level.pool is not None:
                q, taken = level.pool.limit_(q, stock, level.lots, "stock", cuts)
                stock = level.pool.deduct_(stock, taken)
            if len(level.delivering):
                stock = level.targets.add_(stock, level.delivering.take(q))
            if len(level.random_delivering) and drawn is not None:
                orders = Underway(level.random_delivering.take(q), level.random_choice.take(drawn))
                stock = level.random_targets.add_(stock, self._arrivals.arriving(orders, 0))
        if self._supply is not None and supply is not None:
            supply = self._supply.deduct_(supply, self._supply.taken(q))
        left = None
        if self._resources is not None and capacity is not None:
            left = (capacity - self._resources.use(q)).clamp(min=0)
        return Release(q, stock, supply, left)
