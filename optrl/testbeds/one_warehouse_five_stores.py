"""One warehouse and five stores with lost sales: where a learned cost-to-go meets a limit.

A supplier feeds a warehouse (lead time 3), which feeds five stores (lead time 2) with Poisson
demand of mean 3, 4, 5, 6 and 7 a period. Holding costs 0.3 at the warehouse and 1 at a store a unit
and period, a lost sale 9; stock on the way costs nothing. Quantities are continuous in the cases
``open`` and ``limited`` and whole in ``whole``. In ``limited`` the warehouse releases at most 25
units a period, as much as mean demand.

**Order of events and conventions**: this package's own; nothing is published, no optimum is
known. Costs are long-run averages: the system starts near where a base-stock policy keeps it, and
the first 100 periods do not count. Scarce stock at the warehouse is rationed in proportion to what
is asked (the simulator's rule) where the policy asks for more than there is.

Synthetic throughout.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
from optrl_formulations.network import FloatArray, Resource

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.instance import Instance
from optrl.policies.base_stock import BaseStock
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.testbeds.base import Row, TestBed
from optrl.testbeds.simulated import simulated_row
from optrl.testbeds.tuning import LevelKind, tune_levels

SOURCE = "synthetic: optrl.testbeds.one_warehouse_five_stores"
WARM_UP, PERIODS = 100, 200
MEANS = (3.0, 4.0, 5.0, 6.0, 7.0)
STORES = tuple(f"store{k + 1}" for k in range(len(MEANS)))
LIMIT = 25.0
_INBOUND, _OUTBOUND = 3, 2
_KINDS: tuple[tuple[str, LevelKind], ...] = (
    ("base_stock", BaseStock.at_level),
    ("echelon_base_stock", EchelonBaseStock.at_level),
)


class OneWarehouseFiveStores:
    """A warehouse supplies five stores."""

    name: ClassVar[str] = "one-warehouse-five-stores"

    @staticmethod
    def cases() -> Iterator[TestBed]:
        """Without a limit, with one, and in whole units."""
        for case in ("open", "limited", "whole"):
            yield OneWarehouseFiveStores.case(case)

    @staticmethod
    def case(name: str, *, periods: int = PERIODS) -> TestBed:
        """One case: ``open``, ``limited`` or ``whole``."""
        instance = _instance(1, 1.0 if name == "whole" else 0.0, periods)
        if name == "limited":
            instance = limited(instance, LIMIT)
        return TestBed(
            f"{OneWarehouseFiveStores.name}/{name}",
            replace(instance, name=name),
            demand(),
            WARM_UP,
            None,
            SOURCE,
        )

    @staticmethod
    def rows() -> Iterator[Row]:
        """Base stock tuned in the simulator; the levels of ``open`` serve ``limited`` too."""
        for bed in OneWarehouseFiveStores.cases():
            for label, kind in _KINDS:
                began = time.perf_counter()
                lot = float(bed.instance.network.lot_size.max())
                levels = tuned_levels(label, lot)
                text = ", ".join(f"{x:g}" for x in levels)
                yield simulated_row(
                    bed,
                    f"{label} (tuned: {text})",
                    kind(bed.instance, levels[None]),
                    scenarios=200,
                    seconds=time.perf_counter() - began,
                )


def demand() -> Poisson:
    """Demand at the stores."""
    return Poisson(np.arange(2, 2 + len(STORES)), steady(np.array([MEANS])))


def limited(instance: Instance, capacity: float) -> Instance:
    """The instance with a limit on what the warehouse releases in a period."""
    network = instance.network
    use = np.ones(len(network.items))
    limit = Resource("warehouse throughput", "outbound", use, np.array([capacity]), node=1)
    return replace(instance, network=replace(network, resources=(limit,)))


def tuned_levels(label: str, lot_size: float = 0.0, *, scenarios: int = 200) -> FloatArray:
    """Levels of a base-stock policy tuned in the simulator without a limit, shape (6,).

    Args:
        label: "base_stock" or "echelon_base_stock".
        lot_size: Of all lanes.
        scenarios: Paths it is tuned on.
    """
    echelon = label == "echelon_base_stock"
    mean = np.array(MEANS)
    store = np.round(1.4 * mean * (_OUTBOUND + 1))
    warehouse = np.round(mean.sum() * _INBOUND) + (store.sum() if echelon else 0.0)
    tuned = tune_levels(
        lambda items: _instance(items, lot_size, PERIODS),
        demand(),
        dict(_KINDS)[label],
        np.concatenate([[warehouse], store]),
        warm_up=WARM_UP,
        scenarios=scenarios,
        steps=(8.0, 4.0, 2.0, 1.0) if lot_size else (8.0, 4.0, 2.0, 1.0, 0.5, 0.25),
    )
    return tuned.levels


def _instance(items: int, lot_size: float, periods: int) -> Instance:
    mean = np.array(MEANS)
    return build(
        "open",
        {"supplier": "supplier", "warehouse": "stocking", **dict.fromkeys(STORES, "stocking")},
        {("supplier", "warehouse"): _INBOUND, **{("warehouse", s): _OUTBOUND for s in STORES}},
        STORES,
        unmet="lost",
        horizon=WARM_UP + periods,
        items=items,
        holding_cost={"warehouse": 0.3, **dict.fromkeys(STORES, 1.0)},
        shortage_cost=dict.fromkeys(STORES, 9.0),
        on_hand={
            "warehouse": float(mean.sum()) * (_INBOUND + 1),
            **{s: float(np.ceil(m * (_OUTBOUND + 1))) for s, m in zip(STORES, mean, strict=True)},
        },
        lot_size=lot_size,
        notes={"data": "synthetic"},
    )
