"""What scarce resources are worth beyond the period at hand, by a fluid of expected demand.

Over a window of periods the demand that saves most for what it uses of the resources is met first:
the fractional problem with mean demand of the window, capacities added up. Its prices are those of
a lasting scarcity; where expected demand of the window fits, they are zero.

Source: Gallego & van Ryzin (1994), Optimal dynamic pricing of inventories with stochastic demand,
Management Science 40(8) (the deterministic problem as the limit of the random one).
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.allocation.curves import Curves
from optrl.decomposition.allocation.problem import Allocation
from optrl.decomposition.allocation.recovery import allocate
from optrl.decomposition.allocation.terms import UNGROUPED, Terms
from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.sourcing import NOWHERE, Sourcing


class FluidPrices:
    """Prices of the resources in the periods after a period, kept by period.

    Args:
        instance: The instance.
        demand: What is believed about its demand.
        sourcing: Primary lanes and serving nodes.
        window: Periods added up; what an order covers at most when None.
    """

    def __init__(
        self,
        instance: Instance,
        demand: DemandModel,
        sourcing: Sourcing,
        window: int | None = None,
    ) -> None:
        """See the class."""
        self._network, self._demand = instance.network, demand
        cover = sourcing.lead_time + sourcing.review
        self.window = int(cover.max(initial=1)) if window is None else window
        self._item, self._place = np.nonzero(sourcing.owner != NOWHERE)
        self._use = self._path_use(sourcing)
        network = instance.network
        short = network.shortage_cost[:, sourcing.demand_nodes]
        spent = sourcing.owner_cost + sourcing.serving_cost
        worth = short - spent if network.unmet == "lost" else short
        self._worth = np.maximum(worth, 0.0)[self._item, self._place]
        self._kept: dict[int, FloatArray] = {}
        self._last: tuple[FloatArray, FloatArray, FloatArray] | None = None

    def after(self, period: int) -> FloatArray:
        """Prices of the resources in the periods after one, shape (R,)."""
        if period not in self._kept:
            self._kept[period] = self._solve(period + 1)
        return self._kept[period]

    def _solve(self, first: int) -> FloatArray:
        network = self._network
        flow = [r for r in network.resources if r.kind != "storage"]
        if not flow:
            return np.zeros(len(network.resources))
        mean = self._demand.mean(first, self.window).sum(axis=2)[self._item, self._place]
        capacity = np.array(
            [
                np.inf if r.kind == "storage" else r.capacity_at(max(first, 0), self.window).sum()
                for r in network.resources
            ]
        )
        if self._last is not None:
            before, held, prices = self._last
            if np.array_equal(before, mean) and np.array_equal(held, capacity):
                return prices
        columns = len(mean)
        nothing = np.zeros(columns)
        terms = Terms(
            curves=Curves(mean[:, None], self._worth[:, None]),
            cost=nothing,
            use=self._use,
            group=np.full(columns, UNGROUPED),
            lot=nothing,
            smallest=nothing,
            fixed_cost=nothing,
            setup=np.zeros_like(self._use),
        )
        fluid = Allocation(
            terms,
            position=nothing,
            capacity=np.where(np.isfinite(capacity), capacity, 1e30),
            largest=np.full(columns, np.inf),
            stock=np.zeros(0),
        )
        # The program over what is open at the prices found makes them exact.
        prices = allocate(fluid).repair.prices
        self._last = mean, capacity, prices
        return prices

    def _path_use(self, sourcing: Sourcing) -> FloatArray:
        """What a unit of demand met uses of the resources on its primary way, (columns, R)."""
        network = self._network
        use = np.zeros((len(self._item), len(network.resources)))
        touched = np.zeros((len(network.lanes), len(network.resources)), dtype=bool)
        for r, resource in enumerate(network.resources):
            touched[network.lanes_of(resource), r] = True
        unit = np.array([r.use for r in network.resources])
        unit = unit.reshape(len(network.resources), len(network.items))
        node = sourcing.owner[self._item, self._place]
        for _ in range(len(sourcing.stocking)):
            live = node != NOWHERE
            lane = np.where(live, sourcing.lane[self._item, np.maximum(node, 0)], NOWHERE)
            live &= lane != NOWHERE
            use += np.where(live[:, None], touched[lane] * unit[:, self._item].T, 0.0)
            node = np.where(live, sourcing.parent[self._item, np.maximum(node, 0)], NOWHERE)
        serving = {
            (int(network.origin[a]), int(network.destination[a])): a
            for a in network.serving_lanes.tolist()
        }
        for (origin, destination), a in serving.items():
            owner = sourcing.stocking[np.maximum(sourcing.owner[self._item, self._place], 0)]
            mine = (owner == origin) & (sourcing.demand_nodes[self._place] == destination)
            use += mine[:, None] * touched[a] * unit[:, self._item].T
        return use
