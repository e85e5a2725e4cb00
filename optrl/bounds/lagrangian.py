"""The Lagrangian bound over items, estimated on a random sample of items.

Shared capacities are given prices, one a resource and period, fixed before anything is known:

    bound(prices) = sum over items of E min [cost_i + prices . usage_i] - prices . capacity

For every policy the capacities hold on every path (storage above its capacity pays its overflow
cost, which is the largest price allowed there), so that with prices of at least 0 what is priced is
at most what it costs; and without capacities the items are free of each other. Each item's problem
is in turn bounded by knowing its path (`optrl.evaluation.perfect_information`). So the expectation
is below the cost of every policy, for every such prices.

**At scale** the sum over N items is estimated by N / n times that over n items drawn without
replacement, anew for each path: an unbiased number a path, independent from path to path, with a
Student interval of its own. Only n items are ever in a program.

Source: Geoffrion (1974), Mathematical Programming Study 2; Hawkins (2003), A Lagrangian
decomposition approach to weakly coupled dynamic optimization problems, MIT (weakly coupled
stochastic programs); Cochran (1977), Sampling Techniques, 3rd ed., chapter 2 (unbiased totals).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout

from optrl.bounds.conditions import Condition
from optrl.bounds.errors import BoundError
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.paths import PathSource
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.items import network_of
from optrl.decomposition.blocks.oracle import Response
from optrl.evaluation.perfect_information import KnownFuture, relaxations
from optrl.instance import Instance
from optrl.solver import Model
from optrl.stages.stage_problem import StageProblem

# Keeps the draw of items apart from paths and penalties.
_ITEMS = 8_202


class _Priced(StageProblem):
    """A stage problem whose capacities have prices in place of rows that hold."""

    prices: FloatArray

    def _program(self, layout: ReplenishmentLayout, data: ReplenishmentData) -> LinearProgram:
        program = super()._program(layout, data)
        rows = program.rows["capacity"].slice
        resource, node = layout.resource_rows
        period = (
            self.tree.depth[node]
            - np.array(
                [layout.is_seen_after_demand(r) for r in layout.network.resources], dtype=int
            )[resource]
        )
        price = self.prices[resource, period]
        lower, upper = program.row_lower.copy(), program.row_upper.copy()
        lower[rows], upper[rows] = -np.inf, np.inf
        return replace(
            program,
            cost=program.cost + program.matrix[rows].T @ price,
            row_lower=lower,
            row_upper=upper,
        )

    def _push(self, model: Model, layout: ReplenishmentLayout, data: ReplenishmentData) -> None:
        raise BoundError("items are drawn anew for every path, and so is their program")


def lagrangian_bound(
    source: PathSource,
    prices: FloatArray,
    scenarios: int,
    *,
    items: int | None = None,
    time_limit: float | None = None,
) -> LowerBound:
    """Bound the cost of every policy by prices on shared capacities.

    Args:
        source: Of paths.
        prices: In money of the objective (discounted), shape (R, T), known in advance; they must
            not depend on these paths.
        scenarios: Number of paths.
        items: Items drawn for each path; all when None.
        time_limit: Seconds for each path.

    Raises:
        BoundRefusedError: If prices are negative or above an overflow cost.
    """
    began = time.process_time()
    instance = source.instance
    network = instance.network
    count = len(network.items)
    drawn = count if items is None else min(items, count)
    conditions = _conditions(instance, prices)
    values = []
    if all(c.holds for c in conditions):
        worth = _worth(instance, prices)
        for number in range(scenarios):
            generator = np.random.default_rng([source.seed, number, _ITEMS])
            chosen = np.sort(generator.choice(count, drawn, replace=False))
            part = _items_value(source, prices, chosen, number, time_limit)
            values.append(part * count / drawn - worth)
    return LowerBound(
        name="Lagrangian over items",
        assumption="; ".join(
            [
                "shared capacities are priced by numbers fixed in advance; each item's demand and "
                "delays are known in advance",
                *relaxations(instance),
                *([f"a random sample of {drawn} of {count} items a path"] if drawn < count else []),
            ]
        ),
        conditions=conditions,
        sample=np.array(values),
        # Values of other items are no part of the same path's cost, but pairing stays valid.
        paths=source.name,
        seconds=time.process_time() - began,
    )


def priced_bound(
    coupling: Coupling, prices: FloatArray, responses: Sequence[Response], *, certain: bool
) -> LowerBound:
    """The bound that oracles of the decomposition over items claim at prices.

    Args:
        coupling: The shared capacities.
        prices: Shape (R, P).
        responses: Of all blocks, each item in one.
        certain: Whether what the oracles solve is the problem itself: demand as certain, or a
            scenario tree that is all that can come. A sample of scenarios is not.

    Raises:
        BoundRefusedError: If an oracle claims no bound, its problem is a sample, or prices are out
            of range.
    """
    silent = [k for k, response in enumerate(responses) if response.bound is None]
    conditions = (
        Condition(
            "every oracle claims a valid bound",
            not silent,
            f"that of block {silent[0] if silent else ''} claims none: it is learned or not exact",
        ),
        Condition(
            "oracles solve the problem itself",
            certain,
            "they solve a sample of scenarios, whose optimum may lie above the true one",
        ),
        Condition(
            "prices lie between 0 and the price limit of each row",
            bool(np.allclose(coupling.clipped(prices), prices, rtol=1e-9, atol=1e-12)),
            "some do not: clip them (`Coupling.clipped`)",
        ),
    )
    total = sum(float(r.bound.sum()) for r in responses if r.bound is not None)
    return LowerBound(
        name="Lagrangian over items",
        assumption="shared capacities are priced; oracles bound their blocks exactly",
        conditions=conditions,
        value=total - coupling.value(prices),
    )


def restricted(instance: Instance, items: IntArray) -> Instance:
    """The instance of some of its items; capacities stay."""
    forecast = instance.forecast
    if forecast is not None:
        forecast = replace(
            forecast,
            mean=forecast.mean[items],
            standard_deviation=_of(forecast.standard_deviation, items),
            quantiles=_of(forecast.quantiles, items),
        )
    return replace(
        instance,
        network=network_of(instance.network, items),
        on_hand=instance.on_hand[items],
        due=instance.due[items],
        backlog=instance.backlog[items],
        demand=replace(instance.demand, quantity=instance.demand.quantity[items]),
        forecast=forecast,
        frozen=instance.frozen[items] if instance.frozen.size else instance.frozen,
    )


def _of(array: FloatArray | None, items: IntArray) -> FloatArray | None:
    return None if array is None else array[items]


def _items_value(
    source: PathSource,
    prices: FloatArray,
    items: IntArray,
    number: int,
    time_limit: float | None,
) -> float:
    """Priced cost of items that know their path."""
    instance = source.instance
    part = restricted(instance, items)
    kept = prices[_counted(instance)]

    def make(*arguments: Any, **keywords: Any) -> StageProblem:
        problem = _Priced(*arguments, **keywords)
        problem.prices = kept
        return problem

    demand = source.path(number).demand[items]
    known = KnownFuture(part, demand.mean(axis=2), instance.horizon, source.seed, make)
    return known.solve(demand, number, time_limit=time_limit).solution.bound


def _counted(instance: Instance) -> BoolArray:
    """Resources that the program has: storage without a price is left out of it."""
    return np.array(
        [r.kind != "storage" or np.isfinite(r.overflow_cost) for r in instance.network.resources],
        dtype=np.bool_,
    )


def _capacity(instance: Instance) -> FloatArray:
    """Capacities by period, shape (R, T)."""
    calendar = [r.capacity_at(instance.start, instance.horizon) for r in instance.network.resources]
    return np.array(calendar).reshape(len(calendar), instance.horizon)


def _worth(instance: Instance, prices: FloatArray) -> float:
    """What the whole capacity is worth."""
    priced = prices > 0
    return float(prices[priced] @ _capacity(instance)[priced])


def _conditions(instance: Instance, prices: FloatArray) -> tuple[Condition, ...]:
    network = instance.network
    shape = (len(network.resources), instance.horizon)
    fits = prices.shape == shape
    limit = np.full(shape, np.inf)
    if fits:
        discount = network.discount ** np.arange(instance.horizon)
        for r, resource in enumerate(network.resources):
            if resource.kind == "storage":
                dear = resource.overflow_cost if np.isfinite(resource.overflow_cost) else 0.0
                limit[r] = dear * discount
        limit[~np.isfinite(_capacity(instance))] = 0.0
    inside = fits and bool(((prices >= 0) & (prices <= limit * (1 + 1e-9))).all())
    return (
        Condition(
            "there is a price for each resource and period",
            fits,
            f"prices have shape {prices.shape}, expected {shape}",
        ),
        Condition(
            "prices are at least 0, and at most the overflow cost for storage",
            inside,
            "some are not: clip them, and take 0 for storage without overflow cost",
        ),
    )
