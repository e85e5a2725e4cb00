"""Scarce capacity shared out over many orders that are each worth a concave function.

    maximize    sum_j [V_j(x_j + q_j) - V_j(x_j) - cost_j q_j - fixed_cost_j (q_j > 0)]
    subject to  sum_j (use_jr q_j + setup_jr (q_j > 0)) <= capacity_r   for every resource r
                sum_{j in g} q_j <= stock_g                             for every group g
                0 <= q_j <= largest_j, in multiples of lot_j, at least smallest_j if any,
                no further than the last breakpoint of V_j and one lot or smallest quantity

The stage problem of one period with separable cost-to-go has this form
(`optrl.policies.position_stage`): j is an item on a lane, x_j the position that the order raises,
V_j what positions are worth, a group the stock of an item at the node that the orders leave.

At prices on the resources the groups are free of each other, and the answer of each is a point on
its curves: the position where the marginal value falls to what a unit costs, or, where the group's
stock does not suffice, where one more price, that of the stock, has it shared out
(`Allocation.respond`). Both are found for all groups at once, by counting and sorting; there is no
loop over items.

Source: Luss & Gupta (1975), Allocation of effort resources among competing activities, Operations
Research 23(2) (separable concave allocation by marginal values).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.errors import OptrlError

UNGROUPED = -1
_TOLERANCE = 1e-9


class AllocationError(OptrlError):
    """An allocation's numbers do not fit each other, or it cannot be solved as asked."""


