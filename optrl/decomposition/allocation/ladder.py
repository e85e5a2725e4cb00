"""Stock shared out among the columns of each group, best first, for all groups at once.

All segments of a group's columns, in the order of what a unit on them gains, are rungs of a ladder.
How far up a stock reaches is found by halving the rungs, with all groups in step. What does not
suffice for the whole of the next rung is shared in proportion by the columns that stand on it,
which all gain the same there. Prices that all columns of a group pay alike do not change the order
of its rungs, so that a ladder is built once for many states and prices.

Source: Luss & Gupta (1975), Operations Research 23(2) (separable concave allocation by marginal
values).
"""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.allocation.curves import Curves, count_true, pick


class Ladder:
    """Rungs of groups.

    Args:
        curves: Of all columns.
        price: What a unit costs, shape (J,).
        group: Group of each column, negative for none, shape (J,).
        groups: Number of groups G.
    """

    def __init__(self, curves: Curves, price: FloatArray, group: IntArray, groups: int) -> None:
        self._curves = curves
        columns = np.flatnonzero(group >= 0)
        # Columns of a group side by side.
        self._columns = columns = columns[np.argsort(group[columns], kind="stable")]
        self._group = group[columns]
        self._members = np.bincount(self._group, minlength=groups)
        self._first = np.cumsum(self._members) - self._members
        margin = np.take(curves.falling, columns, axis=1) - price[columns]
        scale = float(np.abs(margin).max(initial=0.0)) or 1.0
        # One number orders by group, then by falling gain: 0 for the largest, below 1 for all.
        self._key = self._group + 0.5 - 0.5 * np.clip(margin / scale, -0.999, 1.0)
        self._rungs = np.sort(self._key, axis=None)

    def share(
        self, chosen: IntArray, stock: FloatArray, position: FloatArray, largest: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """Hand out the stock of some groups.

        Args:
            chosen: Groups that have columns, shape (C,); each one's would take more than its stock.
            stock: Of all groups, shape (G,).
            position: Of all columns, shape (J,).
            largest: Quantity of each column, shape (J,).

        Returns:
            The columns of these groups, and what each gets.
        """
        members = self._members[chosen]
        start = np.cumsum(members) - members
        owner = np.repeat(np.arange(len(chosen)), members)
        inside = np.arange(len(owner)) + (self._first[chosen] - start)[owner]
        columns = self._columns[inside]
        key = np.take(self._key, inside, axis=1)
        reached = np.take(self._curves.reached, columns, axis=1)
        at, most, stock = position[columns], largest[columns], stock[chosen]

        def taken(better: BoolArray) -> FloatArray:
            """Quantities where columns climb all rungs that are better, shape (columns,)."""
            quantity: FloatArray = np.clip(pick(reached, count_true(better)) - at, 0.0, most)
            return quantity

        segments = len(self._key)
        base, low, high = segments * self._first[chosen], 0 * members, segments * members
        for _ in range(int(high.max(initial=1)).bit_length()):
            middle = (low + high) // 2
            rung = self._rungs[base + middle]
            fits = np.add.reduceat(taken(key < rung[owner]), start) <= stock
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        rung = self._rungs[base + low][owner]
        below, above = taken(key < rung), taken(key <= rung)
        left = stock - np.add.reduceat(below, start)
        step = np.add.reduceat(above - below, start)
        share = np.divide(left, step, out=np.ones_like(left), where=step > left)
        return columns, below + np.maximum(share, 0.0)[owner] * (above - below)
