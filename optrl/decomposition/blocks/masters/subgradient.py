"""Master: subgradients averaged over rounds (the volume algorithm), for the largest problems.

    direction = averaging * (usage - limits) + (1 - averaging) * direction
    prices = max(0, best + step * scale * direction)

with Polyak's step towards the best upper bound. No program is solved for the next prices; the
average that gives the direction is the usage of an averaged plan, which the driver's combination
makes feasible now and then.

Source: Barahona & Anbil (2000), Mathematical Programming 87(3); Polyak (1969), USSR Computational
Mathematics and Mathematical Physics 9(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockCheckpointError, BlockError
from optrl.decomposition.blocks.master import MasterState, Standing
from optrl.decomposition.blocks.masters.box import typical_prices

_PATIENCE = 5
_UNKNOWN = 0.05
_FLOOR = 0.1


@dataclass
class Subgradient:
    """See the module's docstring.

    Attributes:
        averaging: Weight of the newest subgradient, in (0, 1]; 1 for plain subgradients.
        step: First factor of Polyak's step; it shrinks where rounds do not improve.
    """

    name: ClassVar[str] = "subgradient"
    needs_combination: ClassVar[bool] = False

    averaging: float = 0.3
    step: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.averaging <= 1 or not self.step > 0:
            raise BlockError(
                f"averaging {self.averaging} must lie in (0, 1] and step {self.step} above 0"
            )
        self._factor, self._waited = self.step, 0.0
        self._direction: FloatArray | None = None

    def propose(self, standing: Standing) -> FloatArray:
        """See `Master`."""
        ledger, limits = standing.ledger, standing.coupling.limits
        newest = ledger.usage[-1].sum(axis=0) - limits
        if self._direction is None:
            self._direction = newest
        self._direction = self.averaging * newest + (1 - self.averaging) * self._direction
        if ledger.centre(limits) == len(ledger) - 1:
            self._waited = 0.0
            if float(newest @ self._direction) > 0:
                self._factor = min(1.1 * self._factor, 2.0)
        else:
            self._waited += 1
            if self._waited >= _PATIENCE:
                self._factor, self._waited = 0.66 * self._factor, 0.0
        centre, value = standing.centre, standing.value
        # Downwards from a price of zero leads nowhere.
        downhill = np.where((centre <= 0) & (self._direction < 0), 0.0, self._direction)
        reach = np.maximum(centre, _FLOOR * typical_prices(standing))
        scale = reach / np.where(limits > 0, limits, max(float(limits.max(initial=0.0)), 1.0))
        length = float(downhill @ (scale * downhill))
        if length <= 0:
            return centre
        missing = standing.upper - value
        if not 0 < missing < np.inf:
            missing = _UNKNOWN * max(abs(value), 1e-12)
        change = self._factor * missing / length * scale * downhill
        # Far from the end the step may be any length; the box of a bundle master is as wide.
        change = np.clip(change, -reach, reach)
        return np.clip(centre + change, 0.0, standing.coupling.price_limits)

    def state(self) -> MasterState:
        """Direction and step."""
        arrays = {} if self._direction is None else {"direction": self._direction}
        return MasterState(arrays, {"factor": self._factor, "waited": self._waited})

    def restore(self, state: MasterState) -> None:
        """See `Master`."""
        try:
            self._factor, self._waited = state.numbers["factor"], state.numbers["waited"]
        except KeyError as error:
            raise BlockCheckpointError(f"the checkpoint lacks the master's {error}") from error
        self._direction = state.arrays.get("direction")
