"""Scarce stock shared by a policy network's levels: never more than there is, evenly, whole."""

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.normal import Normal
from optrl.demand.paths import steady
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.echelon_base_stock import EchelonBaseStock
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape, read_network, write_network
from optrl.policies.neural_inputs import NeuralInputs
from optrl.policies.neural_sharing import SharedStock
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.rollout import simulate

SPACE = InputSpace(3)


def tree(lot=1.0, hub_lead=2, middle_lead=1):
    """A hub feeds two stores and a middle, which feeds two more."""
    stocking = dict.fromkeys(("hub", "a", "b", "middle", "c", "d"), "stocking")
    return build(
        "tree",
        {"supplier": "supplier", **stocking},
        {
            ("supplier", "hub"): hub_lead,
            ("hub", "a"): 1,
            ("hub", "b"): 1,
            ("hub", "middle"): middle_lead,
            ("middle", "c"): 1,
            ("middle", "d"): 2,
        },
        ["a", "b", "c", "d"],
        unmet="lost",
        horizon=40,
        holding_cost={"hub": 0.4, "middle": 0.6, "a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0},
        shortage_cost=dict.fromkeys("abcd", 9.0),
        lot_size=lot,
    )  # fmt: skip


def shared(network, spread):
    lanes = network.replenishment_lanes
    return SharedStock(network, lanes, torch.tensor(spread, dtype=torch.float64)[:, None, None])


def test_cuts_are_the_same_number_of_deviations_and_nobody_gets_less_than_nothing():
    """Against the projection found by bisection, over random requests; the rest is left alone."""
    network = tree().network
    spread = np.array([1.0, 1.0, 2.0, 0.5, 1.5, 1.0])
    generator = np.random.default_rng(0)
    asked = generator.uniform(0, 10, (6, 50, 1)) * (generator.random((6, 50, 1)) < 0.8)
    stock = generator.uniform(0, 20, (6, 50, 1)) * (generator.random((6, 50, 1)) < 0.9)
    policy = shared(network, spread)
    got = policy.share(torch.from_numpy(asked.copy()), torch.from_numpy(stock)).numpy()
    # Lanes: 0 into the hub; 1-3 out of the hub; 4, 5 out of the middle (stocking node 3).
    np.testing.assert_array_equal(got[0], asked[0])
    for rows, node in (([1, 2, 3], 0), ([4, 5], 3)):
        for s in range(50):
            q, have, w = asked[rows, s, 0], stock[node, s, 0], spread[rows]
            low, high = 0.0, 100.0
            for _ in range(60):
                cut = (low + high) / 2
                low, high = (cut, high) if np.maximum(q - cut * w, 0).sum() > have else (low, cut)
            np.testing.assert_allclose(got[rows, s, 0], np.maximum(q - high * w, 0), atol=1e-9)


def test_gradient_of_shares_equals_finite_differences():
    """In what is asked and in the stock, where some are cut to nothing."""
    policy = shared(tree().network, np.ones(6))
    asked = torch.tensor([3.0, 7.0, 4.0, 0.5, 6.0, 2.0], dtype=torch.float64)[:, None, None]
    stock = torch.tensor([8.0, 0, 0, 5.0, 0, 0], dtype=torch.float64)[:, None, None]
    inputs = (asked.requires_grad_(), stock.requires_grad_())
    assert torch.autograd.gradcheck(policy.share, inputs)


@pytest.mark.parametrize("lot", [1.0, 4.0])
def test_whole_shares_leave_less_than_a_lot_and_never_exceed_the_stock(lot):
    """Where stock is short; elsewhere each order is the nearest number of lots."""
    policy = shared(tree().network, np.ones(6))
    generator = np.random.default_rng(1)
    asked = torch.from_numpy(generator.uniform(0, 12, (6, 200, 1)))
    stock = torch.from_numpy(generator.integers(0, 40, (6, 200, 1)).astype(float))
    exact = policy.share(asked.clone(), stock)
    got = policy.whole(exact, stock, torch.full((6, 1, 1), lot, dtype=torch.float64))
    torch.testing.assert_close(got, (got / lot).round() * lot)
    for rows, node in (([1, 2, 3], 0), ([4, 5], 3)):
        sent, have = got[rows].sum(0), stock[node]
        assert (sent <= have).all()
        short = asked[rows].sum(0) > have
        assert short.any()
        assert (sent[short] > have[short] - lot).all()
        assert ((got[rows] - exact[rows]).abs() <= lot).all()
        free = asked[rows].sum(0) < have - lot * len(rows)
        nearest = (asked[rows] / lot + 0.5).floor() * lot
        assert torch.equal(got[rows][:, free], nearest[:, free])


def test_what_reaches_a_node_at_once_is_shared_out_too():
    """The middle passes on in the same period what the hub sends without lead time."""
    policy = shared(tree(middle_lead=0).network, np.ones(6))
    asked = torch.tensor([0.0, 0.0, 0.0, 6.0, 5.0, 5.0], dtype=torch.float64)[:, None, None]
    stock = torch.tensor([4.0, 0, 0, 2.0, 0, 0], dtype=torch.float64)[:, None, None]
    got = policy.share(asked, stock).flatten().tolist()
    assert got == pytest.approx([0.0, 0.0, 0.0, 4.0, 3.0, 3.0])


def played(instance, demand, *, silent=False):
    network = PolicyNetwork.seeded(policy_shape(SPACE, 8, 2, 1, levels=True), 0)
    if silent:
        torch.nn.init.zeros_(network.out.weight)
    return NeuralPolicy(network, NeuralInputs.of(instance, demand, SPACE))


def model(scale=1.0):
    mean = scale * np.array([[4.0, 6.0, 3.0, 5.0]])
    return Normal(np.array([2, 3, 5, 6]), steady(mean), steady(mean / 3))


def test_a_network_that_says_nothing_follows_echelon_base_stock():
    """Orders up to its levels, but for the bend near nothing, where the stock suffices."""
    instance, demand = tree(lot=0.0), model()
    policy, classical = (
        played(instance, demand, silent=True),
        EchelonBaseStock.fit(instance, demand),
    )
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    state.stock[1] += 200.0
    state.stock[4] += 200.0
    with torch.no_grad():
        mine = policy.decide(state, 0).order.flatten()
    other = classical.decide(state, 0).order.flatten()
    away = torch.tensor([0, 2, 3, 4, 5])[other[[0, 2, 3, 4, 5]] > 3]
    assert len(away) >= 3
    torch.testing.assert_close(mine[away].double(), other[away].double(), rtol=2e-2, atol=0.05)


def test_no_stock_that_is_asked_for_stays_behind_in_play():
    """Nothing is cut by the dynamics in whole units, and all that is released was decided."""
    instance, demand = tree(), model()
    path = demand.sample(20, 0, 40, np.random.default_rng(0)).round()
    run = simulate(instance, played(instance, demand), path, seed=0)
    cut = run.cut
    assert float(cut["stock"].sum()) == 0.0
    assert float(cut["lot_size"].sum()) == 0.0
    assert float(run.total_cost.mean()) > 0


def test_files_keep_whether_a_network_moves_levels(tmp_path):
    """Written and read again it is the same; networks from before there were levels are read."""
    instance, demand = tree(), model()
    policy = played(instance, demand)
    write_network(tmp_path / "one.safetensors", policy.network, SPACE, {})
    again = read_network(tmp_path / "one.safetensors")
    assert again.network.shape.levels
    second = NeuralPolicy(again.network, NeuralInputs.of(instance, demand, SPACE))
    state = Dynamics(instance).initial_state(2)
    with torch.no_grad():
        assert torch.equal(second.decide(state, 0).order, policy.decide(state, 0).order)
    with pytest.raises(ValueError, match="levels"):
        policy.network.bind(policy._graph, torch.zeros(1), torch.zeros(1), torch.zeros(1))
