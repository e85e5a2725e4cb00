"""Torch networks and what they export: the same function in float64, with its conditions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optrl_formulations.cost_to_go.relu_network import ReluNetwork

from optrl.networks.input_convex import InputConvexNetwork
from optrl.networks.relu import ReluValueNetwork
from optrl.networks.slopes import SlopeNetwork
from optrl.networks.tensor_file import TensorFileError, write_tensor_file
from optrl.testing import random_instance
from optrl.values.base import ValueFunctionError
from optrl.values.dense import Dense
from optrl.values.files import load_value, save_value
from optrl.values.input_convex import InputConvex
from optrl.values.network_arrays import network_of
from optrl.values.partially_convex import PartiallyConvex
from optrl.values.relu import Relu
from optrl.values.slope_model import SlopeModel
from optrl.values.state_columns import StateColumns
from optrl.values.tightening import smallest_value, tightened

SEEDS = st.integers(0, 2**31 - 1)


def data(seed, rows=40, arguments=3, contexts=2):
    """Arguments, contexts and values far from mean zero and variance one."""
    generator = torch.Generator().manual_seed(seed)
    x = 5 + 3 * torch.randn(rows, arguments, generator=generator)
    c = -2 + 7 * torch.randn(rows, contexts, generator=generator)
    return x, c, 40 + 9 * torch.randn(rows, generator=generator), generator


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_input_convex_export_is_the_network(seed):
    """Without and with a context, shifts and scales folded in, against the module in float64."""
    x, c, y, generator = data(seed)
    plain = InputConvexNetwork(3, (6, 5), generator=generator)
    plain.scale_to(x, y)
    value = InputConvex.of_arrays(plain.export())
    with torch.no_grad():
        expected = plain.double()(x.double()).numpy()
    assert value(x.double().numpy()) == pytest.approx(expected, rel=1e-10)

    full = InputConvexNetwork(3, (6, 5), contexts=2, context_hidden=(4,), generator=generator)
    full.scale_to(x, y, c)
    family = PartiallyConvex.of_arrays(full.export())
    with torch.no_grad():
        expected = full.double()(x.double(), c.double()).numpy()
    functions = family.at_each(c.double().numpy())
    found = [float(f(row[None])[0]) for f, row in zip(functions, x.double().numpy(), strict=True)]
    assert found == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="2 context columns"):
        full(x.double())


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_relu_export_is_the_network(seed):
    """Shifts and scales folded in, against the module in float64."""
    x, _, y, generator = data(seed)
    network = ReluValueNetwork(3, (6, 5, 4), generator=generator)
    network.scale_to(x, y)
    with torch.no_grad():
        expected = network.double()(x.double()).numpy()
    exported = network_of(network.export())
    assert exported.evaluate(x.double().numpy()) == pytest.approx(expected, rel=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_slope_export_is_the_network(seed):
    """Slopes rise by construction; the separable function is the network's integral."""
    x, _, _, generator = data(seed, rows=5, arguments=4)
    network = SlopeNetwork(4, (0.5, 1.0, 2.0), (6,), generator=generator)
    network.scale_to(x, 3.0)
    model = SlopeModel.of_arrays(network.export())
    scale = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    value = model.at(x.double().numpy(), scale)
    assert (np.diff(value.slope, axis=1) >= 0).all()
    amount = np.linspace(0, 6, 5)
    with torch.no_grad():
        network.double()
        expected = network(x.double(), torch.as_tensor(amount)).numpy()
        slopes = network.slopes(x.double()).numpy()
    assert model.slopes(x.double().numpy()) == pytest.approx(slopes, rel=1e-9)
    assert value((amount * scale)[None])[0] == pytest.approx((expected * scale).sum(), rel=1e-9)
    dearer = model.at(x.double().numpy(), scale, cost_scale=2 * scale)
    assert dearer.slope == pytest.approx(2 * scale[:, None] * value.slope)
    with pytest.raises(ValueFunctionError, match="scale must be 5 positive numbers"):
        model.at(x.double().numpy(), -scale)


def test_training_keeps_convexity_and_learns():
    """A few hundred steps fit a convex function; nonnegative weights need no projection."""
    generator = torch.Generator().manual_seed(0)
    x = 10 * torch.rand(512, 2, generator=generator)
    y = (x[:, 0] - 4).abs() + 2 * torch.relu(x[:, 1] - x[:, 0])
    network = InputConvexNetwork(2, (16, 16), generator=generator)
    network.scale_to(x, y)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.03 * float(y.var())
    value = InputConvex.of_arrays(network.export())
    found = value(x.double().numpy())
    assert found == pytest.approx(network(x).detach().numpy(), abs=2e-4)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, convex=st.booleans())
def test_tightened_bounds_hold_and_are_no_wider(make_network, seed, convex):
    """Sampled activations are inside; every bound is at least as good as interval arithmetic's."""
    generator = np.random.default_rng(seed)
    network = make_network(generator, 3, (5, 4, 4), convex)
    lower, upper = generator.uniform(-2, 0, 3), generator.uniform(0, 2, 3)
    plain, tight = Relu.on_box(network, lower, upper).bounds, tightened(network, lower, upper)
    x = generator.uniform(lower, upper, (3000, 3))
    for layer, activation in enumerate(network.activations(x)):
        assert (tight.lower[layer] >= plain.lower[layer] - 1e-12).all()
        assert (tight.upper[layer] <= plain.upper[layer] + 1e-12).all()
        assert (activation >= tight.lower[layer] - 1e-9).all()
        assert (activation <= tight.upper[layer] + 1e-9).all()
    span = [
        sum(float((u - low).sum()) for u, low in zip(b.upper, b.lower, strict=True))
        for b in (plain, tight)
    ]
    assert span[1] < span[0]
    if convex:
        least = smallest_value(network, lower, upper)
        assert InputConvex(network).lower_bound(lower, upper) <= least + 1e-5
        assert least <= network.evaluate(x).min()


