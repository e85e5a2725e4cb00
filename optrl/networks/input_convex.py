"""A network convex in its arguments and free in a context, trained in torch, exported to float64.

    a_l = W_l z_{l-1} + S_l x' + b_l(c'),   z_l = max(0, a_l),   W_l = softplus(raw) >= 0
    f(x, c) = shift + scale (w(c')' z_L + s(c')' x' + q(c')),   w = softplus(raw) >= 0

x' and c' are arguments and context, shifted and scaled by buffers that are set from data; the
export folds them in. Without a context b, w, s and q are parameters. Sources: Amos, Xu & Kolter
(2017), Input convex neural networks, Proceedings of Machine Learning Research 70; nonnegative
weights that start small enough to keep signals in range follow the concern of Hoedt & Klambauer
(2023), Principled weight initialisation for input-convex neural networks, NeurIPS 36.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

Arrays = dict[str, NDArray[np.float64]]


class InputConvexNetwork(nn.Module):
    """See the module's docstring.

    Args:
        arguments: Number of arguments K.
        hidden: Units of each hidden layer.
        contexts: Number of context columns C; 0 for a function of the arguments alone.
        context_hidden: Units of each hidden layer of the context's network.
        generator: Source of the first weights.
    """

    argument_shift: Tensor
    argument_scale: Tensor
    context_shift: Tensor
    context_scale: Tensor
    value_shift: Tensor
    value_scale: Tensor

    def __init__(
        self,
        arguments: int,
        hidden: Sequence[int] = (64, 64),
        *,
        contexts: int = 0,
        context_hidden: Sequence[int] = (32,),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.widths = tuple(hidden)
        if not self.widths:
            raise ValueError("an input-convex network needs a hidden layer")
        self.argument_weight = nn.ParameterList(
            nn.Parameter(torch.randn(h, arguments, generator=generator) / math.sqrt(arguments))
            for h in self.widths
        )
        # softplus(raw) is about 1 / (units below), so that sums of nonnegative terms stay in range.
        self.hidden_raw = nn.ParameterList(
            nn.Parameter(
                _softplus_inverse(1.0 / below)
                + 0.1 * torch.randn(above, below, generator=generator)
            )
            for below, above in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        outputs = sum(self.widths) + self.widths[-1] + arguments + 1
        start = torch.zeros(outputs)
        start[: sum(self.widths)] = 0.5 * torch.randn(sum(self.widths), generator=generator)
        start[sum(self.widths) : sum(self.widths) + self.widths[-1]] = _softplus_inverse(
            1.0 / self.widths[-1]
        )
        self.head_bias = nn.Parameter(start)
        sizes = [contexts, *context_hidden, outputs] if contexts else []
        self.context_weight = nn.ParameterList(
            nn.Parameter(
                torch.randn(after, before, generator=generator)
                * (math.sqrt(2.0 / before) if k < len(sizes) - 2 else 0.1 / math.sqrt(before))
            )
            for k, (before, after) in enumerate(itertools.pairwise(sizes))
        )
        self.context_bias = nn.ParameterList(nn.Parameter(torch.zeros(k)) for k in sizes[1:-1])
        for name, size in (("argument", arguments), ("context", contexts)):
            self.register_buffer(f"{name}_shift", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("value_shift", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))

    @property
    def contexts(self) -> int:
        """Number of context columns C."""
        return len(self.context_shift)

    def scale_to(self, arguments: Tensor, values: Tensor, contexts: Tensor | None = None) -> None:
        """Set shifts and scales from data: arguments (B, K), values (B,), contexts (B, C)."""
        parts = [("argument", arguments), ("value", values)]
        if contexts is not None:
            parts.append(("context", contexts))
        for name, data in parts:
            spread = data.std(dim=0)
            getattr(self, f"{name}_shift").copy_(data.mean(dim=0))
            # What does not vary keeps its unit.
            getattr(self, f"{name}_scale").copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, arguments: Tensor, contexts: Tensor | None = None) -> Tensor:
        """Values at arguments (B, K) and contexts (B, C), shape (B,)."""
        x = (arguments - self.argument_shift) / self.argument_scale
        head = self._head(contexts)
        sizes = [*self.widths, self.widths[-1], x.shape[-1], 1]
        *biases, raw, linear, constant = torch.split(head, sizes, dim=-1)
        hidden = x.new_zeros(0)
        for layer, bias in enumerate(biases):
            taken = x @ self.argument_weight[layer].T + bias
            if layer:
                taken = taken + hidden @ softplus(self.hidden_raw[layer - 1]).T
            hidden = relu(taken)
        value = (hidden * softplus(raw)).sum(-1) + (x * linear).sum(-1) + constant[..., 0]
        return torch.addcmul(self.value_shift, self.value_scale, value)

    def _head(self, contexts: Tensor | None) -> Tensor:
        """Biases, raw output weights, linear part and constant at contexts (B, C)."""
        if not self.contexts:
            return self.head_bias
        if contexts is None:
            raise ValueError(f"the network has {self.contexts} context columns: give a context")
        found = (contexts - self.context_shift) / self.context_scale
        for weight, bias in zip(self.context_weight[:-1], self.context_bias, strict=True):
            found = relu(found @ weight.T + bias)
        return torch.nn.functional.linear(found, self.context_weight[-1], self.head_bias)

    def export(self) -> Arrays:
        """Float64 arrays for `optrl.values`.

        Without a context those of `optrl.values.input_convex.InputConvex`, else those of
        `optrl.values.partially_convex.PartiallyConvex`; shifts and scales are folded in.
        """
        unit = _plain(self.argument_scale)
        moved = _plain(self.argument_shift) / unit
        scale, shift = float(self.value_scale), float(self.value_shift)
        skips = [_plain(w) / unit for w in self.argument_weight]
        offsets = [-(_plain(w) @ moved) for w in self.argument_weight]
        arrays = {f"argument_weight.{k}": w for k, w in enumerate(skips)}
        arrays |= {
            f"hidden_weight.{k}": np.logaddexp(0.0, _plain(raw))
            for k, raw in enumerate(self.hidden_raw)
        }
        # An affine map of the head's outputs: biases, raw weights, linear part, constant.
        weights = [_plain(w) for w in self.context_weight]
        last = [*weights[-1:], _plain(self.head_bias)[:, None]]
        matrix = np.concatenate(last, axis=1)
        start, end = sum(self.widths), sum(self.widths) + self.widths[-1]
        matrix[:start, -1] += np.concatenate(offsets)
        matrix[-1] -= moved @ matrix[end:-1]
        matrix[end:-1] *= scale / unit[:, None]
        matrix[-1] *= scale
        matrix[-1, -1] += shift
        if not self.contexts:
            head = matrix[:, 0]
            biases = np.split(head[:start], np.cumsum(self.widths)[:-1])
            return (
                arrays
                | {f"bias.{k}": b for k, b in enumerate(biases)}
                | {
                    "output_hidden": scale * np.logaddexp(0.0, head[start:end]),
                    "output_argument": head[end:-1],
                    "output_bias": head[-1:],
                }
            )
        weights[-1] = matrix[:, :-1]
        biases = [*(_plain(b) for b in self.context_bias), matrix[:, -1]]
        context_unit = _plain(self.context_scale)
        weights[0], biases[0] = fold(
            weights[0], biases[0], _plain(self.context_shift), context_unit
        )
        return (
            arrays
            | {f"context.weight.{k}": w for k, w in enumerate(weights)}
            | {f"context.bias.{k}": b for k, b in enumerate(biases)}
            | {"scale": np.array([scale])}
        )


def fold(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    shift: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias of the affine map that shifts and scales its inputs first."""
    return weight / scale, bias - weight @ (shift / scale)


def _plain(tensor: Tensor) -> NDArray[np.float64]:
    return np.array(tensor.detach().cpu().double().numpy())


def _softplus_inverse(value: float) -> float:
    return math.log(math.expm1(value))
