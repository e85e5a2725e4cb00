"""What is kept of a policy's run on some scenarios: the trajectory, and where cost arises.

Detail by item, node and lane is kept as long as the instance is small enough to record it
(`RECORDED`); larger instances keep the trajectory's totals alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from optrl_formulations.network import FloatArray, Network
from torch import Tensor

from optrl.instance import Instance
from optrl.simulation.trajectory import Detail, Trajectory, join_scenarios

RECORDED = 2_000_000
"""Items times lanes and nodes times periods up to which detail is recorded."""

_DICTS = ("cost", "totals", "cut")


@dataclass(frozen=True)
class Breakdown:
    """Where cost and flow arise.

    Money is undiscounted and summed over the counted periods, less the value of what is left.
    Cost of a flow falls to the item and to the node where its lane ends. Joint fixed cost and the
    cost of overflow belong to no item and are left out.

    Attributes:
        item_cost: By scenario and item, shape (S, N).
        node_cost: By scenario and node, shape (S, V).
        item_kinds: Mean cost by item of each of `KINDS`, shape (3, N).
        node_kinds: The same by node, shape (3, V).
        flow: Mean quantity of a period on each lane over all items, shape (A,).
        stock: Mean stock at each node over all items, shape (V,).
        demand: Mean demand of a period at each node over all items, shape (V,).
        short: Mean quantity short in a period at each node over all items, shape (V,).
    """

    item_cost: FloatArray
    node_cost: FloatArray
    item_kinds: FloatArray
    node_kinds: FloatArray
    flow: FloatArray
    stock: FloatArray
    demand: FloatArray
    short: FloatArray


KINDS = ("buying and moving", "holding", "shortage")
"""First axis of `Breakdown.item_kinds`; the first is less the value of what is left."""


@dataclass(frozen=True)
class Measurement:
    """A policy's run on some scenarios.

    Attributes:
        trajectory: Without detail and final state.
        breakdown: None where the instance is too large.
        seconds: Time of fitting and of simulating.
    """

    trajectory: Trajectory
    breakdown: Breakdown | None
    seconds: float

    @classmethod
    def of(cls, trajectory: Trajectory, demand: FloatArray, seconds: float) -> Measurement:
        """Measure a trajectory.

        Args:
            trajectory: With detail and final state where a breakdown is wanted.
            demand: What it met, shape (S, N, D, T).
            seconds: Time it took.
        """
        detail = trajectory.detail
        found = None if detail is None else _breakdown(trajectory, detail, demand)
        bare = Trajectory(
            **{
                each.name: getattr(trajectory, each.name)
                for each in fields(Trajectory)
                if each.name not in ("final_state", "detail")
            }
        )
        return cls(bare, found, seconds)

    def arrays(self) -> dict[str, FloatArray]:
        """Everything but the instance as arrays by name."""
        trajectory = self.trajectory
        result: dict[str, FloatArray] = {
            "place": np.array([trajectory.first_period, trajectory.warm_up], dtype=float),
            "seconds": np.array([self.seconds]),
        }
        for name in _DICTS:
            parts: dict[str, Tensor] = getattr(trajectory, name)
            result |= {f"{name}/{key}": _numpy(x) for key, x in parts.items()}
        for name in ("resource_use", "capacity", "terminal_value"):
            result[name] = _numpy(getattr(trajectory, name))
        if self.breakdown is not None:
            result |= {f"breakdown/{key}": x for key, x in vars(self.breakdown).items()}
        return result

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, FloatArray], instance: Instance, policy: str
    ) -> Measurement:
        """The inverse of `arrays`.

        Raises:
            KeyError: If an array is missing.
        """

        def part(name: str) -> dict[str, FloatArray]:
            start = f"{name}/"
            return {k.removeprefix(start): x for k, x in arrays.items() if k.startswith(start)}

        dicts = {
            name: {key: torch.from_numpy(x) for key, x in part(name).items()} for name in _DICTS
        }
        first_period, warm_up = (int(x) for x in arrays["place"])
        trajectory = Trajectory(
            instance,
            policy,
            first_period,
            warm_up,
            dicts["cost"],
            dicts["totals"],
            dicts["cut"],
            torch.from_numpy(arrays["resource_use"]),
            torch.from_numpy(arrays["capacity"]),
            torch.from_numpy(arrays["terminal_value"]),
        )
        found = part("breakdown")
        return cls(trajectory, Breakdown(**found) if found else None, float(arrays["seconds"][0]))


def join(parts: Sequence[Measurement]) -> Measurement:
    """Measurements of successive scenarios as one."""
    trajectory = join_scenarios([each.trajectory for each in parts])
    seconds = sum(each.seconds for each in parts)
    breakdowns = [each.breakdown for each in parts if each.breakdown is not None]
    if len(breakdowns) < len(parts):
        return Measurement(trajectory, None, seconds)
    weight = np.array([len(each.item_cost) for each in breakdowns], dtype=float)
    joined = {
        name: np.concatenate([getattr(each, name) for each in breakdowns])
        for name in ("item_cost", "node_cost")
    }
    for name in ("item_kinds", "node_kinds", "flow", "stock", "demand", "short"):
        stacked = np.stack([getattr(each, name) for each in breakdowns])
        joined[name] = np.tensordot(weight / weight.sum(), stacked, axes=1)
    return Measurement(trajectory, Breakdown(**joined), seconds)


def recorded(instance: Instance, periods: int) -> int:
    """Numbers that the detail of a scenario holds."""
    network = instance.network
    rows = len(network.lanes) + 3 * len(network.nodes)
    return len(network.items) * rows * periods


def _breakdown(trajectory: Trajectory, detail: Detail, demand: FloatArray) -> Breakdown:
    instance, first = trajectory.instance, trajectory.warm_up
    network = instance.network
    where = instance.demand.nodes
    # Sums over periods come first, in the simulator's own layout of memory.
    released, served, short, on_hand = (
        _numpy(x[..., first:].sum(3))
        for x in (detail.released, detail.served, detail.short, detail.on_hand)
    )
    periods = detail.short.shape[3] - first
    lanes = np.concatenate([network.replenishment_lanes, network.serving_lanes])
    flows = np.concatenate([released, served], axis=2)
    into = network.destination[lanes]
    lane_cost = flows * (network.lane_cost + network.purchase_cost)[:, lanes]
    fixed = network.fixed_cost[:, lanes]
    if fixed.any():
        used = [(x[..., first:] > 0).sum(3) for x in (detail.released, detail.served)]
        lane_cost += np.concatenate([_numpy(x) for x in used], axis=2) * fixed
    if network.transit_cost is not None:
        moving = len(network.replenishment_lanes)
        lane_cost[:, :, :moving] += _transit(network, _numpy(detail.released), first)
    holding = on_hand * network.holding_cost
    shortage = short * network.shortage_cost[:, where]
    by_node = np.zeros((3, len(flows), len(network.nodes)))
    _add_at(by_node[0], into, lane_cost.sum(axis=1))
    by_node[1] = holding.sum(axis=1)
    by_node[2][:, where] = shortage.sum(axis=1)
    by_item = np.stack([x.sum(axis=2) for x in (lane_cost, holding, shortage)])
    left = _left(trajectory)
    by_item[0] -= left.sum(axis=2)
    by_node[0] -= left.sum(axis=1)
    flow = np.zeros(len(network.lanes))
    flow[lanes] = flows.sum(axis=1).mean(axis=0) / periods
    asked, missed = np.zeros(len(network.nodes)), np.zeros(len(network.nodes))
    asked[where] = demand[..., first:].sum(axis=(1, 3)).mean(axis=0) / periods
    missed[where] = short.sum(axis=1).mean(axis=0) / periods
    return Breakdown(
        item_cost=by_item.sum(axis=0),
        node_cost=by_node.sum(axis=0),
        item_kinds=by_item.mean(axis=1),
        node_kinds=by_node.mean(axis=1),
        flow=flow,
        stock=on_hand.sum(axis=1).mean(axis=0) / periods,
        demand=asked,
        short=missed,
    )


def _left(trajectory: Trajectory) -> FloatArray:
    """Value of what is left in stock and on the way at the end, shape (S, N, V)."""
    state = trajectory.final_state
    if state is None:
        raise ValueError("a trajectory with detail needs its final state: simulate it in one batch")
    left = _numpy(state.on_hand + state.in_transit)
    return left * trajectory.instance.network.terminal_value


def _transit(network: Network, released: FloatArray, first: int) -> FloatArray:
    """Cost of what is on its way in the counted periods, shape (S, N, replenishment lanes)."""
    result = np.zeros(released.shape[:3])
    periods = released.shape[3]
    if network.transit_cost is not None:
        by_age = network.transit_cost[:, network.replenishment_lanes]
        for age in range(min(by_age.shape[2], periods)):
            due = released[..., max(0, first - age) : periods - age]
            result += due.sum(axis=3) * by_age[:, :, age]
    return result


def _add_at(total: FloatArray, column: np.ndarray, values: FloatArray) -> None:
    """Add columns of `values` (S, L) to the columns of `total` (S, V) that they belong to."""
    np.add.at(total.T, column, values.T)


def _numpy(x: Tensor) -> FloatArray:
    result: FloatArray = x.detach().to(torch.float64).numpy()
    return np.ascontiguousarray(result)
