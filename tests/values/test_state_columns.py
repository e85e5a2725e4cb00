"""A state's columns are the same numbers in the simulator, after a decision, and in a program."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.replenishment_data import Delivery
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree

from optrl.instance import ArrivalProfile
from optrl.simulation.dynamics import Dynamics
from optrl.simulation.state import Decision
from optrl.testing import random_instance
from optrl.values.base import ValueFunctionError
from optrl.values.post_decision import PostDecision
from optrl.values.program_state import program_columns
from optrl.values.state_columns import StateColumns

SEEDS = st.integers(0, 2**32 - 1)
PERIODS = 4


def simulate(instance, generator):
    """States before each decision, what was released, and stock and shortage at period ends."""
    dynamics = Dynamics(instance, dtype=torch.float64)
    state = dynamics.initial_state(1)
    draws = dynamics.draws(0, 0, 1)
    n, lanes = len(instance.network.items), len(instance.network.replenishment_lanes)
    states, outcomes = [state], []
    for _ in range(PERIODS):
        order = torch.as_tensor(generator.uniform(0, 4, (1, n, lanes)))
        demand = torch.as_tensor(generator.poisson(3.0, (len(instance.demand.nodes), 1, n)))
        state, outcome = dynamics.step(state, Decision(order), demand.double(), draws)
        states.append(state)
        outcomes.append(outcome)
    return states, outcomes


def as_program(instance, layout, outcomes):
    """Values of a chain's variables that the simulated periods are."""
    network = instance.network
    n, v, a, nodes = layout.shape
    order, stock, unmet = np.zeros((n, a, nodes)), np.zeros((n, v, nodes)), np.zeros((n, v, nodes))
    stocking = np.flatnonzero(network.kind == 1)
    for t, outcome in enumerate(outcomes):
        order[:, network.replenishment_lanes, t] = outcome.released[:, 0].numpy().T
        stock[:, stocking, t + 1] = outcome.on_hand[:, 0].numpy().T
        unmet[:, instance.demand.nodes, t + 1] = outcome.short[:, 0].numpy().T
    return {
        "order": layout.order.gather(order),
        "on_hand": layout.on_hand.gather(stock),
        "unmet": layout.demand.gather(unmet),
    }


def layout_of(instance):
    network = instance.network
    # What the calendar closes stays a column here, since the simulator has released nothing then.
    always = replace(network, review_period=np.ones_like(network.review_period), closed=frozenset())
    pairs = np.zeros((len(network.items), len(network.nodes)), dtype=bool)
    pairs[:, instance.demand.nodes] = True
    held = (instance.on_hand > 0) | (instance.due > 0).any(axis=2)
    return ReplenishmentLayout(always, ScenarioTree.chain(PERIODS), instance.start, pairs, held)


def initial(instance, layout):
    due = layout.initial_due(instance.due.shape[2])
    return {
        "initial_on_hand": layout.initial_on_hand.gather(instance.on_hand),
        "initial_due": due.gather(instance.due),
        "initial_backlog": layout.initial_backlog.gather(instance.backlog),
    }


def compare(instance, layout, generator, pipeline, delivery=None):
    states, outcomes = simulate(instance, generator)
    values = as_program(instance, layout, outcomes)
    start = initial(instance, layout)
    flow = PostDecision(instance)
    later = StateColumns.of(instance, moment="next_decision", pipeline=pipeline)
    after = StateColumns.of(instance, moment="after_decision", pipeline=pipeline)
    slots = instance.due.shape[2]
    depths = list(range(1, PERIODS + 1))
    found = program_columns(later, layout, slots, depths, delivery).evaluate(values, start)
    seen = np.stack([later.of_state(states[d])[0].numpy() for d in depths])
    assert found.reshape(seen.shape) == pytest.approx(seen, abs=1e-9)
    found = program_columns(after, layout, slots, range(PERIODS), delivery).evaluate(values, start)
    seen = np.stack(
        [
            after.after(states[d], outcomes[d].released.permute(1, 2, 0), flow)[0].numpy()
            for d in range(PERIODS)
        ]
    )
    assert found.reshape(seen.shape) == pytest.approx(seen, abs=1e-9)
    return later, after, states, outcomes


