"""Tailored base-surge: a constant order from the cheap supplier, surges from the fast one."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.demand.base import DemandModel
from optrl.instance import Instance
from optrl.policies.dual_levels import Pairs, fit_overshoot
from optrl.policies.levels import FixedLevels
from optrl.policies.sourcing import Sourcing
from optrl.policies.two_suppliers import Expediting, TwoSupplierPolicy, base_levels

_SHARES = np.linspace(0.0, 0.98, 15)


class TailoredBaseSurge(TwoSupplierPolicy):
    """The same regular order every period, below mean demand; expediting up to a level.

    Nodes with one supplier follow base stock.

    Source: Allon & Van Mieghem (2010), Global Dual Sourcing: Tailored Base-Surge Allocation to
    Near- and Offshore Production, Management Science 56(1); Xin & Goldberg (2018), Asymptotic
    Optimality of Tailored Base-Surge Policies in Dual-Sourcing Inventory Systems, Management
    Science 64(1).
    """

    name: ClassVar[str] = "tailored_base_surge"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Order and level by search on sampled demand (`optrl.policies.dual_levels`)."""
        sourcing = Sourcing.of(instance)
        expediting = Expediting.of(sourcing)
        pairs = Pairs.of(instance, sourcing, expediting, demand, seed)
        order = pairs.rounded(pairs.mean[:, None] * _SHARES)
        # Rounded to lots an order may reach mean demand, where stock grows without end.
        order = np.where(order < pairs.mean[:, None], order, 0.0)
        nothing = np.zeros_like(order)
        fitted = fit_overshoot(pairs, nothing, nothing, order)
        shape, at = expediting.dual.shape, (pairs.item, pairs.node)
        expedited, constant = np.zeros(shape), np.zeros(shape)
        expedited[at] = fitted.level
        constant[at] = np.take_along_axis(order, fitted.choice[:, None], axis=1)[:, 0]
        levels = base_levels(instance, sourcing, demand)
        return cls(sourcing, expediting, levels, expedited, constant=constant)

    @classmethod
    def at_level(
        cls, instance: Instance, expedited: FloatArray | float, order: FloatArray | float
    ) -> Self:
        """Fixed level and constant order, each broadcast to (N, M)."""
        sourcing = Sourcing.of(instance)
        shape = sourcing.lane.shape
        near = np.broadcast_to(np.asarray(expedited, dtype=float), shape)
        constant = np.broadcast_to(np.asarray(order, dtype=float), shape)
        levels = FixedLevels(0.0, sourcing)
        return cls(sourcing, Expediting.of(sourcing), levels, near, constant=constant)
