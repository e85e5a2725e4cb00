"""Myopic: every order makes the expected cost of the periods it serves smallest."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.critical_ratio import UnitCosts
from optrl.policies.lead_time_paths import LeadTimePaths
from optrl.policies.levels import Levels, mean_rate, quantile_levels
from optrl.policies.order_up_to import LevelPolicy
from optrl.policies.sourcing import Sourcing
from optrl.simulation.rows import Rows, graph_first
from optrl.simulation.state import State

# Elements of the tensors walked through at once.
_CHUNK_ELEMENTS = 1_000_000
_PATHS = 256


class Myopic(LevelPolicy):
    """Order as if nothing after the order's own periods mattered.

    An order of period t is usable from t + L on, the next one R periods later. What is left over
    keeps its value for the periods after, so that the cost of the R periods between is smallest
    where

        P(X + z >= D) = critical ratio of `UnitCosts.newsvendor_ratio`,

    X being the stock when the order z arrives and D the demand of those periods. Under lost
    sales X has no simple distribution: it is walked through on sample paths of demand
    (`LeadTimePaths`) from the stock and what is due, so that the order depends on when each
    delivery arrives and not on their sum alone. Without lead time, and with backorders, where
    X + z - D is the position less the demand of L + R periods, the policy is base stock at that
    ratio. Nodes that only supply others follow base stock too. Fixed costs, lots and resources
    are not looked at.

    Source: Morton (1971), The near-myopic nature of the lagged-proportional-cost inventory
    problem with lost sales, Operations Research 19(7); Zipkin (2008), Operations Research 56(5),
    section 3 (the policy and its cost); Veinott (1965), Optimal policy for a
    multi-product, dynamic, nonstationary inventory problem, Management Science 12(3)
    (backorders, where it is optimal if demand does not fall).
    """

    name: ClassVar[str] = "myopic"

    def __init__(self, sourcing: Sourcing, levels: Levels, arrival: StockAtArrival | None) -> None:
        """Prepare the policy.

        Args:
            sourcing: Primary lanes and serving nodes.
            levels: Base-stock levels where the position decides.
            arrival: What is missing at arrival under lost sales, None where nothing is lost.
        """
        self._arrival = arrival
        super().__init__(sourcing, levels)

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Ratios from costs; the seed draws the paths of demand until arrival."""
        sourcing = Sourcing.of(instance)
        rate = mean_rate(demand, instance.start, instance.horizon)
        ratio = UnitCosts.of(sourcing, rate).newsvendor_ratio(sourcing.review)
        levels = quantile_levels(sourcing, demand, "protection", ratio)
        lost = instance.network.unmet == "lost"
        arrival = StockAtArrival(sourcing, demand, ratio, seed) if lost else None
        return cls(sourcing, levels, arrival)

    def orders(self, state: State, period: int) -> Tensor:
        """What each node asks for, shape (M, S, N)."""
        position = self.position(state)
        if self._arrival is not None:
            level = self._level.at(period, position)
            position = self._arrival.position(position, level, state, period)
        return self.cascade(position, period)


class StockAtArrival:
    """What is missing, when an order arrives, to the stock that its periods need.

    Args:
        sourcing: Primary lanes and serving nodes, of all items.
        model: Demand model.
        ratio: Probability with which the stock is to suffice, shape (N, M).
        seed: Seed of the paths.
        paths: Number of paths.
    """

    def __init__(
        self,
        sourcing: Sourcing,
        model: DemandModel,
        ratio: FloatArray,
        seed: int,
        paths: int = _PATHS,
    ) -> None:
        self._sourcing = sourcing
        self._paths = LeadTimePaths(sourcing, model, seed, paths)
        rows = self._paths.rows
        self._into = Rows(rows, len(sourcing.stocking))
        self._at = Rows(sourcing.stocking[rows], len(sourcing.network.nodes))
        lead = sourcing.lead_time[:, rows]
        serves = np.asarray(sourcing.owns[:, :, rows].any(axis=1))
        self._lead, self._serves = _row_tensor(lead), _row_tensor(serves & (lead > 0))
        self._ratio = np.ascontiguousarray(ratio[:, rows].T)[:, None]

    def position(self, position: Tensor, level: Tensor, state: State, period: int) -> Tensor:
        """Positions (M, S, N) from which an order up to `level` is what is missing."""
        if not len(self._into):
            return position
        missing, asked = self.missing(state, period)
        # The cascade adds what nodes below ask now; the paths have its mean already.
        wanted = self._into.take(level) - missing + asked
        kept = torch.where(self._serves, wanted, self._into.take(position))
        return self._into.put_(position, kept)

    def missing(self, state: State, period: int) -> tuple[Tensor, Tensor]:
        """What is missing, negative where too much is there, shape (rows, S, N).

        With it the mean of what nodes below ask for in `period`, shape (rows, 1, N).
        """
        stock = self._at.take(graph_first(state.on_hand))
        wait = _row_tensor(self._sourcing.waiting_time(period)[:, self._paths.rows])
        paths = self._paths.at(period, int((self._lead + wait).max()))
        own, passed = paths.own.to(stock.dtype), paths.passed.to(stock.dtype)
        need = (own + passed).squeeze(3)
        step = torch.arange(need.shape[1])[:, None, None]
        first, stop = self._lead[:, 0], (self._lead + wait)[:, 0]
        served = (need * ((step >= first) & (step < stop))).sum(1)[:, :, None]
        count = len(need)
        rank = torch.from_numpy(np.ceil(self._ratio * count - 1e-9).astype(np.int64) - 1)
        rank = rank.clamp(0, count - 1)
        due = state.due.permute(3, 2, 0, 1)
        missing = []
        size = max(1, _CHUNK_ELEMENTS // max(count * stock[:, :1].numel(), 1))
        for low in range(0, stock.shape[1], size):
            part = slice(low, low + size)
            left = self._walk(stock[:, part], due[:, :, part], need)
            missing.append(_order_statistic(served - left, rank))
        return torch.cat(missing, dim=1), passed[0]

    def _walk(self, stock: Tensor, due: Tensor, need: Tensor) -> Tensor:
        """Stock when the order arrives on paths (P, periods, rows, N), shape (P, rows, S, N)."""
        left = stock.expand(len(need), *stock.shape)
        for step in range(self._paths.longest):
            after = (left - need[:, step, :, None]).clamp(min=0)
            if step < len(due):
                after = after + self._at.take(due[step])
            left = torch.where(step < self._lead, after, left)
        return left


def _order_statistic(values: Tensor, rank: Tensor) -> Tensor:
    """Value of a rank (rows, 1, N) from 0 among paths (P, rows, S, N), shape (rows, S, N)."""
    last = values.movedim(0, -1).contiguous()
    # numpy sorts many short rows an order of magnitude faster, but knows no gradients.
    ordered = (
        last.sort(dim=-1).values if last.requires_grad else torch.from_numpy(np.sort(last.numpy()))
    )
    return ordered.gather(-1, rank.expand(ordered.shape[:-1])[..., None])[..., 0]


def _row_tensor(values: FloatArray | IntArray | BoolArray) -> Tensor:
    """From (N, rows) to a graph-first tensor (rows, 1, N) of the same type."""
    return torch.from_numpy(np.array(values.T, order="C"))[:, None]
