"""Master: Kelley's cutting planes in a box around the best prices so far.

Source: Kelley (1960), Journal of the SIAM 8(4); Marsten, Hogan & Blankenship (1975), Operations
Research 23(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.master import MasterState, Standing
from optrl.decomposition.blocks.masters.box import Box


@dataclass
class CuttingPlanes:
    """See the module's docstring.

    Attributes:
        radius: Of the first box, relative to each price.
    """

    name: ClassVar[str] = "cutting_planes"
    needs_combination: ClassVar[bool] = True

    radius: float = 0.3

    def __post_init__(self) -> None:
        self._box = Box(self.radius)

    def propose(self, standing: Standing) -> FloatArray:
        """See `Master`."""
        return self._box.towards_best(standing, 1.0)

    def state(self) -> MasterState:
        """The box."""
        return self._box.state()

    def restore(self, state: MasterState) -> None:
        """See `Master`."""
        self._box = Box.of(state)
