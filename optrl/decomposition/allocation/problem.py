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
(`Allocation.respond`). Both are found for all groups at once, by counting; there is no loop over
items.

Source: Luss & Gupta (1975), Allocation of effort resources among competing activities, Operations
Research 23(2) (separable concave allocation by marginal values).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.allocation.curves import Curves
from optrl.decomposition.allocation.errors import AllocationError
from optrl.decomposition.allocation.ladder import Ladder
from optrl.decomposition.allocation.terms import UNGROUPED, Terms

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Allocation:
    """See the module's docstring; J columns, G groups, R resources.

    Attributes:
        terms: What does not depend on the state.
        position: x_j, shape (J,).
        capacity: Shape (R,).
        largest: Shape (J,), infinite for none.
        stock: What each group may share out, shape (G,).
    """

    terms: Terms
    position: FloatArray
    capacity: FloatArray
    largest: FloatArray
    stock: FloatArray

    def __post_init__(self) -> None:
        j, r = self.terms.use.shape
        for name in ("position", "largest"):
            if getattr(self, name).shape != (j,):
                raise AllocationError(f"{name} has shape {getattr(self, name).shape}, not ({j},)")
        if self.capacity.shape != (r,) or self.terms.groups > len(self.stock):
            raise AllocationError("capacity or stock is missing for a resource or a group")
        if (self.capacity < 0).any() or (self.stock < 0).any():
            raise AllocationError("capacity and stock must be nonnegative")

    @property
    def curves(self) -> Curves:
        """V_j."""
        return self.terms.curves

    @property
    def cost(self) -> FloatArray:
        """Money per unit, shape (J,)."""
        return self.terms.cost

    @property
    def use(self) -> FloatArray:
        """Of the resources per unit, shape (J, R)."""
        return self.terms.use

    @property
    def group(self) -> IntArray:
        """Group of each column, shape (J,)."""
        return self.terms.group

    @property
    def lot(self) -> FloatArray:
        """Lot sizes, shape (J,)."""
        return self.terms.lot

    @property
    def smallest(self) -> FloatArray:
        """Smallest quantities if any, shape (J,)."""
        return self.terms.smallest

    @property
    def fixed_cost(self) -> FloatArray:
        """Shape (J,)."""
        return self.terms.fixed_cost

    @property
    def setup(self) -> FloatArray:
        """Of the resources if any quantity is ordered, shape (J, R)."""
        return self.terms.setup

    @cached_property
    def reach(self) -> FloatArray:
        """Largest quantity that a curve's rest asks for, shape (J,)."""
        rest = np.maximum(self.curves.end[:, -1] - self.position, 0.0)
        reach: FloatArray = rest + np.maximum(self.lot, self.smallest)
        return reach

    def load(self, quantity: FloatArray) -> FloatArray:
        """Use of the resources by quantities (J,), shape (R,)."""
        load: FloatArray = quantity @ self.use
        return load + (quantity > 0) @ self.setup if self.terms.is_whole else load

    def worth(self, quantity: FloatArray) -> FloatArray:
        """By how much quantities (J,) raise the curves, by column, shape (J,)."""
        return self.curves.value(self.position + quantity) - self._held

    @cached_property
    def _held(self) -> FloatArray:
        """Value of the positions before any order, shape (J,)."""
        return self.curves.value(self.position)

    def gains(self, quantity: FloatArray) -> FloatArray:
        """What quantities (J,) are worth beyond what they cost, by column, shape (J,)."""
        gains: FloatArray = (
            self.worth(quantity) - self.cost * quantity - self.fixed_cost * (quantity > 0)
        )
        return gains

    def gain(self, quantity: FloatArray) -> float:
        """The objective."""
        return float(self.gains(quantity).sum())

    def drawn(self, quantity: FloatArray) -> FloatArray:
        """What quantities (J,) take of each group's stock, shape (G,)."""
        # Columns of no group are counted in front.
        drawn = np.bincount(self.group + 1, quantity, minlength=len(self.stock) + 1)[1:]
        return drawn.astype(float)

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
        price = self.cost + self.use @ prices
        gained = float(self.worth(quantity).sum() - price @ quantity)
        return quantity, gained + float(prices @ self.capacity)

    def respond(self, prices: FloatArray) -> FloatArray:
        """Best quantities (J,) at prices (R,) on the resources, integers relaxed."""
        price = self.cost + self.use @ prices
        wanted = np.clip(self.curves.target(price) - self.position, 0.0, self.largest)
        if not len(self.stock):
            return wanted
        short = np.flatnonzero(
            self.drawn(wanted) > self.stock * (1 + _TOLERANCE) + _TOLERANCE,
        )
        if not len(short):
            return wanted
        if not self.terms.alike:
            member = np.isin(self.group, short)
            ladder = Ladder(
                self.curves, price, np.where(member, self.group, UNGROUPED), len(self.stock)
            )
            columns, shares = ladder.share(short, self.stock, self.position, self.largest)
            wanted[columns] = shares
            return wanted
        shared, known = self._shares
        new = short[~known[short]]
        if len(new):
            columns, shares = self.terms.ladder.share(new, self.stock, self.position, self.largest)
            shared[columns] = shares
            known[new] = True
        here = np.zeros(len(self.stock) + 1, dtype=bool)
        here[short + 1] = True
        return np.where(here[self.group + 1], shared, wanted)

    @cached_property
    def _shares(self) -> tuple[FloatArray, BoolArray]:
        """Shares (J,) of groups (G,) met so far whose stock is short, the same at all prices."""
        return np.zeros(len(self.cost)), np.zeros(len(self.stock), dtype=bool)
