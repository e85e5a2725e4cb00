"""Step 5 of a period: demand is served.

A stocking node serves its own demand first. Customers are then served over serving lanes in
ranks: the r-th cheapest lane of every customer at once (lane cost ascending, ties in lane
order), customers that ask one node in the same rank being rationed in proportion. Resources
limit serving by what replenishment left of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import IntArray, Network, NodeKind
from torch import Tensor

from optrl.simulation.errors import SimulationError
from optrl.simulation.feasibility import LaneLimits, Lots, Pool
from optrl.simulation.features import Features, serving_ranks
from optrl.simulation.resources import Capacities, LaneResources
from optrl.simulation.rows import Rows


@dataclass(frozen=True)
class _Held:
    stock: Tensor
    supply: Tensor | None
    left: Tensor | None


@dataclass(frozen=True)
class _Rank:
    lanes: Rows
    mask: Tensor | None
    customers: Rows
    stocked: Pool | None
    supplied: Pool | None
    limits: LaneLimits
    lots: Lots | None
    resources: LaneResources | None

    def ration_(self, q: Tensor, held: _Held, period: int) -> tuple[Tensor, _Held]:
        """Serve the requests `q` as far as limits, stock, supply and resources go."""
        stock, supply, left = held.stock, held.supply, held.left
        if self.mask is not None:
            q = q * self.mask
        q = self.limits.apply(q, period, None)
        if self.lots is not None:
            q = self.lots.apply(q, None)
        from_stock = from_supply = None
        if self.stocked is not None:
            q, from_stock = self.stocked.limit_(q, stock, None, "stock", None)
        if self.supplied is not None and supply is not None:
            q, from_supply = self.supplied.limit_(q, supply, None, "supply_capacity", None)
        resources = self.resources if left is not None else None
        if resources is not None and left is not None:
            q = q * resources.share(q, left)
        if self.lots is not None:
            q = self.lots.apply(q, None)
        if resources is not None and left is not None:
            left = (left - resources.use(q)).clamp(min=0)
        cut_again = resources is not None or self.lots is not None
        if self.stocked is not None and from_stock is not None:
            taken = self.stocked.taken(q) if cut_again else from_stock
            stock = self.stocked.deduct_(stock, taken)
        if self.supplied is not None and supply is not None and from_supply is not None:
            taken = self.supplied.taken(q) if cut_again else from_supply
            supply = self.supplied.deduct_(supply, taken)
        return q, _Held(stock, supply, left)


class Fulfilment:
    """Serves demand; built once for an instance.

    Args:
        network: The network.
        demand_nodes: Nodes of the demand tensors' rows, shape (D,).
        stocking: Stocking nodes, shape (M,).
        suppliers: Suppliers with a finite capacity, or all of them; shape (U,), or empty where
            no supplier is limited.
        capacities: Shared resources, or None.
        items: Items simulated.
        dtype: Floating type.
        features: What the network uses.
    """

    def __init__(
        self,
        network: Network,
        demand_nodes: IntArray,
        stocking: IntArray,
        suppliers: IntArray,
        capacities: Capacities | None,
        items: slice,
        dtype: torch.dtype,
        features: Features,
    ) -> None:
        own = np.flatnonzero(np.isin(demand_nodes, stocking))
        self.own = Rows(own, len(demand_nodes))
        self.own_stock = Rows(np.searchsorted(stocking, demand_nodes[own]), len(stocking))
        self.lanes = network.serving_lanes
        self._all_resources = LaneResources(capacities, self.lanes) if capacities else None
        self._ranks: list[_Rank] = []
        active = np.flatnonzero(np.isin(network.destination[self.lanes], demand_nodes))
        common = features.serving_rank
        rank = serving_ranks(network, items) if common is None else common[None]
        rank = rank[:, active]
        for r in range(int(rank.max(initial=-1)) + 1):
            some = np.flatnonzero((rank == r).any(axis=0))
            members = active[some]
            lanes = self.lanes[members]
            here = rank[:, some] == r
            lots = Lots(network, lanes, items, dtype, features)
            resources = LaneResources(capacities, lanes) if capacities else None
            self._ranks.append(
                _Rank(
                    Rows(members, len(self.lanes)),
                    None if here.all() else torch.from_numpy(here.T.copy()).to(dtype)[:, None],
                    Rows(
                        np.searchsorted(demand_nodes, network.destination[lanes]),
                        len(demand_nodes),
                    ),
                    _pool(network, lanes, stocking),
                    _pool(network, lanes, suppliers),
                    LaneLimits(network, lanes, items, dtype, features),
                    lots if lots.active else None,
                    resources if resources is not None and resources.any else None,
                )
            )
        used = [int(lane) for each in self._ranks for lane in each.lanes.index]
        self._each_lane_once = sorted(used) == list(range(len(self.lanes)))
        self._rounds = any(each.lots is not None for each in self._ranks)

    def serve_(
        self,
        need: Tensor,
        stock: Tensor,
        supply: Tensor | None,
        left: Tensor | None,
        at_most: Tensor | None,
        period: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Serve `need`.

        Args:
            need: Demand and, with backorders, backlog, shape (D, S, N).
            stock: Stock, shape (M, S, N); may be overwritten when gradients are off.
            supply: What limited suppliers still have, shape (U, S, N), or None.
            left: What resources have left, shape (S, R), or None.
            at_most: Largest quantity of each serving lane (serving lanes, S, N), or None.
            period: Absolute period.

        Returns:
            Served over each serving lane; what is sold and what is not, each of shape (D, S, N);
            stock after.
        """
        unserved = need
        if len(self.own):
            asked = self.own.take(need)
            sold = torch.minimum(self.own_stock.take(stock), asked)
            stock = self.own_stock.add_(stock, sold, sign=-1)
            rest = asked - sold
            if self.own.whole and not self._ranks:
                return need.new_zeros(len(self.lanes), *need.shape[1:]), sold, rest, stock
            unserved = rest if self.own.whole else self.own.put_(need.clone(), rest)
        elif self._ranks:
            unserved = need.clone()
        make = need.new_empty if self._each_lane_once else need.new_zeros
        served = make(len(self.lanes), *need.shape[1:])
        for rank in self._ranks:
            asked = rank.customers.take(unserved).expand(len(rank.lanes), *need.shape[1:])
            if at_most is not None:
                asked = torch.minimum(asked, rank.lanes.take(at_most))
            elif not rank.customers.copies:
                # Rationing may write into requests, which must not be a view of `unserved`.
                asked = asked.clone()
            held = _Held(stock, supply, left)
            q, held = rank.ration_(asked, held, period)
            stock, supply, left = held.stock, held.supply, held.left
            unserved = rank.customers.add_(unserved, q, sign=-1)
            put = rank.lanes.put_ if self._each_lane_once else rank.lanes.add_
            served = put(served, q)
        if self._rounds:
            unserved = unserved.clamp(min=0)
        return served, need - unserved, unserved, stock

    def resource_use(self, served: Tensor) -> Tensor:
        """Use of each resource by serving, shape (S, R)."""
        if self._all_resources is None:
            raise ValueError("the network has no resources")
        return self._all_resources.use(served)