@dataclass(frozen=True)
class Curves:
    """Piecewise linear concave functions V_j of positions, zero at position 0, for J columns.

    Below position 0 a curve goes on with its first slope, beyond its last breakpoint it is flat.

    Attributes:
        width: Of successive segments from position 0 on, shape (J, K).
        slope: Marginal value on them, falling along the last axis, shape (J, K).
    """

    width: FloatArray
    slope: FloatArray

    def __post_init__(self) -> None:
        if self.width.shape != self.slope.shape or self.width.ndim != 2 or not self.width.shape[1]:
            raise AllocationError(
                f"widths {self.width.shape} and slopes {self.slope.shape} must both have shape "
                "(columns, segments)"
            )
        if (self.width < 0).any() or (np.diff(self.slope, axis=1) > 1e-9).any():
            raise AllocationError("widths must be nonnegative and slopes fall along a curve")

    @cached_property
    def end(self) -> FloatArray:
        """Position where each segment ends, shape (J, K)."""
        return np.cumsum(self.width, axis=1)

    @cached_property
    def _worth(self) -> FloatArray:
        return np.cumsum(self.width * self.slope, axis=1)

    def value(self, position: FloatArray) -> FloatArray:
        """V_j at positions (J,)."""
        segments = self.width.shape[1]
        here = np.minimum((self.end <= position[:, None]).sum(axis=1), segments - 1)[:, None]
        end, worth, slope = (
            np.take_along_axis(part, here, axis=1)[:, 0]
            for part in (self.end, self._worth, self.slope)
        )
        # Beyond the last breakpoint nothing is added.
        return worth - slope * np.maximum(end - position, 0.0) * (position < self.end[:, -1])

    def target(self, price: FloatArray) -> FloatArray:
        """Largest position whose marginal value is above a price (J,); -inf where none is."""
        count = (self.slope > price[:, None]).sum(axis=1)
        reached = np.take_along_axis(self.end, np.maximum(count - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(count > 0, reached, -np.inf)

    def ahead(self, position: FloatArray, columns: IntArray | slice = slice(None)) -> FloatArray:
        """What of each segment lies above positions, shape (columns, K)."""
        end, at = self.end[columns], position[columns, None]
        begin = np.concatenate([np.full((len(end), 1), -np.inf), end[:, :-1]], axis=1)
        ahead: FloatArray = np.maximum(end - np.maximum(begin, at), 0.0)
        return ahead


@dataclass(frozen=True)
class Allocation:
    """See the module's docstring; J columns, G groups, R resources.

    Attributes:
        curves: V_j.
        position: x_j, shape (J,).
        cost: Money per unit, shape (J,).
        use: Of the resources per unit, shape (J, R), nonnegative.
        capacity: Shape (R,).
        largest: Shape (J,), infinite for none.
        group: Group of each column, `UNGROUPED` for none, shape (J,).
        stock: What each group may share out, shape (G,).
        lot: Lot size, 0 where quantities are continuous, shape (J,).
        smallest: Smallest quantity if any, shape (J,).
        fixed_cost: Shape (J,).
        setup: Of the resources if any quantity is ordered, shape (J, R).
        names: Of the resources, for messages.
    """

    curves: Curves
    position: FloatArray
    cost: FloatArray
    use: FloatArray
    capacity: FloatArray
    largest: FloatArray
    group: IntArray
    stock: FloatArray
    lot: FloatArray
    smallest: FloatArray
    fixed_cost: FloatArray
    setup: FloatArray
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        j, r = self.use.shape
        for name in ("position", "cost", "largest", "group", "lot", "smallest", "fixed_cost"):
            if getattr(self, name).shape != (j,):
                raise AllocationError(f"{name} has shape {getattr(self, name).shape}, not ({j},)")
        if self.curves.width.shape[0] != j or self.setup.shape != (j, r):
            raise AllocationError(f"curves and set-ups must be given for {j} columns")
        if self.capacity.shape != (r,) or self.group.max(initial=-1) >= len(self.stock):
            raise AllocationError("capacity or stock is missing for a resource or a group")
        if (self.use < 0).any() or (self.capacity < 0).any() or (self.stock < 0).any():
            raise AllocationError("use, capacity and stock must be nonnegative")

    @cached_property
    def integers(self) -> BoolArray:
        """Columns with lots, smallest quantities, fixed costs or set-ups, shape (J,)."""
        whole: BoolArray = (self.lot > 0) | (self.smallest > 0) | (self.fixed_cost > 0)
        return whole | (self.setup > 0).any(axis=1)

    @cached_property
    def typical_prices(self) -> FloatArray:
        """Median price at which a column begins to ask, shape (R,); 1 where none asks."""
        margin = np.maximum(self.curves.slope[:, 0] - self.cost, 0.0)
        typical = np.ones(len(self.capacity))
        for r in range(len(typical)):
            some = (self.use[:, r] > 0) & (margin > 0)
            if some.any():
                typical[r] = np.median(margin[some] / self.use[some, r])
        return typical

    @cached_property
    def reach(self) -> FloatArray:
        """Largest quantity that a curve's rest asks for, shape (J,)."""
        rest = np.maximum(self.curves.end[:, -1] - self.position, 0.0)
        reach: FloatArray = rest + np.maximum(self.lot, self.smallest)
        return reach

    def load(self, quantity: FloatArray) -> FloatArray:
        """Use of the resources by quantities (J,), shape (R,)."""
        return self.use.T @ quantity + self.setup.T @ (quantity > 0)

    def gains(self, quantity: FloatArray) -> FloatArray:
        """What quantities (J,) are worth beyond what they cost, by column, shape (J,)."""
        raised = self.curves.value(self.position + quantity) - self.curves.value(self.position)
        return raised - self.cost * quantity - self.fixed_cost * (quantity > 0)

    def gain(self, quantity: FloatArray) -> float:
        """The objective."""
        return float(self.gains(quantity).sum())

    def drawn(self, quantity: FloatArray) -> FloatArray:
        """What quantities (J,) take of each group's stock, shape (G,)."""
        inside = self.group != UNGROUPED
        drawn: FloatArray = np.bincount(
            self.group[inside], weights=quantity[inside], minlength=len(self.stock)
        ).astype(float)
        return drawn

    def excess(self, quantity: FloatArray) -> FloatArray:
        """Load above capacity, shape (R,)."""
        return np.maximum(self.load(quantity) - self.capacity, 0.0)

    def is_feasible(self, quantity: FloatArray, tolerance: float = 1e-6) -> bool:
        """Whether quantities keep all limits, up to a relative tolerance."""
        some = quantity > 0
        lot = np.where(self.lot > 0, self.lot, 1.0)
        count = quantity / lot
        whole = (self.lot <= 0) | (np.abs(count - np.round(count)) <= tolerance * (1 + count))
        return bool(
            (quantity >= 0).all()
            and whole.all()
            and (quantity <= self.largest * (1 + tolerance)).all()
            and (quantity[some] >= self.smallest[some] * (1 - tolerance)).all()
            and (self.excess(quantity) <= tolerance * (1 + self.capacity)).all()
            and (self.drawn(quantity) <= self.stock + tolerance * (1 + self.stock)).all()
        )

    def lagrangian(self, prices: FloatArray) -> tuple[FloatArray, float]:
        """Best quantities (J,) at prices (R,), integers relaxed, and an upper bound on the gain.

        The bound is valid for every nonnegative price, because leaving out integers, fixed costs
        and set-ups only raises the gain.
        """
        quantity = self.respond(prices)
        raised = self.curves.value(self.position + quantity) - self.curves.value(self.position)
        price = self.cost + self.use @ prices
        return quantity, float((raised - price * quantity).sum() + prices @ self.capacity)

    def respond(self, prices: FloatArray) -> FloatArray:
        """Best quantities (J,) at prices (R,) on the resources, integers relaxed."""
        price = self.cost + self.use @ prices
        wanted = np.clip(self.curves.target(price) - self.position, 0.0, self.largest)
        if not len(self.stock):
            return wanted
        short = self.drawn(wanted) > self.stock * (1 + _TOLERANCE) + _TOLERANCE
        if not short.any():
            return wanted
        inside = (self.group != UNGROUPED) & short[self.group]
        columns = np.flatnonzero(inside)
        if self._alike:
            shared, known = self._shares
            new = np.flatnonzero(inside & ~known[self.group])
            if len(new):
                shared[new] = self._share(new, self.cost[new])
                known[self.group[new]] = True
            wanted[columns] = shared[columns]
        else:
            wanted[columns] = self._share(columns, price[columns])
        return wanted

    @cached_property
    def _alike(self) -> bool:
        """Whether columns of a group use the same, so that prices do not change their order."""
        inside = self.group != UNGROUPED
        first = np.zeros((len(self.stock), self.use.shape[1]))
        first[self.group[inside]] = self.use[inside]
        return bool((first[self.group[inside]] == self.use[inside]).all())

    @cached_property
    def _shares(self) -> tuple[FloatArray, BoolArray]:
        """Shares (J,) of groups (G,) met so far whose stock is short, the same at all prices."""
        return np.zeros(len(self.cost)), np.zeros(len(self.stock), dtype=bool)

    def _share(self, columns: IntArray, price: FloatArray) -> FloatArray:
        """Each group's stock handed out segment by segment, best first, shape (columns,)."""
        stock = self.stock[self.group[columns]]
        some = np.flatnonzero(stock > 0)
        shares = np.zeros(len(columns))
        if not len(some):
            return shares
        columns, price, stock = columns[some], price[some], stock[some]
        ahead = self.curves.ahead(self.position, columns)
        before = np.cumsum(ahead, axis=1) - ahead
        # What lies beyond the whole stock, or beyond the largest quantity, is out of reach.
        most = np.minimum(self.largest[columns], stock)[:, None]
        ahead = np.clip(most - before, 0.0, ahead)
        margin = self.curves.slope[columns] - price[:, None]
        row, segment = np.nonzero((ahead > 0) & (margin > 0))
        gain, group = margin[row, segment], self.group[columns[row]]
        # One key sorts by group, then by falling margin, faster than two would.
        order = np.argsort(group + 0.5 * (1.0 - gain / gain.max(initial=1e-300)))
        row, group, quantity = row[order], group[order], ahead[row, segment][order]
        total = np.cumsum(quantity)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        before = np.repeat(
            np.concatenate([[0.0], total])[first], np.diff(np.append(first, len(group)))
        )
        given = np.clip(self.stock[group] - (total - quantity - before), 0.0, quantity)
        shares[some] = np.bincount(row, weights=given, minlength=len(columns))
        return shares
