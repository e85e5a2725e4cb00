"""A stack of dense layers as one differentiable operation.

The same as a chain of matrix products, biases and rectifiers, with the derivative written out: no
intermediate beyond the layers' outputs is kept, gradients are rectified where they stand, and each
product takes the form that is fastest for matrices of a hundred thousand rows and some dozen
columns. That makes learning through a simulator about twice as fast on a processor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def perceptron(
    inputs: Tensor, first: Tensor, biases: list[Tensor], weights: list[Tensor], out: Tensor
) -> Tensor:
    """Dense layers with rectifiers, and one linear output.

    Args:
        inputs: Columns of rows, shape (inputs, G, S, N), contiguous.
        first: Weights of the first layer, shape (inputs, H).
        biases: Of each hidden layer, each of shape (H,) or (G, 1, N, H).
        weights: Of the hidden layers after the first, each of shape (H, H), from row to column.
        out: Weights of the output, shape (H,).

    Returns:
        Shape (G, S, N).
    """
    result: Tensor = _Perceptron.apply(inputs, first, out, *biases, *weights)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
    return result


class _Perceptron(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, first: Tensor, out: Tensor, *rest: Tensor) -> Tensor:
        depth = (len(rest) + 1) // 2
        biases, weights = rest[:depth], rest[depth:]
        rows = inputs.shape[1:]
        flat = inputs.reshape(len(inputs), -1)
        layers = []
        hidden = flat.t() @ first
        for k in range(depth):
            if k:
                hidden = hidden @ weights[k - 1]
            hidden.view(*rows, -1).add_(biases[k])
            layers.append(hidden.relu_())
        ctx.save_for_backward(flat, first, out, *weights, *layers)
        ctx.rows = rows
        ctx.bias_shapes = [bias.shape for bias in biases]
        return (hidden @ out).view(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat, first, out, *rest = ctx.saved_tensors
        depth = (len(rest) + 1) // 2
        weights, layers = rest[: depth - 1], rest[depth - 1 :]
        ahead = gradient.reshape(-1)
        out_gradient = layers[-1].t() @ ahead
        bias_gradients: list[Tensor] = []
        weight_gradients: list[Tensor] = []
        slope = ahead[:, None] * out
        for k in range(depth - 1, -1, -1):
            torch.ops.aten.threshold_backward.grad_input(slope, layers[k], 0, grad_input=slope)
            bias_gradients.append(_reduced(slope, ctx.rows, ctx.bias_shapes[k]))
            if k:
                weight_gradients.append(layers[k - 1].t() @ slope)
                slope = slope @ weights[k - 1].t()
        input_gradient = (
            (first @ slope.t()).view(-1, *ctx.rows) if ctx.needs_input_grad[0] else None
        )
        return (
            input_gradient,
            flat @ slope,
            out_gradient,
            *reversed(bias_gradients),
            *reversed(weight_gradients),
        )


def _reduced(slope: Tensor, rows: torch.Size, shape: torch.Size) -> Tensor:
    """Gradient of a bias of `shape` from that of the layer it is added to."""
    if len(shape) == 1:
        return slope.sum(0)
    whole = slope.view(*rows, -1)
    # Not a view: the caller goes on to write over nothing, but autograd may add into it.
    return whole.clone() if rows[1] == 1 else whole.sum(1, keepdim=True)
