"""Capped dual index: dual index whose regular orders are capped."""

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

_SHARES = np.linspace(0.0, 2.0, 9)
_CAPS = np.array([0.5, 0.7, 0.85, 1.0, 1.25, 1.5, np.inf])


class CappedDualIndex(TwoSupplierPolicy):
    """Dual index with a largest regular order, which smooths what the regular supplier sees.

    Without a cap it is dual index, with a cap below mean demand and a high regular level it is
    tailored base-surge. Nodes with one supplier follow base stock.

    Source: Sun & Van Mieghem (2019), Robust Dual Sourcing Inventory Management: Optimality of
    Capped Dual Index Policies and Smoothing, Manufacturing & Service Operations Management 21(4).
    """

    name: ClassVar[str] = "capped_dual_index"

    @classmethod
    def fit(cls, instance: Instance, demand: DemandModel, seed: int = 0) -> Self:
        """Levels and cap by search on sampled demand (`optrl.policies.dual_levels`)."""
        sourcing = Sourcing.of(instance)
        expediting = Expediting.of(sourcing)
        pairs = Pairs.of(instance, sourcing, expediting, demand, seed)
        grid = np.meshgrid(_SHARES, _CAPS, indexing="ij")
        share, caps = (x.ravel() for x in grid)
        difference = pairs.rounded((pairs.mean * pairs.lead)[:, None] * share)
        limit = pairs.mean[:, None] * caps
        limit = np.where(np.isfinite(limit), pairs.rounded(np.where(caps < 9, limit, 0)), limit)
        fitted = fit_overshoot(pairs, difference, limit)
        chosen = fitted.choice[:, None]
        shape, at = expediting.dual.shape, (pairs.item, pairs.node)
        expedited, regular, cap = np.zeros(shape), np.zeros(shape), np.full(shape, np.inf)
        expedited[at] = fitted.level
        regular[at] = fitted.level + np.take_along_axis(difference, chosen, axis=1)[:, 0]
        cap[at] = np.take_along_axis(limit, chosen, axis=1)[:, 0]
        levels = MixedLevels(base_levels(instance, sourcing, demand), regular, expediting.dual)
        return cls(sourcing, expediting, levels, expedited, cap=cap)

    @classmethod
    def at_level(
        cls,
        instance: Instance,
        expedited: FloatArray | float,
        regular: FloatArray | float,
        cap: FloatArray | float,
    ) -> Self:
        """Fixed levels and cap, each broadcast to (N, M)."""
        sourcing = Sourcing.of(instance)
        shape = sourcing.lane.shape
        near = np.broadcast_to(np.asarray(expedited, dtype=float), shape)
        limit = np.broadcast_to(np.asarray(cap, dtype=float), shape)
        levels = FixedLevels(regular, sourcing)
        return cls(sourcing, Expediting.of(sourcing), levels, near, cap=limit)
