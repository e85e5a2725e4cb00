"""Levels of dual-sourcing policies fitted on sampled demand, all choices on the same paths.

Given the difference of its levels, or its constant order, how far the expedited position lies
above its level (the excess) does not depend on the level: each choice is played once, and the
best level for it is a newsvendor's quantile of demand less excess. Demand of nodes is that of the
planning horizon with its first periods left out; seasons within it are averaged, so that levels
stand for the whole horizon. Lost sales are treated as backorders with the penalty of `UnitCosts`.

Source: Veeraraghavan & Scheller-Wolf (2008), Operations Research 56(4), section 4 (the search).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.levels import mean_rate
from optrl.policies.sourcing import Sourcing
from optrl.policies.two_suppliers import Expediting

_PERIODS = 400
_PATHS = 16
_WARM_UP = 50
_ELEMENTS = 400_000
# Keeps the sample apart from demand that a caller draws with the same seed, on which the levels
# would be judged too well. The generator of (seed, 0) is that of seed.
_STREAM = 7_203

Regular = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Regular order from the missing regular quantity, last demand and choice, arrays alike."""


@dataclass(frozen=True)
class Pairs:
    """Items and nodes with two suppliers, P of them, and what their levels depend on.

    Attributes:
        item: Item of each pair, shape (P,).
        node: Stocking node of each pair, shape (P,).
        demand: Sampled demand of each pair, shape (P, paths, periods).
        lead: Regular less expedited lead time, shape (P,).
        expedited_lead: Expedited lead time, shape (P,).
        premium: Expedited less regular cost a unit, shape (P,).
        holding: Holding cost, shape (P,).
        penalty: Shortage cost a unit and period, shape (P,).
        lot: Lot of the regular lane, shape (P,); 0 for none.
    """

    item: IntArray
    node: IntArray
    demand: FloatArray
    lead: IntArray
    expedited_lead: IntArray
    premium: FloatArray
    holding: FloatArray
    penalty: FloatArray
    lot: FloatArray

    @classmethod
    def of(
        cls,
        instance: Instance,
        sourcing: Sourcing,
        expediting: Expediting,
        demand: DemandModel,
        seed: int,
    ) -> Pairs:
        """Collect the pairs and draw their demand."""
        item, node = np.nonzero(expediting.dual)
        generator = np.random.default_rng([seed, 0, _STREAM])
        horizon = max(instance.horizon, 1)
        repeats = -(-_PERIODS // horizon)
        paths = np.zeros((len(item), _PATHS, repeats * horizon))
        # Repetitions of the horizon follow one another on each path; no pairs need no demand.
        for k in range(repeats if len(item) else 0):
            drawn = demand.sample(_PATHS, instance.start, horizon, generator)
            by_node = np.einsum("sndt,ndm->nmst", drawn, sourcing.owns.astype(float))
            paths[:, :, k * horizon : (k + 1) * horizon] = by_node[item, node]
        rate = mean_rate(demand, instance.start, instance.horizon)
        costs = UnitCosts.of(sourcing, rate)
        expedited = expediting.lead_time
        penalty = costs.penalty(expedited.astype(float), sourcing.review)
        return cls(
            item,
            node,
            paths,
            (sourcing.lead_time - expedited)[item, node],
            expedited[item, node],
            expediting.premium[item, node],
            costs.overage[item, node],
            penalty[item, node],
            sourcing.of_lane(sourcing.network.lot_size)[item, node],
        )

    @property
    def mean(self) -> FloatArray:
        """Mean demand a period, shape (P,)."""
        return np.asarray(self.demand.mean(axis=(1, 2)))

    def rounded(self, values: FloatArray) -> FloatArray:
        """Values (P, choices) in whole lots of each pair."""
        lot = self.lot[:, None]
        return np.where(lot > 0, np.round(values / np.where(lot > 0, lot, 1)) * lot, values)

    def take(self, chosen: slice) -> Pairs:
        """Some of the pairs."""
        return Pairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Fitted:
    """Best choices; all of shape (P,).

    Attributes:
        choice: Index of the best choice.
        level: Level that the excess of that choice is relative to.
    """

    choice: IntArray
    level: FloatArray


def fit_overshoot(
    pairs: Pairs, difference: FloatArray, cap: FloatArray, constant: FloatArray | None = None
) -> Fitted:
    """Best of some choices of difference and cap, or of constant orders.

    Args:
        pairs: Pairs with two suppliers.
        difference: Regular less expedited level, shape (P, choices).
        cap: Largest regular order, same shape.
        constant: Constant regular order in place of both, same shape.
    """

    def play(part: Pairs, chosen: slice) -> tuple[FloatArray, FloatArray]:
        fixed = None if constant is None else constant[chosen]
        return _dual_excess(part, difference[chosen], cap[chosen], fixed)

    return _best(pairs, difference.shape[1], play)


def fit_single_index(pairs: Pairs, difference: FloatArray) -> Fitted:
    """Best of some differences of the single-index policy; the level is the regular one."""

    def play(part: Pairs, chosen: slice) -> tuple[FloatArray, FloatArray]:
        limit = difference[chosen][:, :, None, None]
        demand = part.demand[:, None]
        regular = np.minimum(demand, limit)
        rushed = (demand - regular)[..., _WARM_UP:].mean(axis=(2, 3))
        # Orders of period t are the demand of t - 1; the last `lead` of them are on the way.
        summed = np.cumsum(regular, axis=-1)
        excess = np.zeros_like(regular)
        for lead in np.unique(part.lead):
            of = part.lead == lead
            excess[of, ..., lead + 1 :] = -(summed[of, ..., lead:-1] - summed[of, ..., : -lead - 1])
        return excess, rushed

    return _best(pairs, difference.shape[1], play)


def _dual_excess(
    pairs: Pairs, difference: FloatArray, cap: FloatArray, constant: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Excess by period, (P, choices, paths, periods), and mean expedited order (P, choices)."""
    count, paths, periods = pairs.demand.shape
    shape = (count, difference.shape[1], paths)
    stock = np.zeros(shape)
    longest = int(pairs.lead.max(initial=1))
    pipeline = np.zeros((longest, *shape))
    excess = np.empty((*shape, periods))
    rushed = np.zeros(shape[:2])
    # A pair's order enters its expedited position `lead` periods later, at its own slot.
    rows, lead = np.arange(count), pairs.lead - 1
    for t in range(periods):
        y = np.maximum(stock, 0.0)
        if t >= _WARM_UP:
            rushed += (y - stock).mean(axis=2)
        if constant is None:
            order = difference[:, :, None] - y - pipeline.sum(axis=0)
            order = np.clip(order, 0.0, cap[:, :, None])
        else:
            order = np.broadcast_to(constant[:, :, None], shape)
        pipeline[lead, rows] += order
        excess[..., t] = y
        stock = y - pairs.demand[:, None, :, t] + pipeline[0]
        pipeline = np.concatenate([pipeline[1:], np.zeros((1, *shape))])
    return excess, rushed / (periods - _WARM_UP)


def _best(
    pairs: Pairs,
    choices: int,
    play: Callable[[Pairs, slice], tuple[FloatArray, FloatArray]],
) -> Fitted:
    """Play all choices in blocks of pairs and take the cheapest for each pair."""
    count = len(pairs.item)
    best, level = np.zeros(count, dtype=np.int64), np.zeros(count)
    step = max(1, _ELEMENTS // (choices * _PATHS))
    for low in range(0, count, step):
        chosen = slice(low, low + step)
        part = pairs.take(chosen)
        excess, rushed = play(part, chosen)
        cost, levels = _newsvendor(part, excess)
        cost += part.premium[:, None] * rushed
        best[chosen] = cost.argmin(axis=1)
        level[chosen] = np.take_along_axis(levels, best[chosen, None], axis=1)[:, 0]
    return Fitted(best, level)


def _newsvendor(pairs: Pairs, excess: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cost a period under the best level, and that level, both (P, choices)."""
    cost, level = np.zeros(excess.shape[:2]), np.zeros(excess.shape[:2])
    periods = excess.shape[3]
    summed = np.pad(np.cumsum(pairs.demand, axis=2), ((0, 0), (0, 0), (1, 0)))
    for lead in np.unique(pairs.expedited_lead):
        of = pairs.expedited_lead == lead
        last = periods - lead
        window = summed[of][..., lead + 1 :] - summed[of][..., : periods - lead]
        need = (window[:, None] - excess[of][..., :last])[..., _WARM_UP:]
        need = np.sort(need.reshape(*need.shape[:2], -1), axis=2)
        ratio = pairs.penalty[of] / np.maximum(pairs.penalty[of] + pairs.holding[of], 1e-300)
        place = np.minimum((ratio * need.shape[2]).astype(np.int64), need.shape[2] - 1)
        best = np.take_along_axis(need, place[:, None, None], axis=2)
        gap = best - need
        holding, penalty = pairs.holding[of][:, None, None], pairs.penalty[of][:, None, None]
        cost[of] = np.where(gap > 0, holding * gap, -penalty * gap).mean(axis=2)
        level[of] = best[..., 0]
    return cost, level
