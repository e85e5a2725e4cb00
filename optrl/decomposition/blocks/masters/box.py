"""The box around the best prices in which a model of few cuts is trusted.

It is measured in a scale by row, the price there, or a share of the largest where a row has none
yet. It grows where a round kept what the model promised, and shrinks where it fell far behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockCheckpointError, BlockError
from optrl.decomposition.blocks.master import MasterState, Standing

_FLOOR = 0.1


@dataclass
class Box:
    """Radius, and what the last model promised.

    Attributes:
        radius: In units of the scale.
        promised: Value the model promised at the last proposal.
        before: Best bound when it was proposed.
    """

    radius: float
    promised: float = float("nan")
    before: float = float("nan")

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise BlockError(f"radius is {self.radius}: it must be positive")

    def learn(self, standing: Standing) -> None:
        """Compare the last round with what was promised."""
        promised = self.promised - self.before
        if not promised > 0:
            return
        ratio = (standing.ledger.bound[-1] - self.before) / promised
        if ratio > 0.5:
            self.radius *= 2.0
        elif ratio < -1.0:
            self.radius *= 0.5

    def around(self, standing: Standing) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centre, lower and upper ends, shape (K,) each."""
        centre = standing.ledger.prices[max(standing.ledger.best, 0)]
        largest = max(float(price.max(initial=0.0)) for price in standing.ledger.prices)
        if largest == 0:
            # Nothing was priced yet: a unit of capacity at a share of what a unit used costs.
            cost = sum(float(np.abs(cost).sum()) for cost in standing.ledger.cost)
            used = sum(float(usage.sum()) for usage in standing.ledger.usage)
            largest = cost / used if cost > 0 and used > 0 else 1.0
        reach = self.radius * np.maximum(centre, _FLOOR * largest)
        upper = np.minimum(centre + reach, standing.coupling.price_limits)
        return centre, np.maximum(centre - reach, 0.0), upper

    def state(self) -> MasterState:
        """What is remembered."""
        return MasterState(
            numbers={"radius": self.radius, "promised": self.promised, "before": self.before}
        )

    @classmethod
    def of(cls, state: MasterState) -> Box:
        """The opposite of `state`.

        Raises:
            BlockCheckpointError: If it is something else.
        """
        try:
            return cls(*(state.numbers[name] for name in ("radius", "promised", "before")))
        except KeyError as error:
            raise BlockCheckpointError(f"the checkpoint lacks the master's {error}") from error