def test_tight_bounds_of_a_network_by_hand():
    """z1 = max(0, x), z2 = max(0, -x), a = z1 + z2 = |x| on -1..1: at most 1, not 2."""
    network = ReluNetwork(
        (np.array([[1.0], [-1.0]]), np.zeros((1, 1))),
        (np.array([[1.0, 1.0]]),),
        (np.zeros(2), np.array([-0.5])),
        np.ones(1),
        np.zeros(1),
        0.0,
    )
    lower, upper = -np.ones(1), np.ones(1)
    plain, tight = Relu.on_box(network, lower, upper).bounds, tightened(network, lower, upper)
    assert (plain.lower[1][0], plain.upper[1][0]) == (-0.5, 1.5)
    assert tight.upper[1][0] == pytest.approx(0.5, abs=1e-5)
    assert tight.lower[1][0] == pytest.approx(-0.5, abs=1e-5)


@pytest.mark.parametrize("kind", ["separable", "cuts", "input_convex", "relu"])
def test_files_give_back_the_function(tmp_path, make_value, kind):
    """Every kind through a file, with the state's columns."""
    generator = np.random.default_rng(0)
    value = make_value(kind, generator)
    columns = StateColumns.of(random_instance(generator))
    save_value(tmp_path / "value.safetensors", value, columns)
    again, layout = load_value(tmp_path / "value.safetensors")
    assert type(again) is type(value)
    assert layout is not None
    assert layout.document() == columns.document()
    assert all(np.array_equal(a, again.arrays()[k]) for k, a in value.arrays().items())


def test_files_give_back_what_follows_a_context(tmp_path, make_partially_convex):
    """Functions with a context, and shared slopes."""
    family = make_partially_convex(np.random.default_rng(0))
    slopes = SlopeModel(Dense((np.ones((2, 3)),), (np.zeros(2),)), np.array([1.0, np.inf]), 2.0)
    for stored in (family, slopes):
        save_value(tmp_path / "value.safetensors", stored)
        again, layout = load_value(tmp_path / "value.safetensors")
        assert type(again) is type(stored)
        assert layout is None
        assert all(np.array_equal(a, again.arrays()[k]) for k, a in stored.arrays().items())


def test_files_nobody_vouches_for_are_refused(tmp_path, make_value):
    """Damage, other kinds, unknown names, conditions that do not hold, float32."""
    path = tmp_path / "value.safetensors"
    value = make_value("input_convex", np.random.default_rng(0))
    save_value(path, value)
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(TensorFileError, match="damaged"):
        load_value(path)
    kind = "optrl value function"
    arrays = {k: torch.from_numpy(v.copy()) for k, v in value.arrays().items()}
    document = {"version": 1, "name": "input_convex", "columns": None}
    for change, tensors, message in (
        ({"version": 2}, arrays, "version 2"),
        ({"name": "input_convx"}, arrays, "did you mean 'input_convex'"),
        ({"columns": {"kind": []}}, arrays, "columns of a state cannot be read"),
        ({}, arrays | {"output_hidden": -arrays["output_hidden"]}, "output_hidden is -"),
        ({}, {k: v.float() for k, v in arrays.items()}, "float32, not float64"),
        ({}, {k: v for k, v in arrays.items() if k != "output_bias"}, "'output_bias' is missing"),
        ({}, arrays | {"bais.0": arrays["bias.0"]}, "holds 'bais.0'"),
    ):
        write_tensor_file(path, kind, tensors, document | change)
        with pytest.raises(ValueFunctionError, match=message):
            load_value(path)


def test_contexts_and_grids_that_do_not_fit_are_refused(make_partially_convex):
    """Outputs of the context network, signs, scales, grids."""
    family = make_partially_convex(np.random.default_rng(0))
    arrays = family.arrays()
    with pytest.raises(ValueFunctionError, match="the context network has 16 outputs"):
        PartiallyConvex.of_arrays(
            arrays | {"context.weight.1": np.ones((16, 6)), "context.bias.1": np.ones(16)}
        )
    with pytest.raises(ValueFunctionError, match="hidden_weight"):
        PartiallyConvex.of_arrays(arrays | {"hidden_weight.0": -np.ones((4, 5))})
    with pytest.raises(ValueFunctionError, match="scale is 0"):
        PartiallyConvex.of_arrays(arrays | {"scale": np.zeros(1)})
    dense = Dense((np.ones((2, 3)),), (np.zeros(2),))
    with pytest.raises(ValueFunctionError, match="the last infinite"):
        SlopeModel(dense, np.ones(2))
    with pytest.raises(ValueFunctionError, match="does not fit the one before"):
        Dense((np.ones((2, 3)), np.ones((1, 3))), (np.zeros(2), np.zeros(1)))
