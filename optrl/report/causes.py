"""Where two policies differ: kinds of cost, items, nodes and periods with paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.comparison.measurement import KINDS, Measurement
from optrl.comparison.result import Comparison
from optrl.comparison.statistics import standard_error, t_half_width

_SHOWN = 6
NET = "purchase less value of what is left"

_FULL = 1 - 1e-3
"""Share of capacity from which a resource counts as full: the simulator rounds."""


@dataclass(frozen=True)
class Place:
    """A part of the network or of time, and what a policy costs there beyond another.

    Attributes:
        name: Item, node or period.
        difference: Mean paired difference of cost over the horizon.
        half_width: Of its interval by itself; infinite with one scenario.
        main: Kind of cost with the largest part of it, empty for periods.
    """

    name: str
    difference: float
    half_width: float
    main: str


@dataclass(frozen=True)
class Contrast:
    """A policy against the cheapest one; positive differences are what it costs more.

    Attributes:
        policy: The policy.
        best: The cheapest.
        kinds: Difference in cost of the horizon by kind, as of `kind_costs`.
        items: Largest differences by item, empty where not recorded.
        nodes: Largest differences by node, empty where not recorded.
        periods: Largest differences by period.
    """

    policy: str
    best: str
    kinds: dict[str, float]
    items: tuple[Place, ...]
    nodes: tuple[Place, ...]
    periods: tuple[Place, ...]


def contrast(comparison: Comparison, policy: str, best: str) -> Contrast:
    """What a policy costs beyond the cheapest, and where, on the scenarios that both met.

    Kinds are estimated as in `kind_costs`.
    """
    one, other = comparison.on_common(policy, best)
    alpha = 1 - comparison.settings.confidence
    kinds, cheapest = kind_costs(comparison, policy), kind_costs(comparison, best)
    first = one.trajectory.warm_up
    by_period = (one.trajectory.period_cost - other.trajectory.period_cost).numpy()[:, first:]
    names = [str(one.trajectory.first_period + first + t) for t in range(by_period.shape[1])]
    items: tuple[Place, ...] = ()
    nodes: tuple[Place, ...] = ()
    if one.breakdown is not None and other.breakdown is not None:
        network = comparison.instance.network
        items = _largest(
            one.breakdown.item_cost - other.breakdown.item_cost,
            one.breakdown.item_kinds - other.breakdown.item_kinds,
            network.items,
            alpha,
        )
        nodes = _largest(
            one.breakdown.node_cost - other.breakdown.node_cost,
            one.breakdown.node_kinds - other.breakdown.node_kinds,
            network.nodes,
            alpha,
        )
    return Contrast(
        policy,
        best,
        {kind: kinds[kind] - cheapest[kind] for kind in kinds},
        items,
        nodes,
        _largest(by_period, None, names, alpha),
    )


def kind_costs(comparison: Comparison, policy: str) -> dict[str, float]:
    """Mean undiscounted cost of the horizon by kind.

    What is left is worth something because it was bought: its value is taken off the purchases.
    """
    kinds = list(_kinds(comparison.measurements[policy]))
    means = comparison.estimate(policy, lambda m: np.array(list(_kinds(m).values())))
    return dict(zip(kinds, means.tolist(), strict=True))


def _kinds(measured: Measurement) -> dict[str, float]:
    path = measured.trajectory
    cost = {kind: float(x[:, path.warm_up :].sum(1).mean()) for kind, x in path.cost.items()}
    return {NET: cost.pop("purchase", 0.0) - float(path.terminal_value.mean()), **cost}


def full_share(comparison: Comparison, policy: str) -> FloatArray:
    """Share of scenarios and periods in which each resource is full or overflows, shape (R,)."""

    def share(measured: Measurement) -> FloatArray:
        path = measured.trajectory
        use = path.resource_use[:, :, path.warm_up :]
        capacity = path.capacity[:, path.warm_up :]
        full = (use >= _FULL * capacity) & (capacity > 0)
        found: FloatArray = full.double().mean(dim=(0, 2)).numpy()
        return found

    return comparison.estimate(policy, share).clip(0, 1)


def _largest(
    difference: FloatArray, kinds: FloatArray | None, names: Sequence[str], alpha: float
) -> tuple[Place, ...]:
    """Columns of (S, M) with the largest mean in size, largest first, zeros left out."""
    mean = difference.mean(axis=0)
    half = t_half_width(standard_error(difference), len(difference), alpha)
    order = np.argsort(-np.abs(mean), kind="stable")[:_SHOWN]
    result = []
    for position in order.tolist():
        if mean[position] == 0:
            continue
        main = ""
        if kinds is not None:
            # The kind that pushes most in the direction of the whole.
            towards = kinds[:, position] * np.sign(mean[position])
            main = KINDS[int(np.argmax(towards))]
        result.append(Place(names[position], float(mean[position]), float(half[position]), main))
    return tuple(result)
