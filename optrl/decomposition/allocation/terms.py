"""What of an allocation lasts while states change, and what is worked out of it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.allocation.curves import Curves
from optrl.decomposition.allocation.errors import AllocationError
from optrl.decomposition.allocation.ladder import Ladder

UNGROUPED = -1


@dataclass(frozen=True)
class Terms:
    """The part of an allocation that does not depend on the state; J columns, R resources.

    Attributes:
        curves: V_j.
        cost: Money per unit, shape (J,).
        use: Of the resources per unit, shape (J, R), nonnegative.
        group: Group of each column, `UNGROUPED` for none, shape (J,).
        lot: Lot size, 0 where quantities are continuous, shape (J,).
        smallest: Smallest quantity if any, shape (J,).
        fixed_cost: Shape (J,).
        setup: Of the resources if any quantity is ordered, shape (J, R).
        names: Of the resources, for messages.
    """

    curves: Curves
    cost: FloatArray
    use: FloatArray
    group: IntArray
    lot: FloatArray
    smallest: FloatArray
    fixed_cost: FloatArray
    setup: FloatArray
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        j, r = self.use.shape
        for name in ("cost", "group", "lot", "smallest", "fixed_cost"):
            if getattr(self, name).shape != (j,):
                raise AllocationError(f"{name} has shape {getattr(self, name).shape}, not ({j},)")
        if self.curves.width.shape[0] != j or self.setup.shape != (j, r):
            raise AllocationError(f"curves and set-ups must be given for {j} columns")
        if (self.use < 0).any():
            raise AllocationError("use must be nonnegative")

    @cached_property
    def groups(self) -> int:
        """Number of groups G that have columns, or lie below one that has."""
        return int(self.group.max(initial=UNGROUPED)) + 1

    @cached_property
    def integers(self) -> BoolArray:
        """Columns with lots, smallest quantities, fixed costs or set-ups, shape (J,)."""
        whole: BoolArray = (self.lot > 0) | (self.smallest > 0) | (self.fixed_cost > 0)
        return whole | (self.setup > 0).any(axis=1)

    @cached_property
    def is_whole(self) -> bool:
        """Whether any column has integers."""
        return bool(self.integers.any())

    @cached_property
    def typical_prices(self) -> FloatArray:
        """Median price at which a column begins to ask, shape (R,); 1 where none asks."""
        margin = np.maximum(self.curves.slope[:, 0] - self.cost, 0.0)
        typical = np.ones(self.use.shape[1])
        for r in range(len(typical)):
            some = (self.use[:, r] > 0) & (margin > 0)
            if some.any():
                typical[r] = np.median(margin[some] / self.use[some, r])
        return typical

    @cached_property
    def target_free(self) -> FloatArray:
        """Positions asked for where resources cost nothing, shape (J,)."""
        return self.curves.target(self.cost)

    @cached_property
    def target_at_half(self) -> FloatArray:
        """Positions asked for at half of the typical prices, shape (J,)."""
        return self.curves.target(self.cost + self.use @ (self.typical_prices / 2))

    @cached_property
    def members(self) -> IntArray:
        """Columns of each group, shape (G,)."""
        return np.bincount(self.group[self.group != UNGROUPED], minlength=self.groups)

    @cached_property
    def alike(self) -> bool:
        """Whether columns of a group use the same, so that prices do not change their order."""
        inside = self.group != UNGROUPED
        first = np.zeros((self.groups, self.use.shape[1]))
        first[self.group[inside]] = self.use[inside]
        return bool((first[self.group[inside]] == self.use[inside]).all())

    @cached_property
    def ladder(self) -> Ladder:
        """Of all groups at no price; right at any price where columns are `alike`."""
        return Ladder(self.curves, self.cost, self.group, self.groups)