@settings(max_examples=15, deadline=None)
@given(
    seed=SEEDS,
    unmet=st.sampled_from(["lost", "backorder"]),
    pipeline=st.sampled_from(["slots", "total"]),
)
def test_program_and_simulator_agree(seed, unmet, pipeline):
    """At every depth of a chain, with the simulated flows as its variables."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, horizon=PERIODS)
    compare(instance, layout_of(instance), generator, pipeline)


@pytest.mark.parametrize("pipeline", ["slots", "total"])
def test_arrivals_in_parts(pipeline):
    """A lane that always delivers in parts and loses some: expectation and draw are one."""
    generator = np.random.default_rng(7)
    instance = random_instance(generator, horizon=PERIODS)
    lane = int(instance.network.replenishment_lanes[0])
    share = np.array([0.2, 0.3, 0.0, 0.4])
    instance = replace(instance, arrivals=(ArrivalProfile(lane, np.ones(1), share[None]),))
    layout = layout_of(instance)
    n, _, _, nodes = layout.shape
    delivery = Delivery(
        np.array([lane]),
        np.broadcast_to(share, (n, 1, nodes, 4)),
        np.zeros((n, 1, nodes)),
    )
    compare(instance, layout, generator, pipeline, delivery)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, unmet=st.sampled_from(["lost", "backorder"]))
def test_nothing_stands_outside_the_columns(seed, unmet):
    """Stock, pipeline and backlog of simulated states add up to their columns."""
    generator = np.random.default_rng(seed)
    instance = random_instance(generator, unmet=unmet, horizon=PERIODS)
    columns = StateColumns.of(instance, moment="next_decision")
    states, _ = simulate(instance, generator)
    for state in states:
        total = state.on_hand.sum() + state.due.sum() + state.backlog.sum()
        assert float(columns.of_state(state).sum()) == pytest.approx(float(total))


def test_gradients_reach_the_decision():
    """What is released moves stock and pipeline where it comes from and where it goes."""
    instance = random_instance(np.random.default_rng(3))
    columns = StateColumns.of(instance)
    state = Dynamics(instance, dtype=torch.float64).initial_state(2)
    lanes = len(instance.network.replenishment_lanes)
    released = torch.zeros(2, 2, lanes, dtype=torch.float64, requires_grad=True)
    found = columns.after(state, released, PostDecision(instance))
    assert found.shape == (2, columns.size)
    (gradient,) = torch.autograd.grad(found.sum(), released)
    network = instance.network
    from_supplier = network.kind[network.origin[network.replenishment_lanes]] == 0
    # One unit more somewhere, taken from a stocking node or from a supplier that is no column.
    allowed = network.allowed[:, network.replenishment_lanes]
    expected = np.where(from_supplier, 1.0, 0.0)
    assert gradient[0].numpy()[allowed] == pytest.approx(
        np.broadcast_to(expected, allowed.shape)[allowed]
    )


def test_alike_columns_by_item():
    """Every item has the same columns, in one order; otherwise it is said how to get them."""
    instance = random_instance(np.random.default_rng(3), items=3, unmet="backorder")
    columns = StateColumns.of(instance, alike=True)
    table = columns.by_item()
    assert table.shape == (3, columns.size // 3)
    assert (columns.item[table] == np.arange(3)[:, None]).all()
    assert (columns.node[table] == columns.node[table[0]]).all()
    assert columns.label(int(table[1, 0])).startswith("on_hand[item1, store")
    allowed = instance.network.allowed.copy()
    allowed[0] = False
    other = replace(instance, network=replace(instance.network, allowed=allowed))
    other = replace(other, on_hand=other.on_hand * 0, due=other.due * 0)
    with pytest.raises(ValueFunctionError, match="alike=True"):
        StateColumns.of(other).by_item()


def test_wrong_uses_are_refused():
    """The other moment, other items, merged nodes, nodes that decide nothing."""
    instance = random_instance(np.random.default_rng(3))
    after = StateColumns.of(instance)
    later = StateColumns.of(instance, moment="next_decision")
    state = Dynamics(instance, dtype=torch.float64).initial_state(1)
    with pytest.raises(ValueFunctionError, match="give it to `after`"):
        after.of_state(state)
    with pytest.raises(ValueFunctionError, match="use `of_state`"):
        later.after(state, torch.zeros(1, 2, 1), PostDecision(instance))
    layout = layout_of(instance)
    with pytest.raises(ValueFunctionError, match="tree node 4 takes no decision"):
        program_columns(after, layout, 2, [4])
    with pytest.raises(ValueFunctionError, match="other items"):
        program_columns(replace(after, items=("a", "b")), layout, 2)
    waiting = replace(after, kind=np.full_like(after.kind, 3))
    with pytest.raises(ValueFunctionError, match="counts backlog, but demand is lost"):
        program_columns(waiting, layout, 2)
    renamed = replace(after, nodes=tuple(f"{name}!" for name in after.nodes))
    with pytest.raises(ValueFunctionError, match="has no node"):
        program_columns(renamed, layout, 2)
    with pytest.raises(ValueFunctionError, match="other items or nodes"):
        renamed.check_fits(instance.network)
    after.check_fits(instance.network)


def test_columns_survive_a_document():
    """Through JSON and back; what does not fit is refused."""
    columns = StateColumns.of(random_instance(np.random.default_rng(3)))
    again = StateColumns.of_document(columns.document())
    assert again.document() == columns.document()
    for key, value in (("kind", [9]), ("item", "x"), ("moment", "later"), ("nodes", None)):
        with pytest.raises(ValueFunctionError):
            StateColumns.of_document(columns.document() | {key: value})
