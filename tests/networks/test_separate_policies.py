"""Networks that learn side by side are networks of their own."""

import numpy as np
import pytest
import torch

from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.errors import OptrlError
from optrl.learning.base import Subject
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.system_family import single_places
from optrl.networks.separate_policies import SeparatePolicies
from optrl.policies.neural import NeuralPolicy
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape
from optrl.policies.neural_inputs import NeuralInputs
from optrl.simulation.dynamics import Dynamics


def places(items=2, leads=(1, 3)):
    mean = np.full((items, len(leads)), 5.0)
    instance = single_places(leads, mean, np.full(mean.shape, 9.0), "lost")
    return instance, Poisson(np.arange(1, 1 + len(leads)), steady(mean))


def test_each_orders_what_its_plain_network_would():
    """Copy by copy, in the numbering by node and item, for all items and for some."""
    instance, demand = places()
    space = InputSpace(3)
    inputs = NeuralInputs.of(instance, demand, space)
    networks = SeparatePolicies.seeded(policy_shape(space, 8, 3, 0), 4, 0)
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.add_(torch.linspace(-0.3, 0.3, parameter.numel()).view(parameter.shape))
    state = Dynamics(instance).initial_state(2)
    together = NeuralPolicy(networks, inputs)
    order = together.orders(state, 0).permute(1, 2, 0)
    assert len(torch.unique(order)) == 4
    for node in range(2):
        for item in range(2):
            plain = NeuralPolicy(networks.alone(2 * node + item), inputs)
            expected = plain.orders(state, 0).permute(1, 2, 0)[:, item, node]
            torch.testing.assert_close(order[:, item, node], expected)
    part = together.for_items(slice(1, 2))
    some = Dynamics(instance, items=slice(1, 2)).initial_state(2)
    torch.testing.assert_close(part.orders(some, 0).permute(1, 2, 0), order[:, 1:2])


def test_one_system_learns_the_same_beside_any_other():
    """Changing one item's costs leaves the other's weights as they were, where nothing is cut."""
    instance, demand = places(leads=(2,))
    settings = PathwiseSettings(
        updates=3, paths=4, periods=5, width=4, separate=True, clip=1e9, restart=2
    )
    ends = []
    for factor in (1.0, 3.0):
        network = instance.network
        shortage = network.shortage_cost.copy()
        shortage[1] *= factor
        changed = single_places((2,), np.full((2, 1), 5.0), shortage[:, 1:], "lost")
        learner = Pathwise.begin(Subject(changed, demand, endless=True), settings, 0)
        for _ in range(3):
            learner.update()
        ends.append(learner.network.state_dict())
    for name, first in ends[0].items():
        torch.testing.assert_close(first[0], ends[1][name][0], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(first[1], ends[1][name][1]) for name, first in ends[0].items())


def test_they_come_back_from_a_file_and_fit_their_instance_only(tmp_path):
    """A saved training gives the same orders; another number of items is refused."""
    instance, demand = places()
    settings = PathwiseSettings(updates=1, paths=2, periods=3, width=4, separate=True)
    learner = Pathwise.begin(Subject(instance, demand, endless=True), settings, 0)
    learner.update()
    learner.save_policy(tmp_path)
    state = Dynamics(instance).initial_state(1)
    loaded = Pathwise.load_policy(tmp_path, instance, demand)
    expected = learner.policy(instance, demand).decide(state, 0).order
    torch.testing.assert_close(loaded.decide(state, 0).order, expected)
    other, more = places(items=3)
    with pytest.raises(OptrlError, match="do not fit"):
        Pathwise.load_policy(tmp_path, other, more).decide(Dynamics(other).initial_state(1), 0)


def test_a_training_begins_with_the_weights_of_a_file(tmp_path):
    """And refuses a file whose network has other sizes."""
    instance, demand = places()
    subject = Subject(instance, demand, endless=True)
    small = {"updates": 1, "paths": 2, "periods": 3, "width": 4}
    first = Pathwise.begin(subject, PathwiseSettings(**small), 0)
    first.update()
    first.save_policy(tmp_path)
    start = str(tmp_path / "policy.safetensors")
    again = Pathwise.begin(subject, PathwiseSettings(**small, start=start), 1)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    with pytest.raises(OptrlError, match="ask for"):
        Pathwise.begin(subject, PathwiseSettings(**(small | {"width": 5}), start=start), 1)


def test_copies_of_one_network_begin_by_ordering_the_same(tmp_path):
    """Separate networks begun with one for all order what it orders, each under its conditions."""
    instance, demand = places()
    subject = Subject(instance, demand, endless=True)
    small = {"updates": 1, "paths": 2, "periods": 3, "width": 6, "depth": 3}
    shared = Pathwise.begin(subject, PathwiseSettings(**small), 0)
    shared.update()
    shared.save_policy(tmp_path)
    start = str(tmp_path / "policy.safetensors")
    apart = Pathwise.begin(subject, PathwiseSettings(**small, start=start, separate=True), 1)
    state = Dynamics(instance).initial_state(2)
    orders = [each.policy(instance, demand).orders(state, 0) for each in (shared, apart)]
    torch.testing.assert_close(orders[1], orders[0])
    assert len(torch.unique(orders[0])) > 1
