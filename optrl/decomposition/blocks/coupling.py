"""What couples the items: shared capacities, as one array of resources by period or tree node.

    minimize    sum_i cost_i(x_i) + sum overflow_cost * overflow
    subject to  sum_i usage_i(x_i) <= capacity + overflow,  x_i in X_i

With a price on every row that exists the items are free of each other:

    L(prices) = sum_i min_{x_i in X_i} [cost_i(x_i) + prices . usage_i(x_i)] - prices . capacity

is a lower bound for every 0 <= prices <= price_limit. Prices are in money of the objective, that
is, discounted and weighted with probability as the objective is.

Source: Geoffrion (1974), Mathematical Programming Study 2 (Lagrangian relaxation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray
from optrl_formulations.replenishment_layout import ReplenishmentLayout

from optrl.decomposition.blocks.errors import BlockError


@dataclass(frozen=True)
class Coupling:
    """Shared capacities.

    Attributes:
        names: Of the resources, (R,).
        columns: What the second axis counts, as shown in reports, (P,); such as ``period 3``.
        capacity: Shape (R, P), infinite where there is no row.
        price_limit: Largest price, shape (R, P): what going above the capacity costs; infinite
            where it must hold.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    capacity: FloatArray
    price_limit: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.columns))
        for name in ("capacity", "price_limit"):
            found = getattr(self, name)
            if found.shape != shape:
                raise BlockError(f"Coupling.{name} has shape {found.shape}, expected {shape}")
            if np.isnan(found).any() or (found < 0).any():
                r, p = np.argwhere(~(found >= 0))[0]
                raise BlockError(
                    f"{name} of {self.names[r]!r} in {self.columns[p]} is {found[r, p]}: give a "
                    "number of at least 0"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """(R, P)."""
        return len(self.names), len(self.columns)

    @cached_property
    def rows(self) -> BoolArray:
        """Which rows exist, shape (R, P)."""
        return np.isfinite(self.capacity)

    @cached_property
    def limits(self) -> FloatArray:
        """Capacity of the rows that exist, shape (K,)."""
        return self.capacity[self.rows]

    @cached_property
    def price_limits(self) -> FloatArray:
        """Price limit of the rows that exist, shape (K,)."""
        return self.price_limit[self.rows]

    def flat(self, dense: FloatArray) -> FloatArray:
        """Entries of the rows that exist, shape (..., K), of an array of shape (..., R, P)."""
        return dense[..., self.rows]

    def dense(self, flat: FloatArray) -> FloatArray:
        """The opposite of `flat`, zero where there is no row."""
        result = np.zeros((*flat.shape[:-1], *self.shape))
        result[..., self.rows] = flat
        return result

    def clipped(self, prices: FloatArray) -> FloatArray:
        """Prices (R, P) moved into what is allowed: zero without a row, else 0..price_limit."""
        inside: FloatArray = np.where(self.rows, np.clip(prices, 0.0, self.price_limit), 0.0)
        return inside

    def value(self, prices: FloatArray) -> float:
        """What the whole capacity is worth at prices (R, P)."""
        return float(self.flat(prices) @ self.limits)

    @classmethod
    def of(cls, layout: ReplenishmentLayout) -> Coupling:
        """The capacity rows of a replenishment problem, by tree node.

        The columns are the tree's nodes: decisions for what is known before demand, outcomes for
        what follows it (see `ReplenishmentLayout.resource_rows`).
        """
        network, tree = layout.network, layout.tree
        shape = (len(network.resources), len(tree.parent))
        capacity, limit = np.full(shape, np.inf), np.full(shape, np.inf)
        capacity[tuple(layout.resource_rows)] = layout.resource_capacity
        resource, node = layout.overflow
        cost = np.array([r.overflow_cost for r in network.resources])
        limit[resource, node] = cost[resource] * layout.node_probability[node]
        return cls(
            names=tuple(r.name for r in network.resources),
            columns=tuple(f"tree node {k}" for k in range(shape[1])),
            capacity=capacity,
            price_limit=limit,
        )
