"""Rows of graph-first tensors: picked as views where their indices allow it.

Inside the simulator a tensor's first dimension runs over nodes or lanes, so that the rows of one
node or lane are contiguous and a run of consecutive rows is a view. `Rows` decides once, when the
simulator is built, how a set of rows is reached: as the whole tensor, as a slice, as one row
broadcast to many, or by an index. Only the last copies (`Rows.copies`).

Methods ending in an underscore may reuse the memory of their first argument when gradients are
switched off; with gradients on they never change it.
"""

from __future__ import annotations

import numpy as np
import torch
from optrl_formulations.network import FloatArray, IntArray
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
        self.copies = self.slice is None and self.single is None

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

    def add_(self, x: Tensor, value: Tensor, sign: int = 1) -> Tensor:
        """`x` with ``sign * value`` (members, ...) added to its rows; repeated rows add up."""
        if torch.is_grad_enabled():
            if self.whole:
                return torch.add(x, value, alpha=sign)
            value = value.expand(len(self), *x.shape[1:])
            return x.index_add(0, self.tensor, value, alpha=sign)
        if self.slice is not None:
            x[self.slice].add_(value, alpha=sign)
        else:
            value = value.expand(len(self), *x.shape[1:])
            x.index_add_(0, self.tensor, value, alpha=sign)
        return x

    def scale_(self, x: Tensor, factor: Tensor) -> Tensor:
        """`x` with its rows, which must be distinct, multiplied by `factor`."""
        if self.whole and not torch.is_grad_enabled():
            return x.mul_(factor)
        if self.slice is not None and not torch.is_grad_enabled():
            x[self.slice].mul_(factor)
            return x
        return self.put_(x, self.take(x) * factor)

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
        """A new tensor of `size` rows: `value` in these distinct rows and zero elsewhere."""
        if self.whole:
            return value.clone()
        if self.slice is not None:
            if torch.is_grad_enabled():
                above = value.new_zeros(self.slice.start, *value.shape[1:])
                below = value.new_zeros(self.size - self.slice.stop, *value.shape[1:])
                return torch.cat([above, value, below])
            result = value.new_empty(self.size, *value.shape[1:])
            result[: self.slice.start] = 0
            result[self.slice] = value
            result[self.slice.stop :] = 0
            return result
        return value.new_zeros(self.size, *value.shape[1:]).index_copy(0, self.tensor, value)

    def total(self, value: Tensor) -> Tensor:
        """Sum of the members of each row, shape (size, ...)."""
        if self.whole:
            return value
        if self.size == 1:
            return value.sum(0, keepdim=True)
        return value.new_zeros(self.size, *value.shape[1:]).index_add(0, self.tensor, value)


class Weights:
    """Coefficients by row and item that weigh a tensor (rows, S, N) into a number a scenario.

    Rows whose coefficients are all zero are not read.

    Args:
        coefficients: Shape (N, rows).
        dtype: Floating type.
    """

    def __init__(self, coefficients: FloatArray, dtype: torch.dtype) -> None:
        present = np.flatnonzero(coefficients.any(axis=0))
        run = slice(int(present[0]), int(present[-1]) + 1) if len(present) else slice(0, 0)
        self.any = bool(len(present))
        self._rows = Rows(np.arange(run.start, run.stop), coefficients.shape[1])
        self._values = torch.tensor(coefficients[:, run].T, dtype=dtype).contiguous()
        self._flat = self._values.flatten()

    def __call__(self, x: Tensor) -> Tensor:
        """Weighted sum over rows and items, shape (S,)."""
        x = self._rows.take(x)
        if x.shape[1] == 1 and x.is_contiguous():
            return torch.dot(self._flat, x.view(-1))[None]
        return by_scenario(x * self._values[:, None])


def by_scenario(x: Tensor) -> Tensor:
    """Sum over rows and items of (rows, S, N), shape (S,)."""
    # Reducing both dimensions at once is slow where the last one is short.
    return x.sum(0).sum(1) if 1 < x.shape[2] < 512 else x.sum((0, 2))


def graph_first(x: Tensor) -> Tensor:
    """From logical order (S, N, rows) to contiguous graph-first memory (rows, S, N)."""
    return x.permute(2, 0, 1).contiguous()


def items_first(x: Tensor) -> Tensor:
    """The logical view (S, N, rows) of graph-first memory (rows, S, N)."""
    return x.permute(1, 2, 0)
