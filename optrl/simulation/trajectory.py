"""What a rollout records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.costs import COST_KINDS
from optrl.simulation.dynamics import PeriodOutcome
from optrl.simulation.network_state import NetworkState


@dataclass(frozen=True)
class Detail:
    """Everything by item, shape (S, N, lanes or nodes, T); memory is (T, lanes or nodes, S, N).

    Attributes:
        released: On replenishment lanes (`Network.replenishment_lanes`).
        served: Over serving lanes (`Network.serving_lanes`).
        sold: Demand and backlog served, by demand node (`DemandTable.nodes`).
        short: Demand lost in the period or waiting at its end, by demand node.
        on_hand: Stock at the end of the period, by node.
    """

    released: Tensor
    served: Tensor
    sold: Tensor
    short: Tensor
    on_hand: Tensor


@dataclass(frozen=True)
class Trajectory:
    """Record of a rollout of T periods in S scenarios.

    Attributes:
        instance: What was simulated.
        policy: Name of the policy.
        first_period: Absolute period of the first column.
        warm_up: Number of first periods left out of totals and indicators.
        cost: Money by kind (`COST_KINDS`), not discounted, each of shape (S, T).
        totals: Sums over items and nodes, each of shape (S, T); see `PeriodOutcome.totals`.
        cut: Quantity of decisions cut, by reason, each of shape (S, T).
        resource_use: Use of each resource, shape (S, R, T).
        capacity: Capacity of each resource, shape (R, T).
        terminal_value: Value of what is left at the end, not discounted, shape (S,).
        final_state: State after the last period, or None when blocks were joined.
        detail: Everything by item, or None unless asked for.
    """

    instance: Instance
    policy: str
    first_period: int
    warm_up: int
    cost: dict[str, Tensor]
    totals: dict[str, Tensor]
    cut: dict[str, Tensor]
    resource_use: Tensor
    capacity: Tensor
    terminal_value: Tensor
    final_state: NetworkState | None = field(default=None, repr=False)
    detail: Detail | None = field(default=None, repr=False)

    @property
    def scenarios(self) -> int:
        """Number of scenarios S."""
        return int(self.terminal_value.shape[0])

    @property
    def periods(self) -> int:
        """Number of periods T, warm-up included."""
        return int(self.totals["demand"].shape[1])

    @cached_property
    def period_cost(self) -> Tensor:
        """Cost of each period over all kinds, not discounted, shape (S, T)."""
        return torch.stack(list(self.cost.values())).sum(0)

    @cached_property
    def total_cost(self) -> Tensor:
        """Discounted cost after the warm-up less the terminal value, shape (S,).

        The first counted period has factor 1; the terminal value has the factor of the period
        after the last.
        """
        counted = self.period_cost[:, self.warm_up :]
        discount = self.instance.network.discount
        factor = discount ** torch.arange(counted.shape[1], dtype=counted.dtype)
        return counted @ factor - self.terminal_value * discount ** counted.shape[1]


class Recorder:
    """Collects outcomes period by period; keeps gradients where they are on."""

    def __init__(self, full: bool) -> None:
        self._full = full
        self._outcomes: list[PeriodOutcome] = []
        self._cost: list[dict[str, Tensor]] = []
        self._totals: list[dict[str, Tensor]] = []
        self._cut: list[dict[str, Tensor]] = []
        self._use: list[Tensor] = []
        self._capacity: list[Tensor] = []

    def add(self, outcome: PeriodOutcome) -> None:
        """Record one period."""
        self._cost.append(outcome.cost)
        self._totals.append(outcome.totals)
        self._cut.append(outcome.cut)
        self._use.append(outcome.resource_use)
        self._capacity.append(outcome.capacity)
        if self._full:
            self._outcomes.append(outcome)

    def trajectory(
        self, instance: Instance, policy: str, warm_up: int, value: Tensor, final: NetworkState
    ) -> Trajectory:
        """Everything recorded, sums over items in float64."""
        zero = torch.zeros_like(self._totals[0]["demand"])

        def stack(rows: list[dict[str, Tensor]], names: Iterable[str]) -> dict[str, Tensor]:
            return {
                name: torch.stack([row.get(name, zero) for row in rows], -1).double()
                for name in names
            }

        return Trajectory(
            instance,
            policy,
            final.period - len(self._cost),
            warm_up,
            stack(self._cost, COST_KINDS),
            stack(self._totals, self._totals[0]),
            stack(self._cut, sorted(set().union(*self._cut))),
            torch.stack(self._use, -1).double(),
            torch.stack(self._capacity, -1).double(),
            value.double(),
            final,
            self._detail(final) if self._full else None,
        )

    def _detail(self, final: NetworkState) -> Detail:
        def stack(name: str) -> Tensor:
            return torch.stack([getattr(each, name) for each in self._outcomes])

        stocking = final.places.stocking
        on_hand = torch.stack([stocking.spread(each.on_hand) for each in self._outcomes])
        parts = (stack("released"), stack("served"), stack("sold"), stack("short"), on_hand)
        return Detail(*(x.permute(2, 3, 1, 0) for x in parts))


def join_scenarios(parts: list[Trajectory]) -> Trajectory:
    """Rollouts of different scenarios as one."""
    if len(parts) == 1:
        return parts[0]

    def join(dicts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        names = sorted(set().union(*dicts))
        return {
            name: torch.cat(
                [
                    d[name] if name in d else torch.zeros_like(parts[i].totals["demand"])
                    for i, d in enumerate(dicts)
                ]
            )
            for name in names
        }

    detail = None
    details = [p.detail for p in parts if p.detail is not None]
    if details:
        names = Detail.__dataclass_fields__
        detail = Detail(*(torch.cat([getattr(d, name) for d in details]) for name in names))
    return replace(
        parts[0],
        cost={kind: torch.cat([p.cost[kind] for p in parts]) for kind in parts[0].cost},
        totals=join([p.totals for p in parts]),
        cut=join([p.cut for p in parts]),
        resource_use=torch.cat([p.resource_use for p in parts]),
        terminal_value=torch.cat([p.terminal_value for p in parts]),
        final_state=None,
        detail=detail,
    )


def join_items(parts: list[Trajectory]) -> Trajectory:
    """Rollouts of different items, which share nothing, as one."""
    if len(parts) == 1:
        return parts[0]

    def add(dicts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        names = sorted(set().union(*dicts))
        return {name: torch.stack([d[name] for d in dicts if name in d]).sum(0) for name in names}

    detail = None
    details = [p.detail for p in parts if p.detail is not None]
    if details:
        names = Detail.__dataclass_fields__
        detail = Detail(*(torch.cat([getattr(d, name) for d in details], 1) for name in names))
    return replace(
        parts[0],
        cost=add([p.cost for p in parts]),
        totals=add([p.totals for p in parts]),
        cut=add([p.cut for p in parts]),
        terminal_value=torch.stack([p.terminal_value for p in parts]).sum(0),
        final_state=None,
        detail=detail,
    )
