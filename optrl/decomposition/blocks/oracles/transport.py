"""Transportation problems of many items at once: few limited sources, many demands, no other limit.

    maximize    sum_sd gain_sd f_sd
    subject to  sum_d f_sd <= supply_s,  sum_s f_sd <= demand_d,  f >= 0

for every item b of a batch, by successive best augmenting paths over the sources: a unit of source
s goes to a demand that has room, or to one where it takes the place of source s', whose unit looks
for another. One path of each item is augmented at a time, all items together. The multipliers at
the end prove an upper bound for any flow, whatever rounding did.

Source: Ahuja, Magnanti & Orlin, Network Flows (1993), section 9.7 (successive shortest paths).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray

from optrl.decomposition.blocks.errors import BlockError

_RELATIVE = 1e-11
"""Gains below this share of the largest are rounding."""


@dataclass(frozen=True)
class Transport:
    """A solved batch.

    Attributes:
        flow: Shape (S, D, B).
        bound: Upper bound on the best gain by multipliers, equal to the flow's gain but for
            rounding, shape (B,).
    """

    flow: FloatArray
    bound: FloatArray


@dataclass(frozen=True)
class Moves:
    """How a source may take another's place at a demand, for every item of a batch the same.

    Attributes:
        source: Source that moves in, by move, shape (M,); moves sorted by pair of sources.
        other: Source that gives way, shape (M,).
        demand: At which demand, shape (M,).
        pairs: First and last + 1 move of each pair, and its two sources.
        at: Moves by which a source gives way at a demand, shape (S, D, most), padded with M.
    """

    source: IntArray
    other: IntArray
    demand: IntArray
    pairs: tuple[tuple[int, int, int, int], ...]
    at: IntArray

    @classmethod
    def of(cls, reachable: BoolArray) -> Moves:
        """From which source may serve which demand, shape (S, D)."""
        sources, demands = reachable.shape
        both = reachable[:, None, :] & reachable[None, :, :]
        both[np.arange(sources), np.arange(sources)] = False
        source, other, demand = (np.asarray(k, dtype=np.int64) for k in np.nonzero(both))
        count = len(source)
        first = np.flatnonzero(np.diff(source * sources + other, prepend=-1))
        last = np.append(first[1:], count)
        pairs = tuple(
            (a, b, int(source[a]), int(other[a]))
            for a, b in zip(first.tolist(), last.tolist(), strict=True)
            if b > a
        )
        # The how-manieth move of its (other, demand) each is.
        rank = both.cumsum(axis=0)[source, other, demand] - 1
        at = np.full((sources, demands, int(rank.max(initial=-1)) + 1), count, dtype=np.int64)
        at[other, demand, rank] = np.arange(count)
        return cls(source, other, demand, pairs, at)


def solve_transport(gain: FloatArray, supply: FloatArray, demand: FloatArray) -> Transport:
    """Solve a batch.

    Args:
        gain: Shape (S, D, B), -inf where a source cannot serve a demand.
        supply: Shape (S, B).
        demand: Shape (D, B).

    Raises:
        BlockError: If it does not end, which no finite numbers bring about.
    """
    sources, demands, batch = gain.shape
    flow, price = np.zeros_like(gain), np.zeros_like(supply)
    if sources == 0 or demands == 0:
        return Transport(flow, np.zeros(batch))
    finite: BoolArray = np.isfinite(gain)
    tolerance = _RELATIVE * (1.0 + np.where(finite, np.abs(gain), 0.0).max(axis=(0, 1)))
    moves = Moves.of(np.logical_or.reduce(finite, axis=2))
    active = np.arange(batch)
    work = _Work(gain, supply, demand, moves)
    for _ in range(20 * (sources + 1) * (demands + 1)):
        paths = work.best_paths(tolerance[active])
        at_start = np.where(work.supply > 0, paths.gain, -np.inf)
        start = at_start.argmax(axis=0)
        go = at_start[start, np.arange(len(active))] > tolerance[active]
        going = np.flatnonzero(go)
        if len(going) <= _COMPACT * len(active):
            done = ~go
            flow[:, :, active[done]] = work.flow[:, :, done]
            # A unit that gives way may also be left over, which is worth 0.
            ended = work.only(done).best_paths(tolerance[active[done]], leaving=0.0)
            price[:, active[done]] = ended.gain
            if not len(going):
                break
            active, start, paths, work = active[go], start[go], paths.only(go), work.only(go)
            going = np.arange(len(active))
        work.augment(start[going], going, paths)
    else:
        raise BlockError("the transportation problem of an item does not end: check for nan")
    saved = np.maximum((gain - price[:, None, :]).max(axis=0), 0.0)
    bound = (supply * price).sum(axis=0) + (demand * saved).sum(axis=0)
    return Transport(flow, bound)


_COMPACT = 0.7


@dataclass(frozen=True)
class _Paths:
    """Best paths from every source: gain, and the pair by which each goes on, -1 to end there."""

    gain: FloatArray
    pair: IntArray

    def only(self, keep: BoolArray) -> _Paths:
        return _Paths(self.gain[:, keep], self.pair[:, keep])


class _Work:
    """Items whose flow is not yet best; `room` and `taken` are gains where they can be had."""

    def __init__(
        self, gain: FloatArray, supply: FloatArray, demand: FloatArray, moves: Moves
    ) -> None:
        self.moves = moves
        self.supply, self.demand = supply.copy(), demand.copy()
        self.flow = np.zeros_like(gain)
        self.room = np.where(demand > 0, gain, -np.inf)
        # The difference of two infinities belongs to no flow.
        with np.errstate(invalid="ignore"):
            moved = gain[moves.source, moves.demand] - gain[moves.other, moves.demand]
        self.moved = np.where(np.isnan(moved), -np.inf, moved)
        # One row more than moves, for what pads `Moves.at`.
        self.taken = np.full((len(moves.source) + 1, gain.shape[2]), -np.inf)

    def only(self, keep: BoolArray) -> _Work:
        """The items that go on."""
        part = object.__new__(_Work)
        part.moves = self.moves
        part.supply, part.demand = self.supply[:, keep], self.demand[:, keep]
        part.flow, part.room = self.flow[:, :, keep], self.room[:, :, keep]
        part.moved, part.taken = self.moved[:, keep], self.taken[:, keep]
        return part

    def best_paths(self, tolerance: FloatArray, leaving: float = -np.inf) -> _Paths:
        """Longest paths over the sources (Bellman and Ford), which have no positive cycle.

        Args:
            tolerance: Gains that count as none, shape (B,).
            leaving: Worth of leaving a unit over instead.
        """
        gain = np.maximum(self.room.max(axis=1), leaving)
        pair = np.full(gain.shape, -1, dtype=np.int64)
        pairs = self.moves.pairs
        best = [self.taken[first:last].max(axis=0) for first, last, _, _ in pairs]
        for _ in range(len(gain)):
            changed = False
            for k, (_, _, source, other) in enumerate(pairs):
                through = best[k] + gain[other]
                better = through > gain[source] + tolerance
                if better.any():
                    changed = True
                    np.copyto(gain[source], through, where=better)
                    np.copyto(pair[source], k, where=better)
            if not changed:
                break
        return _Paths(gain, pair)

    def augment(self, start: IntArray, items: IntArray, paths: _Paths) -> None:
        """Send as much as there is along the best path of some items from their starts."""
        amount = np.full(len(self.supply[0]), np.inf)
        amount[items] = self.supply[start, items]
        steps = []
        source, on = start, items
        while len(on):
            pair = paths.pair[source, on]
            demand, other = np.empty_like(source), np.full_like(source, -1)
            ends = pair < 0
            demand[ends] = self.room[source[ends], :, on[ends]].argmax(axis=1)
            for k in np.unique(pair[~ends]).tolist():
                first, last, _, gives_way = self.moves.pairs[k]
                here = pair == k
                at = self.taken[first:last, on[here]].argmax(axis=0)
                demand[here], other[here] = self.moves.demand[first:last][at], gives_way
            left = np.where(ends, self.demand[demand, on], self.flow[other, demand, on])
            amount[on] = np.minimum(amount[on], left)
            steps.append((source, demand, other, on))
            source, on = other[~ends], on[~ends]
        self.supply[start, items] -= amount[items]
        for source, demand, other, on in steps:
            self._send(source, demand, other, on, amount[on])

    def _send(
        self, source: IntArray, demand: IntArray, other: IntArray, on: IntArray, sent: FloatArray
    ) -> None:
        self.flow[source, demand, on] += sent
        self._update(source, demand, on)
        moved = other >= 0
        self.flow[other[moved], demand[moved], on[moved]] -= sent[moved]
        self._update(other[moved], demand[moved], on[moved])
        last, at = demand[~moved], on[~moved]
        self.demand[last, at] -= sent[~moved]
        full = self.demand[last, at] <= 0
        self.room[:, last[full], at[full]] = -np.inf

    def _update(self, source: IntArray, demand: IntArray, on: IntArray) -> None:
        """Moves that a source gives way to at a demand are there while it has flow."""
        there = self.flow[source, demand, on] > 0
        for rank in range(self.moves.at.shape[2]):
            move = self.moves.at[source, demand, rank]
            real = move < len(self.moves.source)
            row, column = move[real], on[real]
            self.taken[row, column] = np.where(there[real], self.moved[row, column], -np.inf)
