"""Common random numbers: demand paths and arrivals by scenario number.

Demand is drawn in small blocks of scenarios, each from a generator of its own, so that a path
depends on the seed and the number of its scenario alone and not on which other scenarios are run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.evaluation.judge import kept_demand
from optrl.instance import Instance

# Keeps demand apart from what policies and trainings draw with the same seed: the generators of
# seed, (seed, 0) and (seed, 0, 0) are one.
_STREAM = 7_100
_BLOCK = 8
_BLOCK_NUMBERS = 8_000_000
"""Numbers of a block; larger instances are drawn scenario by scenario."""


def paths_name(seed: int) -> str:
    """Names the paths of a seed, for costs and bounds that are paired on them."""
    return f"scenarios of seed {seed}"


@dataclass(frozen=True)
class Scenarios:
    """Demand paths that every policy meets.

    Attributes:
        instance: The instance.
        model: Draws demand; None replays what was observed in every scenario.
        seed: Of demand and of random arrivals.
    """

    instance: Instance
    model: DemandModel | None
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise OptrlError(f"seed {self.seed} is out of range: choose 0 or more, below 2**63")

    @property
    def periods(self) -> int:
        """Periods T of each path.

        Raises:
            OptrlError: If there is nothing to replay.
        """
        if self.model is None:
            return int(kept_demand(self.instance).shape[3])
        return self.instance.horizon

    @property
    def most(self) -> int | None:
        """Number of scenarios that differ from one another, or None if there is no end."""
        return 1 if self.model is None and not self.instance.arrivals else None

    def paths(self, first: int, stop: int) -> FloatArray:
        """Demand of scenarios first, ..., stop - 1, shape (stop - first, N, D, T)."""
        if self.model is None:
            kept = kept_demand(self.instance)
            return np.repeat(kept, stop - first, axis=0)
        size = self._block()
        blocks = range(first // size, (stop + size - 1) // size)
        drawn = [
            self.model.sample(
                size,
                self.instance.start,
                self.periods,
                np.random.default_rng([self.seed, block, _STREAM]),
            )
            for block in blocks
        ]
        low = first - blocks[0] * size
        return np.concatenate(drawn)[low : low + stop - first]

    def _block(self) -> int:
        instance = self.instance
        each = len(instance.network.items) * len(instance.demand.nodes) * self.periods
        return _BLOCK if _BLOCK * each <= _BLOCK_NUMBERS else 1
