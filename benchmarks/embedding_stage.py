"""The stage problem, the networks and the peer's form that `embedding.py` measures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
import torch
from optrl_formulations.joining import AffineMap
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.replenishment import add_replenishment
from optrl_formulations.replenishment_arrays import build_replenishment
from optrl_formulations.replenishment_data import ReplenishmentData
from optrl_formulations.replenishment_layout import ReplenishmentLayout
from optrl_formulations.scenario_tree import ScenarioTree
from scipy.sparse import csr_matrix

import optrl
from optrl.demand.fit import fit
from optrl.networks.input_convex import InputConvexNetwork
from optrl.policies.lookahead import elastic
from optrl.solver import compile_model
from optrl.stages.coarse import CoarseView, with_root
from optrl.values.input_convex import InputConvex
from optrl.values.program_state import model_columns, program_columns
from optrl.values.relu import Relu
from optrl.values.state_columns import StateColumns

HIDDEN = (64, 64)


@dataclass(frozen=True)
class Stage:
    """A stage problem, its states, and the state's columns at its end."""

    layout: ReplenishmentLayout
    data: ReplenishmentData
    base: LinearProgram
    columns: StateColumns
    arguments: AffineMap
    stocks: tuple[np.ndarray, ...]
    scale: np.ndarray


def iowa(folder: str, periods: int, states: int) -> Stage:
    """The lookahead's program of the Iowa network over `periods` weeks, without safety values."""
    instance = optrl.load(folder)
    demand = fit(instance)
    path = demand.mean(instance.start, periods)
    view = CoarseView.of(instance, path.mean(axis=2), ranks=2)
    network = elastic(view.aggregation.network)
    pairs = view.demand_pairs
    layout = ReplenishmentLayout(
        network, ScenarioTree.chain(periods), instance.start, pairs, view.held()
    )
    start = view.start()
    data = ReplenishmentData(start.on_hand, start.due, start.backlog, with_root(view.demand(path)))
    columns = StateColumns.of(instance, moment="next_decision", pipeline="total")
    arguments = program_columns(columns, layout, data.due.shape[2])
    generator = np.random.default_rng(0)
    stocks = tuple(
        layout.initial_on_hand.gather(start.on_hand)
        * generator.uniform(0.3, 1.5)
        * generator.uniform(0.5, 1.5, len(layout.initial_on_hand))
        for _ in range(states)
    )
    # Typical numbers of each column: what stands there now, or a week's demand of the item.
    first = columns.gather(
        *(torch.as_tensor(x) for x in (instance.on_hand, instance.due, instance.backlog))
    ).numpy()
    weekly = path.mean(axis=2).sum(axis=1)[columns.item]
    scale = np.maximum(first, 0.5 * weekly + 1.0)
    return Stage(layout, data, build_replenishment(layout, data), columns, arguments, stocks, scale)


def fitted(stage: Stage, skips: bool, steps: int) -> InputConvex:
    """An input-convex network fitted to separable kinks and a joint one."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    scale = torch.as_tensor(stage.scale).float()
    network = InputConvexNetwork(len(stage.arguments), HIDDEN, generator=generator)
    weight = 0.5 + torch.rand(len(stage.arguments), generator=generator)

    def sample(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        u = 2 * torch.rand(rows, len(scale), generator=generator)
        u = u * 1.5 * torch.rand(rows, 1, generator=generator)
        short = (1 - u).clamp(min=0)
        joint = 4 * ((u * weight).mean(1) - 1.0).clamp(min=0) * len(scale) ** 0.5
        value = (weight * (9 * short + 0.3 * u)).sum(1) + joint
        return u * scale, value * 100.0

    network.scale_to(*sample(4096))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        x, y = sample(256)
        ((network(x) - y) / network.value_scale).square().mean().backward()
        optimizer.step()
        if not skips:
            with torch.no_grad():
                network.argument_weight[1].zero_()
                start = sum(HIDDEN) + HIDDEN[-1]
                network.head_bias[start:-1] = 0.0
    arrays = network.export()
    if not skips:
        arrays["output_argument"] = np.zeros_like(arrays["output_argument"])
    return InputConvex.of_arrays(arrays)


def by_item(stage: Stage) -> Stage:
    """The stage problem with each item's whole stock and whole pipeline as arguments."""
    columns = stage.columns
    sums = np.array(
        [
            (columns.item == item) & (columns.kind == kind)
            for item in np.unique(columns.item)
            for kind in np.unique(columns.kind)
        ],
        dtype=float,
    )
    every = stage.arguments
    arguments = AffineMap(
        {name: csr_matrix(sums @ matrix) for name, matrix in every.columns.items()},
        {name: csr_matrix(sums @ matrix) for name, matrix in every.data.items()},
        sums @ every.offset,
    )
    return replace(stage, arguments=arguments, scale=sums @ stage.scale)


def with_omlt(stage: Stage, value: Relu) -> LinearProgram:
    """The same stage problem with OMLT's big-M of the same network."""
    from omlt import OmltBlock
    from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
    from omlt.neuralnet.layer import DenseLayer, InputLayer

    box = value.bounds
    sides = {
        k: (float(low), float(high))
        for k, (low, high) in enumerate(zip(box.argument_lower, box.argument_upper, strict=True))
    }
    definition = NetworkDefinition(scaled_input_bounds=sides)
    before = InputLayer([value.size])
    definition.add_layer(before)
    net = value.network
    output = (net.output_hidden[None], np.array([net.output_bias]))
    weights = [net.argument_weight[0], *net.hidden_weight]
    for weight, bias in (*zip(weights, net.bias, strict=True), output):
        layer = DenseLayer(
            [weight.shape[1]],
            [weight.shape[0]],
            activation="linear" if weight is output[0] else "relu",
            weights=weight.T,
            biases=bias,
        )
        definition.add_layer(layer)
        definition.add_edge(before, layer)
        before = layer
    model = pyo.ConcreteModel()
    model.stage = pyo.Block(concrete=True)
    handles = add_replenishment(model.stage, stage.layout, stage.data)
    model.network = OmltBlock()
    model.network.build_formulation(ReluBigMFormulation(definition))
    expressions = model_columns(stage.arguments, handles)
    model.tie = pyo.Constraint(
        range(value.size), rule=lambda m, k: m.network.inputs[k] == expressions[k]
    )
    model.objective = pyo.Objective(expr=handles.cost + model.network.outputs[0])
    return compile_model(model, handles.data)
