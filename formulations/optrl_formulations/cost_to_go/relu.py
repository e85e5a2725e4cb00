"""A general ReLU network by big-M with one binary for each unit that may be on or off.

    z >= a,   z >= 0,   z <= a - l (1 - d),   z <= u d,   d binary

for each unit whose activation a = W z_below + S x + b may lie on both sides of zero, l < 0 < u.
Units that are on or off all over the box are removed: what they pass on is an affine function of
what lies below, put in their place. Exact for any signs of weights, in any model, minimized or
not; its size is decided by the bounds, see `relu_bounds` (interval arithmetic) and
`optrl.values.tightening` (by linear programs).

Sources: Fischetti & Jo (2018), Deep neural networks and mixed integer linear optimization,
Constraints 23, section 2; Tjeng, Xiao & Tedrake (2019), Evaluating robustness of neural networks
with mixed integer programming, ICLR, equation 6 and section 4 (bounds, stable units); the ideal
formulation of a single unit, of which these rows are the part without cuts: Anderson, Huchette,
Ma, Tjandraatmadja & Vielma (2020), Strong mixed-integer programming formulations for trained
neural networks, Mathematical Programming 183, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optrl_formulations.cost_to_go.linear_terms import as_variables, linear
from optrl_formulations.cost_to_go.relu_bounds import ReluBounds, check_box
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ReluHandles:
    """Components of `add_relu`; members are the (layer, unit) that may be on or off.

    Attributes:
        hidden: ``hidden[layer, unit]``, layers counted from 1.
        on: ``on[layer, unit]``: binary.
        domain: ``domain[k]``: arguments stay in the box the bounds hold on.
        cost: The network's value.
    """

    hidden: pyo.Var
    on: pyo.Var
    domain: pyo.Constraint
    cost: pyo.Expression

    @property
    def data(self) -> tuple[pyo.Var, ...]:
        """Nothing: big-M coefficients follow the biases."""
        return ()


def add_relu(
    block: Any, arguments: Sequence[Any], network: ReluNetwork, bounds: ReluBounds
) -> ReluHandles:
    """Add a ReLU network to `block`.

    Args:
        block: Pyomo block that receives the components.
        arguments: K linear expressions or variables; rows keep them inside the box of `bounds`.
        network: The network.
        bounds: Valid bounds of all activations over that box.

    Raises:
        ValueError: If shapes do not fit, or bounds are crossed.
    """
    _check(network, bounds)
    x = as_variables(block, arguments, network.size)
    reduced = without_stable_units(network, bounds)
    units = [(layer + 1, int(j)) for layer, free in enumerate(reduced.free) for j in free]
    block.hidden = pyo.Var(units, domain=pyo.NonNegativeReals)
    block.on = pyo.Var(units, domain=pyo.Binary)
    known = [*x, *block.hidden.values()]

    def value(coefficients: FloatArray) -> tuple[FloatArray, list[Any]]:
        return coefficients, known[: len(coefficients)]

    row = {unit: k for k, unit in enumerate(units)}
    low, high = reduced.lower, reduced.upper

    def above(b: Any, layer: int, j: int) -> Any:
        k = row[layer, j]
        parts = [(np.ones(1), [b.hidden[layer, j]]), value(-reduced.weight[k])]
        return linear(parts) >= float(reduced.bias[k])

    def below(b: Any, layer: int, j: int) -> Any:
        k = row[layer, j]
        parts = [
            (np.array([1.0, -low[k]]), [b.hidden[layer, j], b.on[layer, j]]),
            value(-reduced.weight[k]),
        ]
        return linear(parts) <= float(reduced.bias[k] - low[k])

    def off(b: Any, layer: int, j: int) -> Any:
        return b.hidden[layer, j] <= float(high[row[layer, j]]) * b.on[layer, j]

    block.above = pyo.Constraint(units, rule=above)
    block.below = pyo.Constraint(units, rule=below)
    block.off = pyo.Constraint(units, rule=off)
    block.domain = pyo.Constraint(
        range(network.size),
        rule=lambda b, k: (
            float(bounds.argument_lower[k]),
            x[k],
            float(bounds.argument_upper[k]),
        ),
    )
    block.cost = pyo.Expression(
        expr=linear([value(reduced.output_weight)], float(reduced.output_bias))
    )
    return ReluHandles(block.hidden, block.on, block.domain, block.cost)


@dataclass(frozen=True)
class ReducedNetwork:
    """A network over its arguments and the units that may be on or off.

    Variables are the K arguments, then these units layer by layer; what a unit takes in involves
    only variables before its layer.

    Attributes:
        free: Positions of these units in each layer.
        weight: Activation of each such unit, shapes (variables of the layers below,).
        bias: Constant of each activation, shape (units,).
        lower: Lower bound of each activation, below 0, shape (units,).
        upper: Upper bound of each activation, above 0, shape (units,).
        output_weight: The network's value, shape (K + units,).
        output_bias: Its constant.
    """

    free: tuple[IntArray, ...]
    weight: tuple[FloatArray, ...]
    bias: FloatArray
    lower: FloatArray
    upper: FloatArray
    output_weight: FloatArray
    output_bias: float


def without_stable_units(network: ReluNetwork, bounds: ReluBounds) -> ReducedNetwork:
    """Put affine functions in the place of units that are on, or off, all over the box."""
    width = network.size
    passed, constant = np.zeros((0, width)), np.zeros(0)
    free: list[IntArray] = []
    rows: list[FloatArray] = []
    biases: list[FloatArray] = []
    for layer, (skip, shift) in enumerate(zip(network.argument_weight, network.bias, strict=True)):
        taken = np.zeros((len(shift), width))
        taken[:, : network.size] = skip
        offset = shift
        if layer:
            weight = network.hidden_weight[layer - 1]
            taken += weight @ passed
            offset = offset + weight @ constant
        low, high = bounds.lower[layer], bounds.upper[layer]
        always: BoolArray = low >= 0
        here: IntArray = np.flatnonzero(~always & (high > 0))
        free.append(here)
        rows.extend(taken[here])
        biases.append(offset[here])
        # What the layer passes on, over the variables with its own free units appended.
        passed = np.zeros((len(shift), width + len(here)))
        passed[always, :width] = taken[always]
        passed[here, width + np.arange(len(here))] = 1.0
        constant = np.where(always, offset, 0.0)
        width += len(here)
    output = network.output_hidden @ passed
    output[: network.size] += network.output_argument
    return ReducedNetwork(
        free=tuple(free),
        weight=tuple(rows),
        bias=np.concatenate(biases),
        lower=np.concatenate([b[k] for b, k in zip(bounds.lower, free, strict=True)]),
        upper=np.concatenate([b[k] for b, k in zip(bounds.upper, free, strict=True)]),
        output_weight=output,
        output_bias=float(network.output_bias + network.output_hidden @ constant),
    )


def _check(network: ReluNetwork, bounds: ReluBounds) -> None:
    check_box(network, bounds.argument_lower, bounds.argument_upper)
    for layer, shift in enumerate(network.bias):
        low, high = bounds.lower[layer], bounds.upper[layer]
        if low.shape != shift.shape or high.shape != shift.shape:
            raise ValueError(f"bounds of layer {layer + 1} must have shape {shift.shape}")
        if not (low <= high).all():
            j = int(np.argmin(low <= high))
            raise ValueError(
                f"layer {layer + 1}, unit {j}: lower bound {low[j]:g} is above upper bound "
                f"{high[j]:g}"
            )
