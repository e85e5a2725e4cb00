"""What a value function must offer; one file each, found by walking this package.

A value function is convex or not, a few numbers or a network: it is evaluated in float64, gives its
gradient, and adds itself exactly to a Pyomo block. What the solver then found for it is compared
with the float64 forward pass by `verify`. The fast path over arrays is `optrl.values.embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pyomo.environ as pyo
from optrl_formulations.network import FloatArray

from optrl.errors import OptrlError

TOLERANCE = 1e-6
"""Largest difference between embedded value and forward pass, relative to max(1, |value|)."""


class ValueFunctionError(OptrlError):
    """A value function's numbers do not fit, or it does not apply where it is used."""


class EmbeddingError(OptrlError):
    """A solver's value of an embedded function is not that of the forward pass."""


@dataclass(frozen=True)
class ValueHandles:
    """What `ValueFunction.add_to` returns.

    Attributes:
        cost: The function's value, to be put into a minimized objective with a positive weight.
        arguments: What it was added for, K linear expressions or variables.
        data: Fixed variables that may be compiled as data and pushed later.
        components: The formulation's own handles.
    """

    cost: Any
    arguments: tuple[Any, ...]
    data: tuple[pyo.Var, ...]
    components: Any


@dataclass(frozen=True)
class Moving:
    """Numbers of an embedding that can be pushed into a compiled program, by component.

    Attributes:
        data: Values of fixed variables.
        cost: Objective coefficients; ``argument`` are those of the arguments themselves.
        upper: Upper bounds of columns.
    """

    data: Mapping[str, FloatArray] = field(default_factory=dict)
    cost: Mapping[str, FloatArray] = field(default_factory=dict)
    upper: Mapping[str, FloatArray] = field(default_factory=dict)


@runtime_checkable
class ValueFunction(Protocol):
    """A function of K arguments, such as the stock, pipeline and backlog after a decision."""

    name: ClassVar[str]
    """Name in files, in lower case with underscores; written in the class body as
    ``name: ClassVar[str] = "..."``, since files are read without being imported."""

    convex: ClassVar[bool]
    """Whether the embedding is an epigraph: exact where it is minimized, without binaries."""

    @property
    def size(self) -> int:
        """Number of arguments K."""
        ...

    def __call__(self, arguments: FloatArray) -> FloatArray:
        """Values at arguments (B, K), shape (B,), in float64."""
        ...

    def gradient(self, arguments: FloatArray) -> FloatArray:
        """Gradient at arguments (B, K), shape (B, K); a subgradient where convex with a kink."""
        ...

    def add_to(self, block: Any, arguments: Sequence[Any]) -> ValueHandles:
        """Add the function to a Pyomo block.

        Args:
            block: Block that receives the components; nothing else may be on it.
            arguments: K linear expressions or variables of the model.
        """
        ...

    def embedded(self, handles: ValueHandles) -> float:
        """The value that the solved Pyomo model holds for it."""
        ...

    def moving(self, built: Self) -> Moving:
        """Numbers to push so that a program compiled for `built` becomes one for this function.

        Raises:
            ValueFunctionError: If more than these numbers differ.
        """
        ...

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays, for files."""
        ...

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, FloatArray]) -> Self:
        """The function of such arrays, all conditions checked.

        Raises:
            ValueFunctionError: If arrays are missing, or do not make such a function.
        """
        ...


def embedded_cost(handles: ValueHandles) -> float:
    """Value of the cost expression of a solved Pyomo model."""
    value = pyo.value(handles.cost, exception=False)
    if value is None:
        raise EmbeddingError("the model holds no solution: solve it and load the values first")
    return float(value)


def argument_values(handles: ValueHandles) -> FloatArray:
    """Values of the arguments in a solved Pyomo model, shape (1, K)."""
    values = [pyo.value(x, exception=False) for x in handles.arguments]
    if any(v is None for v in values):
        raise EmbeddingError("the model holds no solution: solve it and load the values first")
    return np.array([values], dtype=np.float64)


def verify(
    value_function: ValueFunction,
    arguments: FloatArray,
    embedded: FloatArray,
    *,
    tolerance: float = TOLERANCE,
    slack_above: bool = False,
) -> float:
    """Compare what a solver holds for a value function with the float64 forward pass.

    Args:
        value_function: The function that was embedded.
        arguments: Where the solution puts its arguments, shape (B, K).
        embedded: What it holds for the function, shape (B,).
        tolerance: Of the difference, relative to max(1, |value|).
        slack_above: Whether an embedded value above the forward pass is no error: an integer
            program's solution within its gap need not touch an epigraph, and then costs less
            than it says.

    Returns:
        The largest relative difference.

    Raises:
        EmbeddingError: If a difference exceeds the tolerance.
    """
    forward = value_function(np.asarray(arguments, dtype=np.float64))
    difference = (np.asarray(embedded, dtype=np.float64) - forward) / np.maximum(
        1.0, np.abs(forward)
    )
    wrong = ~(np.abs(difference) <= tolerance)
    if slack_above:
        wrong &= ~(difference > 0)
    if wrong.any():
        k = int(np.argmax(np.where(wrong, np.abs(difference), -1.0)))
        raise EmbeddingError(
            f"{value_function.name}: the solver holds {embedded[k]:.12g} where the forward pass "
            f"gives {forward[k]:.12g} (relative difference {difference[k]:.1e}, allowed "
            f"{tolerance:.0e}); the function must have a positive weight in a minimized "
            "objective, and its numbers must be those that were embedded"
        )
    return float(np.abs(difference).max(initial=0.0))


def verify_model(
    value_function: ValueFunction, handles: ValueHandles, *, tolerance: float = TOLERANCE
) -> float:
    """`verify` for a Pyomo model whose solution is loaded."""
    found = np.array([value_function.embedded(handles)])
    return verify(value_function, argument_values(handles), found, tolerance=tolerance)


def points(arguments: FloatArray, size: int) -> FloatArray:
    """Arguments checked to be (B, K), as float64."""
    found = np.asarray(arguments, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != size:
        raise ValueFunctionError(f"arguments have shape {found.shape}, expected (B, {size})")
    return found


def same(names: Mapping[str, tuple[FloatArray, FloatArray]], what: str) -> None:
    """Raise ValueFunctionError where a pair of arrays differs that cannot be pushed."""
    for name, (mine, built) in names.items():
        if mine is not built and not np.array_equal(mine, built):
            raise ValueFunctionError(
                f"{name} of this {what} differs from what the program was compiled with; only "
                "right-hand sides, costs and bounds can be pushed: embed it anew"
            )


def taken(arrays: Mapping[str, FloatArray], name: str) -> FloatArray:
    """One of a value function's arrays, as float64.

    Raises:
        ValueFunctionError: If it is missing.
    """
    if name not in arrays:
        raise ValueFunctionError(f"array {name!r} is missing; there are {sorted(arrays)}")
    return np.array(arrays[name], dtype=np.float64)
