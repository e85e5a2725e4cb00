"""An input-convex ReLU network as its exact epigraph: a linear program without binaries.

    minimize  w' z_L + s' x + c
    subject to  z_l >= W_l z_{l-1} + S_l x + b_l,   z_l >= 0,   l = 1, ..., L

With W_l >= 0 and w >= 0 no z above the network's own activation can lower the cost, so that the
minimum over z is the network's value at every x. Conversely the cost is at least that value
wherever z is feasible: the epigraph of the network, with no bound to guess, since z >= 0 is the
activation's own. Which x are allowed, and so whether the model is bounded, is its owner's
concern.

Biases and the output's constant are fixed variables (data), so that a network whose biases follow
a context can be moved by pushing right-hand sides; the output weights are costs. A network that
is partially convex (free in a context) is evaluated at its context beforehand and passed as plain
arrays.

Source: Amos, Xu & Kolter (2017), Input convex neural networks, Proceedings of Machine Learning
Research 70, proposition 1 and section 4; partially convex: their equation 3. The epigraph of a
composition of convex nondecreasing functions: Boyd & Vandenberghe, Convex Optimization (2004),
section 3.2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optrl_formulations.cost_to_go.linear_terms import as_variables, linear
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class IcnnHandles:
    """Components of `add_icnn`.

    Attributes:
        hidden: ``hidden[layer, unit]``, layers counted from 1.
        activation: ``activation[layer, unit]``: hidden units are at least their activation.
        bias: ``bias[layer, unit]``: fixed, data.
        constant: The output's constant: fixed, data.
        cost: The network's value, to be put into the objective (minimized) with a positive weight.
    """

    hidden: pyo.Var
    activation: pyo.Constraint
    bias: pyo.Var
    constant: pyo.Var
    cost: pyo.Expression

    @property
    def data(self) -> tuple[pyo.Var, ...]:
        """The fixed variables."""
        return self.bias, self.constant


def add_icnn(block: Any, arguments: Sequence[Any], network: ReluNetwork) -> IcnnHandles:
    """Add the epigraph of an input-convex network to `block`.

    Args:
        block: Pyomo block that receives the components.
        arguments: K linear expressions or variables; each expression gets a variable
            ``argument[k]`` of its own, so that the network's rows stay short.
        network: The network, see `check_convex`.

    Raises:
        ValueError: If a weight that must be nonnegative is not, or the number of arguments differs.
    """
    check_convex(network)
    x = as_variables(block, arguments, network.size)
    units = network.units
    block.hidden = pyo.Var(units, domain=pyo.NonNegativeReals)
    block.bias = pyo.Var(units)
    block.constant = pyo.Var()
    for (layer, j), member in zip(units, block.bias.values(), strict=True):
        member.fix(float(network.bias[layer - 1][j]))
    block.constant.fix(float(network.output_bias))

    def row(b: Any, layer: int, j: int) -> Any:
        terms = [(network.argument_weight[layer - 1][j], x)]
        if layer > 1:
            below = [b.hidden[layer - 1, i] for i in range(len(network.bias[layer - 2]))]
            terms.append((network.hidden_weight[layer - 2][j], below))
        parts = [(-c, v) for c, v in terms]
        parts.append((np.array([1.0, -1.0]), [b.hidden[layer, j], b.bias[layer, j]]))
        return linear(parts) >= 0

    block.activation = pyo.Constraint(units, rule=row)
    last = len(network.bias)
    top = [block.hidden[last, j] for j in range(len(network.output_hidden))]
    block.cost = pyo.Expression(
        expr=linear(
            [
                (network.output_hidden, top),
                (network.output_argument, x),
                (np.ones(1), [block.constant]),
            ]
        )
    )
    return IcnnHandles(block.hidden, block.activation, block.bias, block.constant, block.cost)


def check_convex(network: ReluNetwork) -> None:
    """Raise ValueError unless hidden and output weights are nonnegative.

    These are the conditions under which the network is convex in its arguments and the epigraph is
    exact; argument weights and biases are free.
    """
    named: list[tuple[str, FloatArray]] = [
        (f"hidden_weight of layer {k + 2}", w) for k, w in enumerate(network.hidden_weight)
    ]
    for name, weight in [*named, ("output_hidden", network.output_hidden)]:
        if (weight < 0).any():
            place = tuple(int(k) for k in np.argwhere(weight < 0)[0])
            raise ValueError(
                f"{name} is {weight[place]:g} at {place}: weights on hidden units must be "
                "nonnegative for the epigraph to be exact; train it so, or embed it by `relu`"
            )
