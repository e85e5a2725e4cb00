"""Single index: two suppliers, two order-up-to levels on one position."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.dual_levels import Pairs, fit_single_index
from optrl.policies.levels import FixedLevels
from optrl.policies.sourcing import Sourcing
from optrl.policies.two_suppliers import Expediting, MixedLevels, TwoSupplierPolicy, base_levels

_SHARES = np.linspace(0.0, 4.0, 33)


class SingleIndex(TwoSupplierPolicy):
    """Expedite the whole position up to one level, then order regularly up to a higher one.

    The regular supplier gets each period's demand up to the difference of the levels, the
    expedited one the rest. Nodes with one supplier follow base stock.

    Source: Scheller-Wolf, Veeraraghavan & van Houtum (2007), Effective dual sourcing with a single
    index policy (working paper, Carnegie Mellon University).
    """

    name: ClassVar[str] = "single_index"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels by search on sampled demand (`optrl.policies.dual_levels`)."""
        sourcing = Sourcing.of(instance)
        expediting = Expediting.of(sourcing)
        pairs = Pairs.of(instance, sourcing, expediting, demand, seed)
        difference = pairs.rounded(pairs.mean[:, None] * _SHARES)
        fitted = fit_single_index(pairs, difference)
        shape, at = expediting.dual.shape, (pairs.item, pairs.node)
        expedited, regular = np.zeros(shape), np.zeros(shape)
        gap = np.take_along_axis(difference, fitted.choice[:, None], axis=1)[:, 0]
        regular[at] = fitted.level
        expedited[at] = fitted.level - gap
        levels = MixedLevels(base_levels(instance, sourcing, demand), regular, expediting.dual)
        return cls(sourcing, expediting, levels, expedited, whole=True)

    @classmethod
    def at_level(
        cls, instance: Instance, expedited: FloatArray | float, regular: FloatArray | float
    ) -> Self:
        """Fixed levels, each broadcast to (N, M)."""
        sourcing = Sourcing.of(instance)
        near = np.broadcast_to(np.asarray(expedited, dtype=float), sourcing.lane.shape)
        levels = FixedLevels(regular, sourcing)
        return cls(sourcing, Expediting.of(sourcing), levels, near, whole=True)
