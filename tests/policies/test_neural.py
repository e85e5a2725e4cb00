"""The policy that plays a network: scale, feasibility, lots, files."""

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.fit import fit
from optrl.demand.normal import Normal
from optrl.demand.paths import steady
from optrl.networks.graph_policy import PolicyNetwork
from optrl.networks.tensor_file import TensorFileError, write_tensor_file
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape, read_network, write_network
from optrl.policies.neural_inputs import NeuralInputs
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate
from optrl.testing import random_instance

SPACE = InputSpace(3)


def played(instance, model, *, rounds=1, seed=0, double=False, space=SPACE):
    network = PolicyNetwork.seeded(policy_shape(space, 8, 3, rounds), seed)
    network = network.double() if double else network
    return NeuralPolicy(network, NeuralInputs.of(instance, model, space), instance.due.shape[2])


def chain(factor, lot=0.0):
    """A hub and two stores; the second item has `factor` times the volume of the first."""
    volume = np.array([1.0, factor])
    instance = build(
        "chain",
        {"supplier": "supplier", "hub": "stocking", "a": "stocking", "b": "stocking"},
        {("supplier", "hub"): 2, ("hub", "a"): 1, ("hub", "b"): 3},
        ["a", "b"],
        unmet="backorder",
        horizon=10,
        items=2,
        holding_cost={"hub": 0.5, "a": 1.0, "b": 1.2},
        shortage_cost={"a": 9.0, "b": 12.0},
        on_hand={"hub": 30 * volume, "a": 8 * volume, "b": 5 * volume},
        lot_size=lot,
    )
    mean = np.outer(volume, [4.0, 6.0])
    return instance, Normal(np.array([2, 3]), steady(mean), steady(mean / 4))


@pytest.mark.parametrize("rounds", [0, 2])
def test_an_item_of_ten_times_the_volume_orders_ten_times_as_much(rounds):
    """Over a whole rollout: the network knows ratios only."""
    instance, model = chain(10.0)
    policy = played(instance, model, rounds=rounds, double=True)
    demand = model.sample(3, 0, 10, np.random.default_rng(0))
    demand[:, 1] = 10 * demand[:, 0]
    run = simulate(instance, policy, demand, seed=0, dtype=torch.float64, record="full")
    released = run.detail.released
    torch.testing.assert_close(released[:, 1], 10 * released[:, 0], rtol=1e-9, atol=1e-9)
    assert released[:, 0].amin() >= 0
    assert released[:, 0].amax() > 0


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
def test_random_networks_are_played_within_their_limits(unmet):
    """Stock never falls below zero and what is ordered beyond limits is cut, not released."""
    for seed in range(3):
        instance = random_instance(
            np.random.default_rng(seed), unmet=unmet, integers=True, limited_supply=True, horizon=8
        )
        model = fit(instance)
        policy = played(instance, model, seed=seed)
        demand = model.sample(4, instance.start, 8, np.random.default_rng(seed))
        dynamics = Dynamics(instance)
        state, draws = dynamics.initial_state(4), dynamics.draws(0, 0, 4)
        for of_period in torch.from_numpy(demand).float().permute(3, 2, 0, 1):
            with torch.no_grad():
                decision = policy.decide(state, state.period)
                state, outcome = dynamics.step(state, decision, of_period.contiguous(), draws)
            asked = decision.order.permute(2, 0, 1)
            assert (asked >= 0).all()
            assert (outcome.released <= asked + 1e-4).all()
            assert (outcome.on_hand >= -1e-4).all()


def test_items_can_be_decided_apart():
    """Restricted to some items it orders for them what the whole policy does."""
    instance = random_instance(
        np.random.default_rng(3),
        items=5,
        unmet="backorder",
        integers=True,
        resources=False,
        horizon=8,
    )
    model = fit(instance)
    policy = played(instance, model)
    whole = policy.decide(Dynamics(instance).initial_state(2), instance.start).order
    part = Dynamics(instance, items=slice(2, 4)).initial_state(2)
    again = policy.for_items(slice(1, 5)).for_items(slice(1, 3)).decide(part, instance.start)
    torch.testing.assert_close(again.order, whole[:, 2:4])


def test_orders_are_whole_lots_nearest_to_what_the_network_says():
    """At most half a lot away."""
    instance, model = chain(3.0, lot=4.0)
    policy = played(instance, model)
    state = Dynamics(instance).initial_state(1)
    order = policy.decide(state, 0).order
    said = policy.orders(state, 0).permute(1, 2, 0)
    torch.testing.assert_close(order / 4, (order / 4).round())
    assert (order - said).abs().amax() <= 2 + 1e-4
    assert order.amax() > 0


def test_forecasts_and_prices_enter_where_asked_for():
    """A price on a lane changes what is ordered there and not elsewhere; forecasts widen inputs."""
    instance, model = chain(1.0)
    space = InputSpace(3, forecast=2)
    prices = np.zeros((2, 3))
    policy = played(instance, model, space=space)
    state = Dynamics(instance).initial_state(1)
    base = policy.decide(state, 0).order
    prices[:, 1] = 2.0
    inputs = NeuralInputs.of(instance, model, space, prices)
    priced = NeuralPolicy(policy.network, inputs).decide(state, 0).order
    assert not torch.equal(base[..., 1], priced[..., 1])
    assert torch.equal(base[..., 2], priced[..., 2])
    assert policy.inputs.node_at(0).shape[2] == space.node_features


def test_a_file_gives_the_same_policy_and_other_files_are_refused(tmp_path):
    """All that was written comes back; damage and other inputs do not pass."""
    instance, model = chain(2.0)
    policy = played(instance, model)
    path = tmp_path / "policy.safetensors"
    write_network(path, policy.network, SPACE, {"family": "any"})
    file = read_network(path)
    assert file.about == {"family": "any"}
    again = NeuralPolicy(file.network, NeuralInputs.of(instance, model, file.space))
    state = Dynamics(instance).initial_state(2)
    with torch.no_grad():
        torch.testing.assert_close(again.decide(state, 0).order, policy.decide(state, 0).order)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(TensorFileError, match="damaged"):
        read_network(path)
    document = {"node_features": [], "lane_features": []}
    write_tensor_file(path, "optrl policy network", policy.network.state_dict(), document)
    with pytest.raises(TensorFileError, match="other inputs"):
        read_network(path)
