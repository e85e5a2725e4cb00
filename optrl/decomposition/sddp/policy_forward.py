"""A policy of the simulator, classical or learned, as a forward pass over replenishment stages.

    forward = GivenPolicy(replenishment_policy(instance, policy), iterations=10)

Its orders are held in each step and the program decides the rest (sales, serving); orders beyond
the bounds of their columns are clipped. Where cuts are made does not touch their validity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from optrl_formulations.network import BoolArray, FloatArray
from optrl_formulations.scenario_tree import ScenarioTree
from torch import Tensor

from optrl.decomposition.sddp.forward import Decide
from optrl.decomposition.sddp.replenishment import StateSpace
from optrl.instance import Instance
from optrl.simulation.rollout import DecidingPolicy


@dataclass(frozen=True)
class _Seen:
    """The state of one scenario, as `optrl.simulation.state.State` has it."""

    on_hand: Tensor
    backlog: Tensor
    in_transit: Tensor
    due: Tensor


def replenishment_policy(
    instance: Instance,
    policy: DecidingPolicy,
    demand_pairs: BoolArray | None = None,
    *,
    dtype: torch.dtype = torch.float64,
) -> Decide:
    """What `GivenPolicy` asks, answered by a policy.

    Args:
        instance: That of `replenishment_graph` or `markovian_replenishment_graph`.
        policy: Fitted to it.
        demand_pairs: As given to the graph.
        dtype: Of the tensors that the policy sees.
    """
    space = StateSpace.of(instance, demand_pairs)
    lanes = space.network.replenishment_lanes
    place = np.full(len(space.network.lanes), -1)
    place[lanes] = np.arange(len(lanes))
    shape = space.pairs.shape

    def decide(node: str, state: FloatArray, outcome: int) -> Mapping[str, FloatArray]:
        # Nodes are named by period, "3", or by period and state of the chain, "3,1".
        period = int(node.split(",")[0]) - 1
        layout = space.layout(period, ScenarioTree.chain(1))
        parts = np.split(
            state,
            np.cumsum([len(layout.initial_on_hand), len(space.due)]),
        )
        due = space.due.scatter(parts[1], (*shape, space.periods))
        waiting = np.zeros(shape)
        if len(parts[2]):
            waiting = layout.initial_backlog.scatter(parts[2], shape)
        seen = _Seen(
            *(
                torch.as_tensor(x, dtype=dtype)[None]
                for x in (
                    *(layout.initial_on_hand.scatter(parts[0], shape), waiting),
                    *(due.sum(axis=2), due),
                )
            )
        )
        with torch.no_grad():
            order = policy.decide(seen, instance.start + period).order[0].double().numpy()
        item, lane, _ = layout.order
        return {"order": order[item, place[lane]]}

    return decide
