"""The five-store bed: its limit binds, and tuned base stock costs what was measured."""

import numpy as np
import pytest

from optrl.policies.base_stock import BaseStock
from optrl.testbeds.one_warehouse_five_stores import OneWarehouseFiveStores
from optrl.testbeds.simulated import simulated_cost

LEVELS = np.array([[59.0, 13.0, 17.0, 21.0, 24.75, 28.5]])


def cost(name):
    bed = OneWarehouseFiveStores.case(name)
    return simulated_cost(bed, BaseStock.at_level(bed.instance, LEVELS), scenarios=40, seed=3)


def test_base_stock_costs_more_under_the_limit():
    """Tuned levels cost about 31.9 a period, and visibly more where throughput is scarce."""
    free, scarce = cost("open"), cost("limited")
    assert free.mean == pytest.approx(31.9, abs=2 * free.half_width)
    assert scarce.mean > free.mean + 0.3
