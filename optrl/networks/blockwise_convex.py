"""A sum of small input-convex networks, one for each group of arguments and one for all of them.

    f(x) = shift + scale (sum_g f_g(x_g) + f_all(x) + s' x),
    f_g: a_1 = S_1 x + b_1,  a_2 = W phi(a_1) + S_2 x + b_2,  w' phi(a_2),   W, w >= 0

A node's cost depends mostly on its own stock and pipeline; what nodes share, such as scarce stock
above them, is left to the joint part. That needs fewer numbers, and fewer entries in a program,
than a dense network of the same sharpness.

phi is a rectifier smoothed by a parabola on -u < x < u. A network of plain rectifiers has a
gradient that is constant between its kinks, so that gradients as targets would teach its biases
nothing; here they do. For a program `export` puts piecewise-linear functions in phi's place,
each the mean of `kinks` rectifiers: still a convex network, and one whose kinks lie closer
together, so that the corners at which a program decides follow the state smoothly.

Source: Amos, Xu & Kolter (2017), Input convex neural networks, Proceedings of Machine Learning
Research 70; derivatives among the targets: Czarnecki et al. (2017), Sobolev training for neural
networks, NeurIPS 30.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

Arrays = dict[str, NDArray[np.float64]]


class BlockwiseConvexNetwork(nn.Module):
    """See the module's docstring.

    Args:
        arguments: Number of arguments K.
        groups: Arguments of each group.
        group_hidden: Units of the two hidden layers of a group's network.
        joint_hidden: Units of those of the joint network.
        generator: Source of the first weights.
    """

    argument_shift: Tensor
    argument_scale: Tensor
    value_shift: Tensor
    value_scale: Tensor
    sees: Tensor
    joins: Tensor
    skips: Tensor

    def __init__(
        self,
        arguments: int,
        groups: Sequence[Sequence[int]],
        group_hidden: tuple[int, int] = (16, 8),
        joint_hidden: tuple[int, int] = (32, 16),
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        parts = [(list(group), *group_hidden) for group in groups]
        parts.append((list(range(arguments)), *joint_hidden))
        first, second = sum(p[1] for p in parts), sum(p[2] for p in parts)
        sees, joins = torch.zeros(first, arguments), torch.zeros(second, first)
        skips = torch.zeros(second, arguments)
        a = b = 0
        for members, one, two in parts:
            sees[a : a + one, members] = 1
            joins[b : b + two, a : a + one] = 1
            skips[b : b + two, members] = 1
            a, b = a + one, b + two
        for name, mask in (("sees", sees), ("joins", joins), ("skips", skips)):
            self.register_buffer(name, mask, persistent=False)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.first = nn.Parameter(drawn(first, arguments) / _size(sees).sqrt())
        self.second = nn.Parameter(drawn(second, arguments) / _size(skips).sqrt())
        self.first_bias = nn.Parameter(drawn(first))
        self.second_bias = nn.Parameter(drawn(second))
        # softplus(raw) is about 0.13: sums of nonnegative terms stay in range.
        self.hidden_raw = nn.Parameter(0.5 * drawn(second, first) - 2)
        self.output_raw = nn.Parameter(torch.full((second,), -2.0))
        self.linear = nn.Parameter(torch.zeros(arguments))
        self.constant = nn.Parameter(torch.zeros(()))
        for name in ("argument", "value"):
            size = (arguments,) if name == "argument" else ()
            self.register_buffer(f"{name}_shift", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def scale_to(self, arguments: Tensor, values: Tensor) -> None:
        """Set shifts and scales from data: arguments (B, K), values (B,)."""
        for name, data in (("argument", arguments), ("value", values)):
            spread = data.std(dim=0)
            getattr(self, f"{name}_shift").copy_(data.mean(dim=0))
            # What does not vary keeps its unit.
            getattr(self, f"{name}_scale").copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, arguments: Tensor, width: float) -> Tensor:
        """Values at arguments (B, K), shape (B,).

        Args:
            arguments: Shape (B, K).
            width: u, over which a rectifier is smoothed.
        """
        x = (arguments - self.argument_shift) / self.argument_scale
        hidden = smooth(x @ (self.first * self.sees).T + self.first_bias, width)
        before = hidden @ self._hidden().T + x @ (self.second * self.skips).T + self.second_bias
        value = smooth(before, width) @ softplus(self.output_raw) + x @ self.linear + self.constant
        return torch.addcmul(self.value_shift, self.value_scale, value)

    def export(self, width: float, kinks: int) -> Arrays:
        """Arrays of `optrl.values.input_convex.InputConvex`, in float64.

        Args:
            width: u.
            kinks: Rectifiers in place of each smoothed one, evenly spread over -u..u.
        """
        unit, shift = _plain(self.argument_scale), _plain(self.argument_shift)
        scale = float(self.value_scale)
        at = width * ((np.arange(kinks) + 0.5) * 2 / kinks - 1)
        hidden = np.kron(_plain(self._hidden()), np.full((kinks, kinks), 1 / kinks))
        arrays = {"hidden_weight.0": hidden}
        for k, (weight, bias) in enumerate(
            (
                (self.first * self.sees, self.first_bias),
                (self.second * self.skips, self.second_bias),
            )
        ):
            rows = _plain(weight) / unit
            arrays[f"argument_weight.{k}"] = np.repeat(rows, kinks, axis=0)
            offset = _plain(bias) - rows @ shift
            arrays[f"bias.{k}"] = (offset[:, None] - at).ravel()
        out = np.logaddexp(0.0, _plain(self.output_raw)) * scale / kinks
        linear = _plain(self.linear) * scale / unit
        constant = float(self.constant.detach()) * scale + float(self.value_shift)
        constant -= float(linear @ shift)
        return arrays | {
            "output_hidden": np.repeat(out, kinks),
            "output_argument": linear,
            "output_bias": np.array([constant]),
        }

    def _hidden(self) -> Tensor:
        """Nonnegative weights between the layers, divided by the units that are joined."""
        return softplus(self.hidden_raw) * self.joins / _size(self.joins).sqrt()


def smooth(x: Tensor, width: float) -> Tensor:
    """The smoothed rectifier: 0 below -width, x above width, a parabola between."""
    inside = x.clamp(-width, width)
    return (inside + width) ** 2 / (4 * width) + (x - width).clamp(min=0)


def _size(mask: Tensor) -> Tensor:
    return mask.sum(dim=1, keepdim=True).clamp(min=1)


def _plain(tensor: Tensor) -> NDArray[np.float64]:
    return np.array(tensor.detach().cpu().double().numpy())
