"""Instances that are a serial system, as `optrl.exact.serial_horizon` takes them."""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray, NodeKind

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError
from optrl.exact.serial_horizon import ChainState, SerialChain
from optrl.instance import Instance


def chain_of(
    instance: Instance, demand: DemandDistribution, unit: float = 1.0
) -> tuple[SerialChain, ChainState]:
    """The chain of an instance and its first state; the horizon is the caller's.

    Args:
        instance: One item from one supplier through stocking nodes, demand at the last of them.
        demand: Demand of a period in multiples of `unit`.
        unit: Spacing of the grid.

    Raises:
        ExactError: If the instance has more than a chain has, or another shape; it says what.
    """
    network = instance.network
    _require_plain(instance)
    supplier = np.flatnonzero(network.kind == NodeKind.SUPPLIER)
    lanes = {int(o): k for k, o in enumerate(network.origin.tolist())}
    path, lane = [int(supplier[0])], []
    while path[-1] in lanes:
        lane.append(lanes[path[-1]])
        path.append(int(network.destination[lane[-1]]))
    whole = len(supplier) == 1 and len(path) == len(network.nodes) == len(network.lanes) + 1
    if not whole or (network.kind[path[1:]] != NodeKind.STOCKING).any():
        raise ExactError(
            f"instance {instance.name!r} is no chain of one supplier and stocking nodes in a row"
        )
    if instance.demand.nodes.tolist() != path[-1:]:
        raise ExactError(
            f"instance {instance.name!r} has demand elsewhere than at {network.nodes[path[-1]]!r}, "
            "the end of its chain"
        )
    stage, into = np.array(path[:0:-1]), np.array(lane[::-1])
    release = network.lane_cost[0] + network.purchase_cost[0]
    chain = SerialChain(
        demand=demand,
        unit=unit,
        holding_cost=_tuple(network.holding_cost[0, stage]),
        shortage_cost=float(network.shortage_cost[0, stage[0]]),
        lead_time=tuple(network.lead_time[into].tolist()),
        release_cost=_tuple(release[into]),
        discount=network.discount,
    )
    backlog = float(instance.backlog[0, stage[0]])
    return chain, ChainState(instance.on_hand[0, stage], instance.due[0, stage], backlog)


def _tuple(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _require_plain(instance: Instance) -> None:
    network = instance.network
    if len(network.items) != 1 or network.unmet != "backorder":
        raise ExactError(
            f"instance {instance.name!r} has {len(network.items)} items whose unmet demand is "
            f"{network.unmet}: one item whose unmet demand waits is a serial system"
        )
    transit = network.transit_cost
    beyond = {
        "integers (lots, minimum quantities, fixed costs or set-up times)": network.has_integers,
        "lanes that the item may not use": not network.allowed.all(),
        "largest quantities": np.isfinite(network.maximum_quantity).any(),
        "limited supply": np.isfinite(network.supply_capacity).any(),
        "shared resources": bool(network.resources),
        "an order calendar": bool(network.closed) or (network.review_period != 1).any(),
        "service-level targets": (network.service_level > 0).any(),
        "a terminal value": network.terminal_value.any(),
        "transit costs by period": transit is not None and transit.any(),
        "random arrivals": bool(instance.arrivals),
        "frozen orders": instance.frozen.any(),
    }
    for what, found in beyond.items():
        if found:
            raise ExactError(
                f"instance {instance.name!r} has {what}: the recursion for serial systems does "
                "not know them"
            )
