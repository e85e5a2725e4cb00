"""Rows of graph-first tensors: picked as views where their indices allow it.

Inside the simulator a tensor's first dimension runs over nodes or lanes, so that the rows of one
node or lane are contiguous and a run of consecutive rows is a view. `Rows` decides once, when the
simulator is built, how a set of rows is reached: as the whole tensor, as a slice, as one row
broadcast to many, or by an index.

Methods ending in an underscore may reuse the memory of their first argument when gradients are
switched off; with gradients on they never change it.
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import IntArray
from torch import Tensor


class Rows:
    """Positions in the first dimension of a tensor with `size` rows.

    Args:
        index: Row of each member, shape (members,); repeated rows are allowed.
        size: Number of rows of the tensors it is applied to.
    """

    def __init__(self, index: IntArray, size: int) -> None:
        self.index = np.asarray(index, dtype=np.int64)
        self.size = size
        self.tensor = torch.from_numpy(self.index)
        count = len(self.index)
        start = int(self.index[0]) if count else 0
        run = np.arange(start, start + count)
        self.slice = slice(start, start + count) if np.array_equal(self.index, run) else None
        self.whole = self.slice is not None and count == size
        self.single = slice(start, start + 1) if count and (self.index == start).all() else None
        self.distinct = len(np.unique(self.index)) == count

    def __len__(self) -> int:
        return len(self.index)

    def take(self, x: Tensor) -> Tensor:
        """The rows, shape (members, ...); a view, or (1, ...) to broadcast, where possible."""
        if self.whole:
            return x
        if self.slice is not None:
            return x[self.slice]
        if self.single is not None:
            return x[self.single]
        return x.index_select(0, self.tensor)

    def add_(self, x: Tensor, value: Tensor) -> Tensor:
        """`x` with `value` (members, ...) added to its rows; repeated rows add up."""
        if torch.is_grad_enabled():
            if self.whole:
                return x + value
            return x.index_add(0, self.tensor, value.expand(len(self), *x.shape[1:]))
        if self.slice is not None:
            x[self.slice].add_(value)
        else:
            x.index_add_(0, self.tensor, value.expand(len(self), *x.shape[1:]))
        return x

    def put_(self, x: Tensor, value: Tensor) -> Tensor:
        """`x` with its rows, which must be distinct, replaced by `value` (members, ...)."""
        if self.whole:
            return value
        if torch.is_grad_enabled():
            return x.index_copy(0, self.tensor, value.expand(len(self), *x.shape[1:]))
        if self.slice is not None:
            x[self.slice] = value
        else:
            x.index_copy_(0, self.tensor, value.expand(len(self), *x.shape[1:]))
        return x

    def spread(self, value: Tensor) -> Tensor:
        """A tensor of `size` rows with `value` in these distinct rows and zero elsewhere."""
        if self.whole:
            return value
        if self.slice is not None:
            above = value.new_zeros(()).expand(self.slice.start, *value.shape[1:])
            below = value.new_zeros(()).expand(self.size - self.slice.stop, *value.shape[1:])
            return torch.cat([above, value, below])
        return value.new_zeros(self.size, *value.shape[1:]).index_copy(0, self.tensor, value)

    def total(self, value: Tensor) -> Tensor:
        """Sum of the members of each row, shape (size, ...)."""
        if self.whole:
            return value
        if self.size == 1:
            return value.sum(0, keepdim=True)
        return value.new_zeros(self.size, *value.shape[1:]).index_add(0, self.tensor, value)


class Weights:
    """Coefficients by row and item that weigh a tensor (rows, S, N) into k numbers a scenario.

    Args:
        columns: k arrays of shape (N, rows).
        dtype: Floating type.
    """

    def __init__(self, columns: list[np.ndarray], dtype: torch.dtype) -> None:
        rows = [torch.tensor(c.T, dtype=dtype) for c in columns]
        self._flat = torch.stack(rows).flatten(1)
        self._batched = torch.stack(rows, 1).transpose(1, 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Weighted sums over rows and items, shape (S, k)."""
        if x.shape[1] == 1:
            return (self._flat @ x.flatten())[None]
        return torch.bmm(x, self._batched).sum(0)


def graph_first(x: Tensor) -> Tensor:
    """From logical order (S, N, rows) to contiguous graph-first memory (rows, S, N)."""
    return x.permute(2, 0, 1).contiguous()


def items_first(x: Tensor) -> Tensor:
    """The logical view (S, N, rows) of graph-first memory (rows, S, N)."""
    return x.permute(1, 2, 0)
