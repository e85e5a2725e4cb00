"""Which features an instance uses: what is absent takes no work in the simulator.

Looked up once for a whole instance, so that simulating it in blocks of items does not scan its
arrays again for each block.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import IntArray, Network


@dataclass(frozen=True)
class Features:
    """Presence of each optional feature.

    Attributes:
        forbidden: Whether some item may not use some lane.
        maximum: Whether some lane has a largest quantity.
        lots: Whether some lane has a lot size.
        minimum: Whether some lane has a smallest quantity.
        setup: Whether some lane takes set-up time.
        fixed: Whether some lane has a fixed cost.
        supply: Whether some supplier is limited.
        serving_rank: Rank of each serving lane among those into its customer, by cost ascending
            and ties in lane order, shape (serving lanes,); None where it differs by item.
    """

    forbidden: bool
    maximum: bool
    lots: bool
    minimum: bool
    setup: bool
    fixed: bool
    supply: bool
    serving_rank: IntArray | None

    @classmethod
    def of(cls, network: Network) -> Features:
        """Look up what `network` uses."""
        return cls(
            forbidden=not network.allowed.all(),
            maximum=bool(network.maximum_quantity.min(initial=np.inf) < np.inf),
            lots=bool(network.lot_size.max(initial=0) > 0),
            minimum=bool(network.minimum_quantity.max(initial=0) > 0),
            setup=bool(network.setup_time.max(initial=0) > 0),
            fixed=bool(network.fixed_cost.max(initial=0) > 0),
            supply=bool(network.supply_capacity.min(initial=np.inf) < np.inf),
            serving_rank=_common_rank(network),
        )


def serving_ranks(network: Network, items: slice) -> IntArray:
    """Rank of each serving lane among those into its customer, by item, shape (N, lanes)."""
    lanes = network.serving_lanes
    cost = network.lane_cost[items][:, lanes]
    rank = np.zeros(cost.shape, dtype=np.int64)
    for mine in _by_customer(network):
        order = np.argsort(cost[:, mine], axis=1, kind="stable")
        rank[:, mine] = np.argsort(order, axis=1, kind="stable")
    return rank


def _by_customer(network: Network) -> list[IntArray]:
    customer = network.destination[network.serving_lanes]
    return [np.flatnonzero(customer == each) for each in np.unique(customer)]


def _common_rank(network: Network) -> IntArray | None:
    """The first item's ranks if they hold for every item."""
    lanes = network.serving_lanes
    rank: IntArray = np.zeros(len(lanes), dtype=np.int64)
    if not network.items:
        return rank
    rank = serving_ranks(network, slice(0, 1))[0]
    for mine in _by_customer(network):
        order = mine[np.argsort(rank[mine])]
        for cheap, dear in itertools.pairwise(order):
            low, high = network.lane_cost[:, lanes[cheap]], network.lane_cost[:, lanes[dear]]
            if (low > high).any() or (cheap > dear and (low == high).any()):
                return None
    return rank
