"""Dual index: two suppliers, two order-up-to levels on two positions."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.dual_levels import Pairs, fit_overshoot
from optrl.policies.levels import FixedLevels
from optrl.policies.sourcing import Sourcing
from optrl.policies.two_suppliers import Expediting, MixedLevels, TwoSupplierPolicy, base_levels

_SHARES = np.linspace(0.0, 2.0, 17)


class DualIndex(TwoSupplierPolicy):
    """Expedite the expedited position up to one level, then the whole position up to another.

    Nodes with one supplier follow base stock (`optrl.policies.two_suppliers`).

    Source: Veeraraghavan & Scheller-Wolf (2008), Now or Later: A Simple Policy for Effective Dual
    Sourcing in Capacitated Systems, Operations Research 56(4).
    """

    name: ClassVar[str] = "dual_index"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels by search on sampled demand (`optrl.policies.dual_levels`)."""
        sourcing = Sourcing.of(instance)
        expediting = Expediting.of(sourcing)
        pairs = Pairs.of(instance, sourcing, expediting, demand, seed)
        difference = pairs.rounded((pairs.mean * pairs.lead)[:, None] * _SHARES)
        fitted = fit_overshoot(pairs, difference, np.full_like(difference, np.inf))
        expedited, regular = np.zeros(expediting.dual.shape), np.zeros(expediting.dual.shape)
        gap = np.take_along_axis(difference, fitted.choice[:, None], axis=1)[:, 0]
        expedited[pairs.item, pairs.node] = fitted.level
        regular[pairs.item, pairs.node] = fitted.level + gap
        base = base_levels(instance, sourcing, demand)
        levels = MixedLevels(base, regular, expediting.dual)
        return cls(sourcing, expediting, levels, expedited)

    @classmethod
    def at_level(
        cls, instance: Instance, expedited: FloatArray | float, regular: FloatArray | float
    ) -> Self:
        """Fixed levels, each broadcast to (N, M); base stock at `regular` with one supplier."""
        sourcing = Sourcing.of(instance)
        near = np.broadcast_to(np.asarray(expedited, dtype=float), sourcing.lane.shape)
        return cls(sourcing, Expediting.of(sourcing), FixedLevels(regular, sourcing), near)
