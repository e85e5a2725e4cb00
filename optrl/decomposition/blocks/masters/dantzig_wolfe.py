"""Master: Dantzig-Wolfe columns, its prices smoothed towards the best so far.

    prices = best + share * (duals of the restricted program - best)

Duals alone leap about while columns are few. By concavity the cutting-plane model lies at the
smoothed prices at least `share` of the way from the best bound to its own maximum, so the prices
are a level point of the model, and the gap closes in finitely many rounds at any share in (0, 1].

Source: Dantzig & Wolfe (1960), Operations Research 8(1); Wentges (1997), International Transactions
in Operational Research 4(2) (smoothing); Pessoa, Sadykov, Uchoa & Vanderbeck (2018), INFORMS
Journal on Computing 30(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.master import MasterState, Standing


@dataclass
class DantzigWolfe:
    """See the module's docstring.

    Attributes:
        share: How far to go towards the duals, in (0, 1]; 1 for plain columns.
    """

    name: ClassVar[str] = "dantzig_wolfe"
    needs_combination: ClassVar[bool] = True

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BlockError(f"share is {self.share}: it must lie in (0, 1]")

    def propose(self, standing: Standing) -> FloatArray:
        """See `Master`."""
        if standing.combination is None:
            raise BlockError("the Dantzig-Wolfe master needs the combination after every round")
        duals, centre = standing.combination.prices, standing.centre
        return centre + self.share * (duals - centre)

    def state(self) -> MasterState:
        """It remembers nothing."""
        return MasterState()

    def restore(self, state: MasterState) -> None:
        """There is nothing to restore."""
