"""A small instance with every kind of limit, and its plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optrl.instance import Instance
from optrl.planning.plan import Plan, plan
from optrl.testing import random_instance


def limited_instance(seed: int = 19, **changes: object) -> Instance:
    """Lots, set-up times, scarce supply, a service level, and frozen orders in the first period.

    Frozen is one order of 2 units from the first supplier, in a lot size and calendar that take it.
    """
    made = random_instance(
        np.random.default_rng(seed),
        items=3,
        horizon=8,
        integers=True,
        limited_supply=True,
        service=True,
        **changes,  # type: ignore[arg-type]
    )
    network = made.network
    first = network.lanes.index(("supplier0", "store0"))
    allowed, review = np.ones_like(network.allowed), network.review_period.copy()
    review[first] = 1
    lots, least = network.lot_size.copy(), network.minimum_quantity.copy()
    lots[0, first], least[0, first] = 2.0, 0.0
    frozen = np.zeros((3, len(network.lanes), 1))
    frozen[0, first, 0] = 2.0
    changed = replace(
        network,
        allowed=allowed,
        review_period=review,
        lot_size=lots,
        minimum_quantity=least,
        closed=frozenset({(first, made.start + 1)}),
    )
    return replace(made, network=changed, frozen=frozen)


@pytest.fixture(scope="session")
def limited_plan() -> Plan:
    """A plan of `limited_instance`, lost sales."""
    return plan(limited_instance())
