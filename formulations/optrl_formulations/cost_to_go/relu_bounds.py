"""Bounds on the activations of a ReLU network over a box, by interval arithmetic.

    lower_l = W_l^+ max(0, lower_{l-1}) + W_l^- max(0, upper_{l-1})
            + S_l^+ x_lower + S_l^- x_upper + b_l

and the mirror image for upper_l. Valid, and the loosest in use; `optrl.values.tightening` makes
them tighter by linear programs. Source: Tjeng, Xiao & Tedrake (2019), Evaluating robustness of
neural networks with mixed integer programming, ICLR, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optrl_formulations.cost_to_go.relu_network import ReluNetwork
from optrl_formulations.network import FloatArray


@dataclass(frozen=True)
class ReluBounds:
    """A box of arguments and what activations lie between on it.

    Attributes:
        argument_lower: Shape (K,), finite.
        argument_upper: Shape (K,), finite.
        lower: Of a_l, by layer, shapes (H_l,).
        upper: Of a_l, by layer, shapes (H_l,).
    """

    argument_lower: FloatArray
    argument_upper: FloatArray
    lower: tuple[FloatArray, ...]
    upper: tuple[FloatArray, ...]

    def stable(self) -> int:
        """Number of units that are on, or off, all over the box."""
        return sum(
            int(((low >= 0) | (high <= 0)).sum())
            for low, high in zip(self.lower, self.upper, strict=True)
        )


def interval_bounds(network: ReluNetwork, lower: FloatArray, upper: FloatArray) -> ReluBounds:
    """Bounds by interval arithmetic on the box lower <= x <= upper.

    Raises:
        ValueError: If the box is not finite or its sides are crossed.
    """
    check_box(network, lower, upper)
    lows: list[FloatArray] = []
    highs: list[FloatArray] = []
    for layer, (skip, shift) in enumerate(zip(network.argument_weight, network.bias, strict=True)):
        low, high = image(skip, lower, upper)
        if layer:
            below = np.maximum(lows[-1], 0.0), np.maximum(highs[-1], 0.0)
            more = image(network.hidden_weight[layer - 1], *below)
            low, high = low + more[0], high + more[1]
        lows.append(low + shift)
        highs.append(high + shift)
    return ReluBounds(lower, upper, tuple(lows), tuple(highs))


def value_bounds(network: ReluNetwork, bounds: ReluBounds) -> tuple[float, float]:
    """Bounds on the network's value over the box of `bounds`."""
    top = np.maximum(bounds.lower[-1], 0.0), np.maximum(bounds.upper[-1], 0.0)
    low, high = image(network.output_hidden[None], *top)
    more = image(network.output_argument[None], bounds.argument_lower, bounds.argument_upper)
    return (
        float(low[0] + more[0][0] + network.output_bias),
        float(high[0] + more[1][0] + network.output_bias),
    )


def image(
    weight: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each row of weight @ x over lower <= x <= upper."""
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    return positive @ lower + negative @ upper, positive @ upper + negative @ lower


def check_box(network: ReluNetwork, lower: FloatArray, upper: FloatArray) -> None:
    """Raise ValueError unless the box has the network's size, is finite and not crossed."""
    for name, side in (("lower", lower), ("upper", upper)):
        if side.shape != (network.size,) or not np.isfinite(side).all():
            raise ValueError(
                f"the {name} side of the box must be {network.size} finite numbers: a big-M "
                "formulation needs bounds on its arguments"
            )
    if (lower > upper).any():
        k = int(np.argmax(lower > upper))
        raise ValueError(f"argument {k}: lower side {lower[k]:g} is above upper side {upper[k]:g}")
