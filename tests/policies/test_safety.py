"""The value of safety stock equals the expected shortage that it saves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optrl.demand.fit import fit
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.policies.safety import SafetyValues
from optrl.policies.sourcing import Sourcing
from optrl.testing import random_instance

SHOP = ({"s": "supplier", "shop": "stocking"}, {("s", "shop"): 2}, ["shop"])


def poisson_short(mean, x):
    """E (D - x)^+ of Poisson demand, by its tail."""
    d = np.arange(0, 200)
    return float((stats.poisson.pmf(d, mean) * np.maximum(d - x, 0)).sum())


def shop_values(build_instance, unmet, horizon=6, **more):
    instance = build_instance(*SHOP, unmet=unmet, holding={"shop": 1.0}, shortage=9.0, **more)
    demand = Poisson(instance.demand.nodes, steady(np.full((1, 1), 5.0)))
    safety = SafetyValues(instance, demand, Sourcing.of(instance))
    return safety.at(0, horizon, np.arange(2), 2)


def test_backorder_value_is_the_shortage_saved(build_instance):
    """Credits of stock y at a period's end: (h + p) times the fall of E (D_w - mean - y)^+."""
    (value,) = shop_values(build_instance, "backorder")
    assert value.on_hand_nodes.tolist() == [[False, True]]
    assert not value.transit_nodes.any()
    for period in range(6):
        mean = 5.0 * min(period + 1, 3)  # errors of lead time and review period are uncorrected
        points = np.cumsum(value.width[0, period])
        credit = np.cumsum(value.width[0, period] * value.marginal_value[0, period])
        for y, worth in zip(points, credit, strict=True):
            saved = poisson_short(mean, mean) - poisson_short(mean, mean + y)
            assert worth == pytest.approx(10 * saved, abs=0.15)
        assert points[-1] == pytest.approx(3 * np.sqrt(mean))


def test_lost_sales_value_counts_a_loss_once(build_instance):
    """Stock saves less where demand is lost once than where it waits and costs every period."""
    (lost,) = shop_values(build_instance, "lost")
    (waiting,) = shop_values(build_instance, "backorder")
    credit = [(v.width * v.marginal_value).sum(axis=2)[0] for v in (lost, waiting)]
    assert (credit[0] > 0).all()
    assert credit[0][0] <= credit[1][0] + 1e-9
    assert (credit[0][1:] < credit[1][1:]).all()


def test_price_of_a_unit_is_what_it_costs_to_replace_it(build_instance):
    """Under lost sales a unit used must be bought again: 9 - 4, and holding."""
    (free,) = shop_values(build_instance, "lost")
    (dear,) = shop_values(build_instance, "lost", unit_cost=np.array([4.0]))
    np.testing.assert_allclose(dear.marginal_value * 10, free.marginal_value * 6)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    unmet=st.sampled_from(["lost", "backorder"]),
    service=st.booleans(),
    period=st.integers(0, 3),
)
def test_values_are_concave_whatever_the_network(seed, unmet, service, period):
    """Widths and falling marginal values never below zero; finite; no double counting of nodes."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, service=service, horizon=8)
    network = instance.network
    instance = replace(instance, network=replace(network, closed=frozenset()))
    nodes = len(network.nodes)
    safety = SafetyValues(instance, fit(instance), Sourcing.of(instance))
    values = safety.at(instance.start + period, 5, np.arange(nodes), nodes)
    assert values
    for value in values:
        assert value.width.shape[:2] == (2, 5)
        for part in (value.width, value.marginal_value):
            assert np.isfinite(part).all()
            assert (part >= 0).all()
        assert (np.diff(value.marginal_value, axis=2) <= 1e-9).all()
        stocking = network.kind == 1
        assert not value.on_hand_nodes[:, ~stocking].any()
        assert not (value.transit_nodes & ~value.on_hand_nodes).any()
    assert max((v.width * v.marginal_value).sum() for v in values) > 0