def _pool(network: Network, lanes: IntArray, holders: IntArray) -> Pool | None:
    """The pool of those `lanes` whose origin is among `holders` (ascending)."""
    origin = network.origin[lanes]
    position = np.flatnonzero(np.isin(origin, holders))
    if not len(position):
        return None
    return Pool(position, len(lanes), np.searchsorted(holders, origin[position]), len(holders))


def levels_of(network: Network, at_once: IntArray) -> IntArray:
    """Level of each node when lanes that deliver at once are passed in order, shape (V,).

    A node of level l can ship once the nodes of levels below l have shipped.

    Args:
        network: The network.
        at_once: Lanes that may deliver in the period of release.

    Raises:
        SimulationError: If such lanes form a cycle.
    """
    level = np.zeros(len(network.nodes), dtype=np.int64)
    stocking = network.kind[network.destination[at_once]] == NodeKind.STOCKING
    lanes = at_once[stocking]
    for _ in range(len(network.nodes) + 1):
        raised = level.copy()
        np.maximum.at(raised, network.destination[lanes], level[network.origin[lanes]] + 1)
        if (raised == level).all():
            return level
        level = raised
    names = [" -> ".join(network.lanes[a]) for a in lanes]
    raise SimulationError(
        f"lanes that deliver at once form a cycle: among {', '.join(names)}; give one of them a "
        "lead time of at least 1"
    )
