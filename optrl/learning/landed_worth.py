"""What is left in a system at its landed cost: what it would cost to bring it there again.

Where a simulation is cut and no end is meant, stock and orders under way were paid for and their
use is not seen. Counted at what they cost on the cheapest way, nothing is gained by waiting with an
order until after the cut.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optrl.instance import Instance
from optrl.policies.neural_inputs import rows_tensor
from optrl.policies.sourcing import Sourcing
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.network_state import NetworkState


class LandedWorth:
    """Worth of stock and pipeline less backlog.

    Args:
        instance: The instance.
        dynamics: Its simulator, of all items.
    """

    def __init__(self, instance: Instance, dynamics: Dynamics) -> None:
        sourcing = Sourcing.of(instance)
        self._dynamics = dynamics
        landed = np.where(np.isfinite(sourcing.landed_cost), sourcing.landed_cost, 0.0)
        self._landed = rows_tensor(landed, dynamics.dtype)
        owned = torch.from_numpy(np.ascontiguousarray(sourcing.owns.transpose(1, 2, 0)))
        self._owned = owned.to(dynamics.dtype)

    @property
    def anything(self) -> bool:
        """Whether anything costs something to bring where it is."""
        return bool(self._landed.any())

    def __call__(self, state: NetworkState) -> Tensor:
        """By stocking node, scenario and item, shape (M, S, N)."""
        held = self._dynamics.stocking.take(state.stock + state.pipeline)
        if state.waiting is not None:
            held = held - torch.einsum("dmn,dsn->msn", self._owned, state.waiting)
        return held * self._landed
