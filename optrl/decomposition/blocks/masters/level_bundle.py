"""Master: a level bundle method, one cut a round and group.

The next prices are a point at which the cutting-plane model promises at least the level

    best + share * (the model's maximum over a box - best),

the one on the straight way from the best prices to the model's maximum (the model is concave).
Every cut made at an earlier point keeps later ones at a distance from it that depends on the gap
alone, whichever point of the level set is taken, so that the gap closes in finitely many rounds.
The nearest point, which the method of the source takes, needed a second program a round and more
rounds.

Source: Lemarechal, Nemirovskii & Nesterov (1995), Mathematical Programming 69.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.master import MasterState, Standing
from optrl.decomposition.blocks.masters.box import Box


@dataclass
class LevelBundle:
    """See the module's docstring.

    Attributes:
        share: Of what the model promises beyond the best, in (0, 1).
        radius: Of the first box, relative to each price.
    """

    name: ClassVar[str] = "level_bundle"
    needs_combination: ClassVar[bool] = True

    share: float = 0.3
    radius: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise BlockError(f"share is {self.share}: it must lie strictly between 0 and 1")
        self._box = Box(self.radius)

    def propose(self, standing: Standing) -> FloatArray:
        """See `Master`."""
        return self._box.towards_best(standing, self.share)

    def state(self) -> MasterState:
        """The box."""
        return self._box.state()

    def restore(self, state: MasterState) -> None:
        """See `Master`."""
        self._box = Box.of(state)
