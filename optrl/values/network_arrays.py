"""A `ReluNetwork` as named arrays and back, for files and for what torch modules export."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray

from optrl.values.base import ValueFunctionError, taken


def of_network(network: ReluNetwork) -> dict[str, FloatArray]:
    """Arrays by name; layers are counted from 0."""
    return {
        **{f"argument_weight.{k}": w for k, w in enumerate(network.argument_weight)},
        **{f"hidden_weight.{k}": w for k, w in enumerate(network.hidden_weight)},
        **{f"bias.{k}": b for k, b in enumerate(network.bias)},
        "output_hidden": network.output_hidden,
        "output_argument": network.output_argument,
        "output_bias": np.array([network.output_bias], dtype=np.float64),
    }


def network_of(arrays: Mapping[str, FloatArray]) -> ReluNetwork:
    """The network of such arrays.

    Raises:
        ValueFunctionError: If arrays are missing or do not make a network.
    """
    layers = sum(name.startswith("bias.") for name in arrays)
    bias = taken(arrays, "output_bias")
    if bias.shape != (1,):
        raise ValueFunctionError(f"output_bias has shape {bias.shape}, expected (1,)")
    try:
        return ReluNetwork(
            argument_weight=tuple(taken(arrays, f"argument_weight.{k}") for k in range(layers)),
            hidden_weight=tuple(taken(arrays, f"hidden_weight.{k}") for k in range(layers - 1)),
            bias=tuple(taken(arrays, f"bias.{k}") for k in range(layers)),
            output_hidden=taken(arrays, "output_hidden"),
            output_argument=taken(arrays, "output_argument"),
            output_bias=float(bias[0]),
        )
    except ValueError as error:
        raise ValueFunctionError(str(error)) from error
