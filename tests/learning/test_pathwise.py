"""Learning by pathwise gradients: the gradient is right, runs repeat, and cost falls."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optrl.building import build
from optrl.demand.normal import Normal
from optrl.demand.paths import steady
from optrl.learning.base import Subject, TrainingError, TrainingState
from optrl.learning.generalist import Generalist, GeneralistSettings
from optrl.learning.pathwise import Pathwise, PathwiseSettings
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.learning.training_instance import training_instance
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.exact_rule import exact_cost
from optrl.testbeds.lost_sales import LostSalesFamily


def tree(unmet):
    """A warehouse with two stores, one of them also fed by the supplier; two items."""
    return build(
        "tree",
        {"supplier": "supplier", "hub": "stocking", "a": "stocking", "b": "stocking"},
        {
            ("supplier", "hub"): 2,
            ("supplier", "b"): 1,
            ("hub", "a"): 1,
            ("hub", "b"): 2,
        },
        ["a", "b"],
        unmet=unmet,
        horizon=12,
        items=2,
        holding_cost={"hub": 0.4, "a": 1.0, "b": 1.0},
        shortage_cost={"a": 6.0, "b": 9.0},
        lane_cost={("supplier", "b"): 0.7},
        on_hand={"hub": 20.0, "a": 9.0, "b": 5.0},
        lot_size=1.0,
    )


@pytest.mark.parametrize("unmet", ["lost", "backorder"])
@pytest.mark.parametrize(("rounds", "levels"), [(0, False), (1, False), (2, False), (1, True)])
def test_gradient_of_simulated_cost_equals_finite_differences(unmet, rounds, levels):
    """Along random directions in weight space, in float64, through rationing and messages."""
    instance = tree(unmet)
    mean = np.array([[4.0, 6.0], [2.0, 3.0]])
    demand = Normal(np.array([2, 3]), steady(mean), steady(mean / 3))
    space = InputSpace(2)
    network = PolicyNetwork.seeded(policy_shape(space, 6, 3, rounds, levels=levels), 1).double()
    systems = SimulatedSystems(
        training_instance(instance, demand), network, space, paths=3, endless=False,
        dtype=torch.float64,
    )  # fmt: skip

    def cost():
        systems.restart()
        return systems.cost(12, np.random.default_rng(5), 0, 0)

    cost().backward()
    parameters = list(network.parameters())
    generator = torch.Generator().manual_seed(2)
    step = 1e-7
    for _ in range(3):
        direction = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters]
        slope = sum(
            float((p.grad * d).sum())
            for p, d in zip(parameters, direction, strict=True)
            if p.grad is not None
        )
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                for p, d in zip(parameters, direction, strict=True):
                    p.add_(d, alpha=sign * step)
                ends.append(float(cost()))
                for p, d in zip(parameters, direction, strict=True):
                    p.sub_(d, alpha=sign * step)
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)
        assert abs(slope) > 1e-3


def small(kind, **settings):
    bed = LostSalesFamily.case("poisson", 9.0, 2)
    subject = Subject(bed.instance, bed.demand, endless=True, warm_up=50)
    return kind.begin(subject, kind.settings_class(**settings), 3)


SMALL = {
    Pathwise: {"updates": 9, "paths": 4, "periods": 5, "restart": 4, "width": 8},
    Generalist: {
        "updates": 9,
        "paths": 2,
        "periods": 5,
        "restart": 4,
        "width": 8,
        "systems": 12,
        "validation_paths": 2,
        "validation_periods": 5,
    },
}


@pytest.mark.parametrize("lots", [False, True])
@pytest.mark.parametrize("kind", [Pathwise, Generalist])
def test_a_restored_learner_ends_with_the_same_weights(kind, lots):
    """To the last bit, wherever it was interrupted, between and within rounds."""
    told = SMALL[kind] | {"lots": lots}
    whole = small(kind, **told)
    for _ in range(whole.total):
        whole.update()
    for cut in (3, 4, 5):
        first = small(kind, **told)
        for _ in range(cut):
            first.update()
        state = first.state()
        kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
        first.validate()
        second = small(kind, **told)
        assert second.state().tensors.keys() == kept.keys()
        second.restore(TrainingState(kept, dict(state.numbers)))
        for _ in range(whole.total - cut):
            second.update()
        for name, tensor in whole.state().tensors.items():
            assert torch.equal(tensor, second.state().tensors[name]), name


def test_a_specialist_comes_near_the_optimum_in_seconds():
    """Exact cost within 5 % of optimal after 60 short updates, far below where it began."""
    learner = small(
        Pathwise, updates=60, paths=128, periods=20, restart=20, width=16, learning_rate=2e-2
    )
    bed = LostSalesFamily.case("poisson", 9.0, 2).solved()
    before = learner.validate()
    for _ in range(learner.total):
        learner.update()
    after = exact_cost(bed, learner.policy(bed.instance, bed.demand)).cost
    assert after < 1.05 * bed.optimum
    assert before > 1.3 * bed.optimum


def test_loss_does_not_depend_on_the_unit_of_money():
    """Costs are measured in each system's own scale, all lanes and nodes alike."""
    bed = DualSourcingFamily.case(2, 105.0)
    network = bed.instance.network
    dear = replace(
        network,
        holding_cost=50 * network.holding_cost,
        shortage_cost=50 * network.shortage_cost,
        lane_cost=50 * network.lane_cost,
    )
    losses = []
    for each in (bed.instance, replace(bed.instance, network=dear)):
        learner = Pathwise.begin(
            Subject(each, bed.demand, endless=True),
            PathwiseSettings(updates=2, paths=8, periods=5, width=8),
            0,
        )
        losses.append(learner.update()["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_wrong_settings_are_refused():
    """Each names what is wrong; a family has no end."""
    with pytest.raises(TrainingError, match="depth"):
        PathwiseSettings(depth=1)
    with pytest.raises(TrainingError, match="levels"):
        PathwiseSettings(levels=True, separate=True)
    with pytest.raises(TrainingError, match="rise"):
        PathwiseSettings(rise=1.0)
    with pytest.raises(TrainingError, match="single places"):
        GeneralistSettings(family="anything")
    bed = LostSalesFamily.case("poisson", 9.0, 2)
    with pytest.raises(TrainingError, match="no end"):
        Generalist.begin(Subject(bed.instance, bed.demand), GeneralistSettings(), 0)
