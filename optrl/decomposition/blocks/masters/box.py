"""The box around the best prices in which a model of few cuts is trusted.

It is measured in a scale by row: the price there, or a share of a typical one where a row has
none yet. It grows where a round kept most of what the model promised, and shrinks where it fell far
behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockCheckpointError, BlockError
from optrl.decomposition.blocks.master import MasterState, Standing
from optrl.decomposition.blocks.restricted import solve_restricted

_FLOOR = 0.1


@dataclass
class Box:
    """Radius, and what the last model promised.

    Attributes:
        radius: In units of the scale.
        promised: Value the model promised at the last proposal; nan before the first.
        before: Largest value when it was proposed.
    """

    radius: float
    promised: float = float("nan")
    before: float = float("nan")
    wide: float = 0.2

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise BlockError(f"radius is {self.radius}: it must be positive")

    def towards_best(self, standing: Standing, share: float) -> FloatArray:
        """Prices on the way from the best so far to the model's maximum over the box, (K,).

        Args:
            standing: What is known.
            share: How far on the way.
        """
        self._learn(standing)
        if standing.combination is not None and not standing.combination.feasible:
            return self._dearer(standing)
        centre, lower, upper = self._around(standing, self.radius)
        solved = solve_restricted(standing.ledger, standing.coupling.limits, lower, upper)
        self.before = standing.value
        self.promised = self.before + share * (solved.value - self.before)
        return centre + share * (solved.prices - centre)

    def _dearer(self, standing: Standing) -> FloatArray:
        """Prices of a box that widens until some average holds the capacities, (K,).

        What is used above a capacity is bought there at the upper end of the box, so that just the
        rows that lack columns which use less become dear.
        """
        self.promised = float("nan")
        _, lower, upper = self._around(standing, self.wide)
        self.wide *= _WIDER
        return solve_restricted(standing.ledger, standing.coupling.limits, lower, upper).prices

    def _learn(self, standing: Standing) -> None:
        """Compare the last round with what was promised for it."""
        promised = self.promised - self.before
        if not promised > 0:
            return
        last = standing.ledger.value(len(standing.ledger) - 1, standing.coupling.limits)
        ratio = (last - self.before) / promised
        if ratio > _KEPT:
            self.radius *= 2.0
        elif ratio < _BROKEN:
            self.radius *= 0.5

    def _around(
        self, standing: Standing, radius: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centre, lower and upper ends, shape (K,) each."""
        centre = standing.centre
        reach = radius * np.maximum(centre, _FLOOR * typical_prices(standing))
        upper = np.minimum(centre + reach, standing.coupling.price_limits)
        return centre, np.maximum(centre - reach, 0.0), upper

    def state(self) -> MasterState:
        """What is remembered."""
        return MasterState(
            numbers={
                "radius": self.radius,
                "promised": self.promised,
                "before": self.before,
                "wide": self.wide,
            }
        )

    @classmethod
    def of(cls, state: MasterState) -> Box:
        """The opposite of `state`.

        Raises:
            BlockCheckpointError: If it is something else.
        """
        try:
            return cls(*(state.numbers[name] for name in ("radius", "promised", "before", "wide")))
        except KeyError as error:
            raise BlockCheckpointError(f"the checkpoint lacks the master's {error}") from error


def typical_prices(standing: Standing) -> FloatArray:
    """A price of each row at which it is worth as much as the dearest row at the best so far, (K,).

    Before anything has a price each row is worth its share of all costs. Rows may count money or
    units, so that their prices cannot be compared, but what they are worth can.
    """
    ledger, limits = standing.ledger, standing.coupling.limits
    used = np.maximum(limits, np.stack(ledger.usage).sum(axis=1).mean(axis=0))
    some = used > 0
    used = np.where(some, used, float(np.median(used[some])) if some.any() else 1.0)
    worth = float((standing.centre * used).max(initial=0.0))
    if worth <= 0:
        cost = sum(float(np.abs(cost).sum()) for cost in ledger.cost) / len(ledger.cost)
        worth = max(cost, 1e-12) / max(len(limits), 1)
    return worth / used


_KEPT, _BROKEN = 0.5, -1.0
_WIDER = 3.0
