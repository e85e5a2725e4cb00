"""What of a request is possible: the one place where decisions are cut.

Order of the cuts: allowed lanes; calendar; largest quantity; supplier capacity; lots; smallest
quantity; shared resources; stock at the origin. Whatever is shared is rationed in proportion to
what is asked. After rationing, quantities are rounded down to lots again.

Every tensor is graph-first, (lanes, S, N).
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network
from torch import Tensor

from optrl.simulation.features import Features
from optrl.simulation.rows import Rows, by_scenario

# Keeps 0/0 at 0 and gradients finite; far below any quantity that matters.
SMALLEST = 1e-12
# Stands for "unlimited" where only some items are limited; infinity would give inf/inf.
UNLIMITED = 1e30


class Cuts:
    """Quantities cut, by reason, summed over lanes and items, each of shape (S,)."""

    def __init__(self) -> None:
        self.by_reason: dict[str, Tensor] = {}

    def add(self, reason: str, quantity: Tensor) -> None:
        """Add a quantity (..., S, N) to a reason."""
        total = by_scenario(quantity.detach())
        self.by_reason[reason] = self.by_reason.get(reason, 0) + total


def lane_tensor(values: FloatArray, lanes: IntArray, items: slice, dtype: torch.dtype) -> Tensor:
    """Coefficients (N, A) of some lanes as a tensor (lanes, 1, N)."""
    return torch.from_numpy(np.take(values[items].T, lanes, axis=0)).to(dtype)[:, None]


class Lots:
    """Lot sizes and smallest quantities of some lanes."""

    def __init__(
        self,
        network: Network,
        lanes: IntArray,
        items: slice,
        dtype: torch.dtype,
        features: Features,
    ) -> None:
        self._lot: Tensor | None = None
        self._minimum: Tensor | None = None
        if features.lots:
            lot = lane_tensor(network.lot_size, lanes, items, dtype)
            self._lot = lot if bool((lot > 0).any()) else None
            self._divisor = torch.where(lot > 0, lot, 1.0)
        if features.minimum:
            minimum = lane_tensor(network.minimum_quantity, lanes, items, dtype)
            self._minimum = minimum if bool((minimum > 0).any()) else None
        self._relative = 1 + 8 * torch.finfo(dtype).eps
        self._absolute = 1e-6

    @property
    def active(self) -> bool:
        """Whether any lane has a lot size or smallest quantity."""
        return self._lot is not None or self._minimum is not None

    def within_rounding(self, held: Tensor) -> Tensor:
        """What may be taken of `held`: a lot is not lost to rounding error in what is held."""
        return held * self._relative + 1e-9

    def round_down(self, q: Tensor, tolerant: bool = False) -> Tensor:
        """Multiples of the lot size, not above `q`.

        Args:
            q: Quantity, shape (lanes, S, N).
            tolerant: Whether a quantity below a multiple by rounding error counts as it.
        """
        if self._lot is None:
            return q
        count = q / self._divisor
        if tolerant:
            count = count * self._relative + self._absolute
        return torch.where(self._lot > 0, count.floor() * self._lot, q)

    def drop_small(self, q: Tensor) -> Tensor:
        """Zero where `q` is below the smallest quantity."""
        if self._minimum is None:
            return q
        return torch.where(q * self._relative + self._absolute >= self._minimum, q, 0.0)

    def apply(self, q: Tensor, cuts: Cuts | None, tolerant: bool = False) -> Tensor:
        """Both, with what was cut reported."""
        rounded = self.round_down(q, tolerant)
        kept = self.drop_small(rounded)
        if cuts is not None:
            if self._lot is not None:
                cuts.add("lot_size", (q - rounded).clamp(min=0))
            if self._minimum is not None:
                cuts.add("minimum_quantity", rounded - kept)
        return kept


class LaneLimits:
    """Limits of each lane by itself: allowed, calendar, largest quantity.

    Args:
        network: The network.
        lanes: Lanes it applies to, in the order of the tensors' rows.
        items: Items simulated.
        dtype: Floating type.
        features: What the network uses.
    """

    def __init__(
        self,
        network: Network,
        lanes: IntArray,
        items: slice,
        dtype: torch.dtype,
        features: Features,
    ) -> None:
        self._network = network
        self._lanes = lanes
        self._allowed: Tensor | None = None
        self._maximum: Tensor | None = None
        if features.forbidden:
            allowed: BoolArray = network.allowed[items][:, lanes]
            if not allowed.all():
                self._allowed = torch.from_numpy(allowed.T.copy()).to(dtype)[:, None]
        if features.maximum:
            maximum = lane_tensor(network.maximum_quantity, lanes, items, dtype)
            self._maximum = maximum if bool(torch.isfinite(maximum).any()) else None
        self._always_open = bool((network.review_period[lanes] == 1).all()) and not any(
            lane in lanes for lane, _ in network.closed
        )

    def apply(self, q: Tensor, period: int, cuts: Cuts | None) -> Tensor:
        """`q` within the limits of each lane in `period`."""
        if self._allowed is not None:
            q = _cut(q, q * self._allowed, "not_allowed", cuts)
        if not self._always_open:
            is_open = self._network.open_periods(period, 1)[self._lanes, 0]
            if not is_open.all():
                q = _cut(q, q * torch.from_numpy(is_open)[:, None, None], "closed", cuts)
        if self._maximum is not None:
            q = _cut(q, torch.minimum(q, self._maximum), "maximum_quantity", cuts)
        return q


def _cut(before: Tensor, after: Tensor, reason: str, cuts: Cuts | None) -> Tensor:
    if cuts is not None:
        cuts.add(reason, before - after)
    return after


class Pool:
    """Holders that lanes draw on: stock of nodes or capacity of suppliers.

    Args:
        lanes: Positions of the lanes that draw, among the rows of the requests.
        requests: Number of rows of the requests.
        holder: Row of each of these lanes' holder among the rows of what is held.
        holders: Number of rows of what is held.
    """

    def __init__(self, lanes: IntArray, requests: int, holder: IntArray, holders: int) -> None:
        distinct, group = np.unique(holder, return_inverse=True)
        self.lanes = Rows(lanes, requests)
        self._groups = Rows(group.astype(np.int64), len(distinct))
        self._holders = Rows(distinct, holders)

    def limit_(
        self, q: Tensor, held: Tensor, lots: Lots | None, reason: str, cuts: Cuts | None
    ) -> tuple[Tensor, Tensor]:
        """Ration the requests `q` to what is held.

        Returns:
            All requests, cut in proportion; and what the lanes of the pool took, by holder.
        """
        request = self.lanes.take(q)
        asked = self._groups.total(request)
        have = self._holders.take(held)
        # have / max(asked, have) is exactly 1 where nothing must be cut.
        share = have / torch.maximum(asked, have).clamp(min=SMALLEST)
        factor = self._groups.take(share)
        if cuts is not None:
            cuts.add(reason, (asked - have).detach().clamp(min=0))
        if lots is None:
            return self.lanes.scale_(q, factor), torch.minimum(asked, have)
        granted = request * factor
        rounded = lots.round_down(granted, tolerant=True)
        fits = self._groups.total(rounded) <= lots.within_rounding(have)
        rounded = torch.where(self._groups.take(fits), rounded, lots.round_down(granted))
        kept = lots.drop_small(rounded)
        if cuts is not None:
            cuts.add("lot_size", (granted - rounded).clamp(min=0))
            cuts.add("minimum_quantity", rounded - kept)
        return self.lanes.put_(q, kept), self._groups.total(kept)

    def taken(self, q: Tensor) -> Tensor:
        """What requests `q` take from each holder of the pool, shape (its holders, S, N)."""
        return self._groups.total(self.lanes.take(q))

    def deduct_(self, held: Tensor, taken: Tensor) -> Tensor:
        """What is held after `taken` left."""
        rest = (self._holders.take(held) - taken).clamp(min=0)
        return self._holders.put_(held, rest)
