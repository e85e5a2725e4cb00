"""What one more lot saves in expected shortage, as a falling function of the position.

The function is tabulated for each item and node on equal steps, of the unit of demand where
demand comes in units, and linear between them. Positions below the table are short for certain:
there it goes on falling by 1 for each mean of the demand covered, above the table likewise, so
that every value belongs to one position. Within the table it is made to fall strictly by adding
1e-7 at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.demand.lead_time import TotalDemand
from optrl.policies.levels import WindowDemand
from optrl.policies.sourcing import NOWHERE, Sourcing

_STEPS = 128
_CERTAIN = 1 - 1e-6
_STRICT = 1e-7


class EchelonTotals:
    """Demand that an order of each node must cover with all nodes below, kept by period.

    Args:
        sourcing: Primary lanes and serving nodes, of all items.
        model: Demand model.

    Attributes:
        rows: Stocking nodes that a stocking node supplies.
        position: Their positions in `rows`, -1 for other stocking nodes, shape (M,).
    """

    def __init__(self, sourcing: Sourcing, model: DemandModel) -> None:
        self._demand = WindowDemand(sourcing, model, "echelon")
        self.rows: IntArray = np.flatnonzero((sourcing.parent != NOWHERE).any(axis=0))
        self.position: IntArray = np.full(len(sourcing.stocking), -1)
        self.position[self.rows] = np.arange(len(self.rows))
        self._kept: dict[int, TotalDemand] = {}
        self._last: TotalDemand | None = None

    def at(self, period: int) -> TotalDemand:
        """Totals of an order of `period`, arrays of shape (N, rows); the same one while steady."""
        if period not in self._kept:
            whole = self._demand.at(period)
            found = columns(whole, slice(None), self.rows)
            last = self._last
            if (
                last is not None
                and np.array_equal(last.mean, found.mean)
                and np.array_equal(last.variance, found.variance)
            ):
                found = last
            self._kept[period] = self._last = found
        return self._kept[period]


def columns(total: TotalDemand, items: slice, nodes: IntArray | slice) -> TotalDemand:
    """Totals of some items and nodes."""
    mean, variance, unit = (x[items][:, nodes] for x in (total.mean, total.variance, total.unit))
    return TotalDemand(mean, variance, unit, total.normal)


@dataclass(frozen=True)
class Curves:
    """Falling functions, one for each of C nodes and P cases, shape (C, P) each but the table.

    Attributes:
        table: Their values, all nodes and items, shape (rows * N, steps + 1).
        sought: Values negated and shifted by 4 for each row, ascending over the whole table.
        row: Row of the table.
        first: Position of the first value.
        step: Distance of positions.
        scale: Positions a unit of value outside the table.
    """

    table: Tensor
    sought: Tensor
    row: Tensor
    first: Tensor
    step: Tensor
    scale: Tensor

    def value(self, position: Tensor) -> Tensor:
        """Values at positions (C, P)."""
        steps = self.table.shape[1] - 1
        place = (position - self.first) / self.step
        inside = place.clamp(0, steps)
        low = inside.floor().clamp(max=steps - 1).long()
        flat = self.table.view(-1)
        here = flat[self.row * (steps + 1) + low]
        there = flat[self.row * (steps + 1) + low + 1]
        beyond = (place - inside) * self.step / self.scale
        return here + (there - here) * (inside - low) - beyond

    def position(self, value: Tensor) -> Tensor:
        """Positions (C, P) of values (P,)."""
        steps = self.table.shape[1] - 1
        top, bottom = self.table[:, 0][self.row], self.table[:, -1][self.row]
        inside = value.clamp(bottom, top)
        found = torch.searchsorted(self.sought, 4.0 * self.row - inside, right=True)
        low = (found - self.row * (steps + 1) - 1).clamp(0, steps - 1)
        flat = self.table.view(-1)
        here = flat[self.row * (steps + 1) + low]
        there = flat[self.row * (steps + 1) + low + 1]
        part = ((here - inside) / (here - there)).clamp(0, 1)
        return self.first + self.step * (low + part) - self.scale * (value - inside)


@dataclass(frozen=True)
class _Tables:
    """Tables of all nodes and items; attributes as in `Curves`, the last ones (rows, N)."""

    table: Tensor
    sought: Tensor
    first: Tensor
    step: Tensor
    scale: Tensor
    places: IntArray

    def of(self, node: IntArray, item: Tensor) -> Curves:
        """The functions of C stocking nodes and P items."""
        place = torch.from_numpy(self.places[node])[:, None]
        row = place * self.first.shape[1] + item
        first, step, scale = (x[place, item] for x in (self.first, self.step, self.scale))
        return Curves(self.table, self.sought, row, first, step, scale)


class MarginalShortage:
    """Marginal savings of some items by period, computed anew when demand changes.

    Args:
        totals: Demand covered, of all items.
        items: The items.
        lot: Lot size of each stocking node's primary lane, 0 where continuous, shape (n, M).
    """

    def __init__(self, totals: EchelonTotals, items: slice, lot: FloatArray) -> None:
        self._totals, self._items = totals, items
        self._lot = lot[:, totals.rows]
        self._last: tuple[TotalDemand, _Tables] | None = None

    def at(self, period: int) -> _Tables:
        """Tables of a period."""
        total = self._totals.at(period)
        if self._last is None or self._last[0] is not total:
            part = columns(total, self._items, slice(None))
            self._last = total, _tabulate(part, self._lot, self._totals.position)
        return self._last[1]


def _tabulate(total: TotalDemand, lot: FloatArray, places: IntArray) -> _Tables:
    unit = total.unit
    span = total.quantile(_CERTAIN) + lot + np.where(unit > 0, 2 * unit, 0.0)
    span = np.where(span > 0, span, 1.0)
    whole = unit * np.ceil(span / (_STEPS * np.where(unit > 0, unit, 1.0)))
    step = np.where(unit > 0, whole, span / _STEPS)
    first = -step * np.ceil(lot / step - 1e-9)
    position = first + step * np.arange(_STEPS + 1.0)[:, None, None]
    above, tail = _shortage(total, position)
    beyond = _shortage(total, position + lot)[0]
    saved = np.where(lot > 0, (above - beyond) / np.where(lot > 0, lot, 1.0), tail)
    # Falling by theory; not below rounding error.
    saved = np.maximum.accumulate(np.clip(saved, 0.0, 1.0)[::-1])[::-1]
    saved = saved + _STRICT * np.linspace(1.0, 0.0, _STEPS + 1)[:, None, None]
    table = torch.from_numpy(np.ascontiguousarray(saved.transpose(2, 1, 0)))
    rows, items = table.shape[:2]
    table = table.view(rows * items, _STEPS + 1)
    sought = (4.0 * torch.arange(rows * items)[:, None] - table).view(-1)
    scale = np.maximum(total.mean, step)
    first, step, scale = (np.ascontiguousarray(x.T) for x in (first, step, scale))
    edges = (torch.from_numpy(first), torch.from_numpy(step), torch.from_numpy(scale))
    return _Tables(table, sought, *edges, places)


def _shortage(total: TotalDemand, position: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E (D - y)^+ and P(D > y), negative positions included."""
    short, tail = total.shortage(np.maximum(position, 0.0))
    negative = position < 0
    return np.where(negative, total.mean - position, short), np.where(negative, 1.0, tail)
