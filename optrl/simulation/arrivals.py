"""Random arrivals: orders that come late, in parts, or in part.

Each order on a lane with an `ArrivalProfile` draws one row k of the profile when it is released;
the share fraction[k, l] of it becomes usable l periods later, the rest is lost. Orders are drawn
independently, so that a later order may overtake an earlier one (order crossing).

What a policy sees of such an order is what a planner knows: the expectation given what has
arrived so far, that is over the rows of the profile whose shares up to the order's age equal
those of the row drawn. Nothing of the future draw shows.

Draws are a function of (seed, scenario, item, lane, period) by a counter-based generator. They
do not depend on the batch, the block of items, the policy or the order of evaluation: common
random numbers come for free.

Source: the mixing function is the finalizer of SplitMix64 (Steele, Lea & Flood, Fast splittable
pseudorandom number generators, OOPSLA 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
from torch import Tensor

from optrl.instance import ArrivalProfile

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


@dataclass(frozen=True)
class ArrivalDraws:
    """Uniform numbers addressed by (seed, period, lane, scenario, item).

    Attributes:
        seed: Seed of the run.
        scenarios: Number of each scenario in the whole run, int64, shape (S,).
        items: Number of each item in the whole instance, int64, shape (N,).
    """

    seed: int
    scenarios: Tensor
    items: Tensor

    def uniform(self, lanes: Tensor, period: int) -> Tensor:
        """Numbers in [0, 1) of orders released in `period` on `lanes`, float64 (lanes, S, N)."""
        key = _mix(torch.tensor(self.seed, dtype=torch.int64) + _GOLDEN)
        key = _mix(key + torch.tensor(period, dtype=torch.int64) * _GOLDEN)
        key = _mix(key + lanes * _GOLDEN)[:, None]
        key = _mix(key + self.scenarios * _GOLDEN)[:, :, None]
        key = _mix(key + self.items * _GOLDEN)
        return _shift(key, 11).to(torch.float64) * 2.0**-53


@dataclass(frozen=True)
class Underway:
    """Orders of one period on the lanes with profiles.

    Attributes:
        quantity: Quantity released, shape (lanes with profiles, S, N).
        drawn: Position of the row drawn in the stacked tables, int64, same shape.
    """

    quantity: Tensor
    drawn: Tensor


class Arrivals:
    """Tables of all profiles of an instance, stacked so that lanes are drawn together.

    Args:
        profiles: Profiles of distinct lanes.
        dtype: Floating type of quantities.
    """

    def __init__(self, profiles: tuple[ArrivalProfile, ...], dtype: torch.dtype) -> None:
        self.lanes: IntArray = np.array([p.lane for p in profiles], dtype=np.int64)
        self._lane_tensor = torch.from_numpy(self.lanes)
        choices = max((len(p.probability) for p in profiles), default=0)
        self.longest = max((p.fraction.shape[1] - 1 for p in profiles), default=0)
        shape = (len(profiles), choices, self.longest + 1)
        fraction, probability = np.zeros(shape), np.zeros(shape[:2])
        for position, p in enumerate(profiles):
            fraction[position, : p.fraction.shape[0], : p.fraction.shape[1]] = p.fraction
            probability[position, : len(p.probability)] = p.probability
        # The last row of positive probability catches u whatever rounding left of the sum.
        ahead = np.cumsum(probability, axis=1)
        ahead[ahead >= ahead[:, -1:] * (1 - 1e-12)] = np.inf
        self._cumulative = torch.from_numpy(ahead)
        self._first_row = torch.arange(len(profiles))[:, None, None] * choices
        expected = _expected(fraction, probability)
        self._fraction = torch.from_numpy(fraction).to(dtype).flatten(0, 1)
        self._expected = torch.from_numpy(expected).to(dtype).flatten(0, 1)
        later = np.triu(np.ones((self.longest + 1, self.longest + 1)), 1)
        self._remaining = torch.from_numpy((expected * later).sum(-1)).to(dtype).flatten(0, 1)
        self._lost = torch.from_numpy(1 - fraction.sum(-1)).to(dtype).flatten(0, 1)
        self.at_once: IntArray = np.flatnonzero(fraction[:, :, 0].any(axis=1))

    def __len__(self) -> int:
        return len(self.lanes)

    def draw(self, period: int, draws: ArrivalDraws) -> Tensor:
        """Draw how orders of `period` will arrive, see `Underway.drawn`."""
        u = draws.uniform(self._lane_tensor, period)
        drawn = self._first_row.expand(u.shape)
        for k in range(self._cumulative.shape[1] - 1):
            drawn = drawn + (u >= self._cumulative[:, k, None, None])
        return drawn

    def arriving(self, orders: Underway, age: int) -> Tensor:
        """What becomes usable `age` periods after release, shape (lanes with profiles, S, N)."""
        return orders.quantity * self._fraction[:, age].take(orders.drawn)

    def lost(self, orders: Underway) -> Tensor:
        """What never arrives, shape (lanes with profiles, S, N)."""
        return orders.quantity * self._lost.take(orders.drawn)

    def remaining(self, orders: Underway, age: int) -> Tensor:
        """What is expected after `age`, given what arrived, shape (lanes with profiles, S, N)."""
        return orders.quantity * self._remaining[:, age].take(orders.drawn)

    def expected(self, orders: Underway, age: int, delay: int) -> Tensor:
        """What is expected `delay` periods after release, given what arrived up to `age`."""
        return orders.quantity * self._expected[:, age, delay].take(orders.drawn)


def _expected(fraction: FloatArray, probability: FloatArray) -> FloatArray:
    """E[fraction[k', l] | fraction[k', :g+1] = fraction[k, :g+1]], shape (lanes, K, g, l)."""
    differs = ~np.isclose(fraction[:, :, None, :], fraction[:, None, :, :])
    alike = np.cumsum(differs, axis=-1) == 0
    weight = alike * probability[:, None, :, None]
    total = weight.sum(axis=2, keepdims=True)
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    result: FloatArray = np.einsum("pkjg,pjl->pkgl", share, fraction)
    return result
