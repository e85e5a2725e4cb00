"""Systems simulated with gradients: windows of a run without end, and orders that are cut."""

import numpy as np
import pytest
import torch

from optrl.demand.discrete import Discrete
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.learning.training_instance import training_instance
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.serial import SerialFamily

SPACE = InputSpace(2)


def systems(bed, demand, **settings):
    network = PolicyNetwork.seeded(policy_shape(SPACE, 8, 2, 1), 3).double()
    training = training_instance(bed.instance, demand)
    return network, SimulatedSystems(
        training, network, SPACE, paths=3, endless=True, dtype=torch.float64, **settings
    )


def certain(node):
    """Demand of 2 in each period."""
    return Discrete(np.array([node]), np.array([[[0.0, 0.0, 1.0]]]))


def test_windows_of_a_run_cost_what_the_whole_costs():
    """Worth at the end of one is taken off again at the beginning of the next."""
    bed = DualSourcingFamily.case(2, 105.0)
    generator = np.random.default_rng(0)
    _, whole = systems(bed, certain(2))
    _, cut = systems(bed, certain(2))
    with torch.no_grad():
        total = 12 * whole.cost(12, generator, 0, 0)
        pieces = sum(periods * cut.cost(periods, generator, 0, 0) for periods in (5, 3, 4))
    assert float(total) == pytest.approx(float(pieces), rel=1e-12)


def test_a_price_that_every_unit_pays_changes_no_gradient():
    """Regular units for 100 and expedited for 105 are decided as for nothing and 5."""
    slopes = []
    for price in (100.0, 0.0):
        bed = DualSourcingFamily.case(2, price + 5.0, regular_unit_cost=price)
        network, some = systems(bed, bed.demand)
        some.cost(6, np.random.default_rng(1), 0, 0).backward()
        slopes.append(torch.cat([p.grad.flatten() for p in network.out.parameters()]))
    assert slopes[0].abs().max() > 0.1
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-9, atol=1e-12)


def test_what_is_cut_is_charged_in_the_gradient_alone():
    """A stage above that holds nothing: the stage below asks in vain, and should ask for less."""
    bed = next(iter(SerialFamily.cases()))
    found = {}
    for charge in (0.0, 0.1):
        network, some = systems(bed, certain(2), cut_charge=charge)
        cost = some.cost(1, np.random.default_rng(0), 0, 0)
        cost.backward()
        found[charge] = float(cost.detach()), float(network.out.bias.grad)
    assert found[0.0][0] == found[0.1][0]
    assert found[0.1][1] > found[0.0][1] + 0.01
