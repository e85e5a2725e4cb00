"""Levels of a base-stock policy tuned in the simulator itself, on common random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import FloatArray
from torch import Tensor

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.simulation.trajectory import Trajectory

LevelKind = Callable[[Instance, FloatArray], DecidingPolicy]


@dataclass(frozen=True)
class Tuned:
    """Best levels found.

    Attributes:
        levels: Level of each stocking node in graph order, shape (M,).
        cost: Average cost a period on the tuning demand (biased down by the choice).
        evaluations: Levels tried.
    """

    levels: FloatArray
    cost: float
    evaluations: int


def tune_levels(
    instances: Callable[[int], Instance],
    demand: DemandModel,
    kind: LevelKind,
    start: FloatArray,
    *,
    warm_up: int,
    scenarios: int = 100,
    seed: int = 1,
    steps: tuple[float, ...] = (8.0, 4.0, 2.0, 1.0),
) -> Tuned:
    """Coordinate descent: all moves of one size are simulated at once, one item each.

    Args:
        instances: The instance with a number of identical items that nothing couples.
        demand: Demand of one item.
        kind: The policy from an instance and levels (N, M).
        start: First levels, shape (M,).
        warm_up: Periods that do not count.
        scenarios: Paths.
        seed: Of the paths.
        steps: Sizes of moves, largest first.
    """
    nodes = len(start)
    one = instances(1)
    path = torch.from_numpy(
        demand.sample(scenarios, one.start, one.horizon, np.random.default_rng(seed))
    )
    moves = np.concatenate([np.zeros((1, nodes)), np.eye(nodes), -np.eye(nodes)])
    # A shift of stock between the first node and each other one.
    trades = np.eye(nodes)[1:] - np.eye(nodes)[:1]
    moves = np.concatenate([moves, trades, -trades])
    instance = instances(len(moves))
    paths = path.expand(-1, len(moves), -1, -1)
    levels, evaluations, cost = np.asarray(start, dtype=float), 0, np.inf
    for step in steps:
        while True:
            tried = np.maximum(levels + step * moves, 0.0)
            run = simulate(
                instance, kind(instance, tried), paths, seed=seed, warm_up=warm_up, record="full"
            )
            costs = _cost_by_item(run, warm_up)
            evaluations += len(moves)
            best = int(np.argmin(costs))
            cost = float(costs[best])
            if best == 0 or costs[best] >= costs[0]:
                break
            levels = tried[best]
    return Tuned(levels, cost, evaluations)


def _cost_by_item(run: Trajectory, warm_up: int) -> FloatArray:
    """Average transport, holding and shortage cost a period of each item, shape (N,)."""
    assert run.detail is not None
    network, nodes = run.instance.network, run.instance.demand.nodes

    def weigh(quantity: Tensor, coefficient: FloatArray) -> FloatArray:
        mean = quantity[..., warm_up:].double().mean(dim=(0, 3)).numpy()
        return np.asarray((mean * coefficient).sum(axis=1))

    return (
        weigh(run.detail.on_hand, network.holding_cost)
        + weigh(run.detail.short, network.shortage_cost[:, nodes])
        + weigh(run.detail.released, network.lane_cost[:, network.replenishment_lanes])
        + weigh(run.detail.released, network.purchase_cost[:, network.replenishment_lanes])
    )
