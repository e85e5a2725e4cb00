"""What every policy found by walking the package must do."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

import optrl.policies
from optrl.demand.fit import fit
from optrl.policies import UnknownPolicyError, find, names
from optrl.policies.base import Policy
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import SeparablePolicy, simulate
from optrl.testing import random_instance


def test_names_are_found_without_importing_torch():
    """Listing policies must not cost the import of torch."""
    code = "import sys, optrl.policies as p; assert p.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classical_policies_are_there_under_their_names():
    """Every name finds a class of that name that keeps the protocol."""
    assert {
        "base_stock",
        "capped_base_stock",
        "echelon_base_stock",
        "min_shortage_rationing",
        "myopic",
        "newsvendor",
        "projected_inventory_level",
        "proportional_rationing",
        "s_s",
    } <= set(names())
    for name in names():
        kind = find(name)
        assert kind.name == name
        assert list(inspect.signature(kind.fit).parameters)[:3] == ["instance", "demand", "seed"]


def test_unknown_name_suggests_the_nearest():
    """A misspelt name is refused with what was meant."""
    with pytest.raises(UnknownPolicyError, match="did you mean 'base_stock'"):
        find("base-stok")


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("name", names())
def test_decisions_are_orders(name, unmet):
    """Finite orders, not negative, of the right shape, on allowed and open lanes; deterministic."""
    instance = random_instance(
        np.random.default_rng(7), unmet=unmet, integers=True, horizon=8, stocking=2, customers=1
    )
    model = fit(instance)
    lanes = instance.network.replenishment_lanes
    state = Dynamics(instance, dtype=torch.float64).initial_state(2)
    decided = []
    for _ in range(2):
        policy = find(name).fit(instance, model, seed=5)
        assert isinstance(policy, Policy)
        decided.append([policy.decide(state, instance.start + t).order for t in range(2)])
    for t, (order, again) in enumerate(zip(*decided, strict=True)):
        assert order.shape == (2, 2, len(lanes))
        assert torch.isfinite(order).all()
        assert (order >= 0).all()
        assert torch.equal(order, again)
        assert (order[:, ~torch.from_numpy(instance.network.allowed[:, lanes])] == 0).all()
        is_open = instance.network.open_periods(instance.start + t, 1)[lanes, 0]
        assert (order[..., ~torch.from_numpy(is_open)] == 0).all()
        assert torch.allclose(order, order[:1].expand_as(order))


CLASSICAL = [
    "base_stock",
    "capped_base_stock",
    "echelon_base_stock",
    "min_shortage_rationing",
    "myopic",
    "newsvendor",
    "projected_inventory_level",
    "proportional_rationing",
    "s_s",
]


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("name", CLASSICAL)
def test_rollouts_serve_most_demand_and_cost_less_than_ordering_nothing(name, unmet):
    """A fitted policy beats the policy that never orders, on random networks."""
    for seed in range(3):
        instance = random_instance(
            np.random.default_rng(seed), unmet=unmet, resources=False, horizon=16
        )
        model = fit(instance)
        demand = model.sample(16, instance.start, 16, np.random.default_rng(seed))
        nothing = find("base_stock").at_level(instance, 0.0)
        fitted = simulate(instance, find(name).fit(instance, model), demand, seed=0)
        idle = simulate(instance, nothing, demand, seed=0)
        assert fitted.total_cost.mean() < idle.total_cost.mean()


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize("name", CLASSICAL)
def test_items_can_be_decided_apart(name, unmet):
    """A policy restricted to some items orders for them what the whole policy does."""
    instance = random_instance(
        np.random.default_rng(11), items=5, unmet=unmet, integers=True, horizon=8
    )
    policy = find(name).fit(instance, fit(instance))
    if not isinstance(policy, SeparablePolicy):
        assert name in ("myopic", "projected_inventory_level")
        return
    everything = Dynamics(instance).initial_state(2)
    whole = policy.decide(everything, instance.start).order
    for items, again in ((slice(1, 4), slice(1, 3)), (slice(0, 2), slice(0, 1))):
        part = policy.for_items(items).for_items(again)
        first = items.start + again.start
        chosen = slice(first, first + again.stop - again.start)
        order = part.decide(_Part(everything, chosen), instance.start).order
        assert torch.equal(order, whole[:, chosen])


class _Part:
    """Some items of a state."""

    def __init__(self, state, items):
        self.on_hand = state.on_hand[:, items]
        self.in_transit = state.in_transit[:, items]
        self.backlog = state.backlog[:, items]
        self.due = state.due[:, items]


def test_the_package_has_no_policy_twice():
    """Two modules with one name would hide each other."""
    assert len(names()) == len(set(names()))
    assert optrl.policies.names() == tuple(sorted(names()))
