"""Value functions inside a program of arrays: compiled once, moved by pushing data.

A value function is added to a Pyomo block of its own once, compiled, and joined to a program that
was built without Pyomo (`optrl_formulations.joining`), once for each copy: each outcome of a
scenario tree, or each item where one network serves all. Later contexts, slopes or biases are
pushed as right-hand sides, costs and bounds; nothing is built again. After each solve
`Embedding.check` compares what the solver holds with the float64 forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
from optrl_formulations.joining import AffineMap, copies, join
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray

from optrl.solver import Model, Solution, Status, compile_model
from optrl.values.base import TOLERANCE, Moving, ValueFunction, ValueFunctionError, verify


@dataclass(frozen=True)
class Embedding:
    """A program with value functions in it.

    Attributes:
        program: To be loaded into a `Model`.
        values: One for each copy, as the program was built.
        arguments: Of all copies, M * K expressions of the base program, copy after copy.
        weight: Of each copy in the objective, shape (M,).
        part: The value function's own columns and rows, of all copies, compiled.
        name: Prefix of its blocks.
    """

    program: LinearProgram
    values: tuple[ValueFunction, ...]
    arguments: AffineMap
    weight: FloatArray
    part: LinearProgram
    name: str

    def push(self, model: Model, values: ValueFunction | Sequence[ValueFunction]) -> Embedding:
        """Move a loaded program to other value functions of the same structure.

        Args:
            model: Holds `program`.
            values: One for all copies, or one for each.

        Returns:
            The embedding to check later solutions with.

        Raises:
            ValueFunctionError: If they differ in more than can be pushed.
        """
        given = _each(values, len(self.weight))
        for (kind, component), numbers in _moved(given, self.values).items():
            block = _full(self.name, component)
            if kind == "data":
                model.push_data(block, numbers.ravel())
            elif kind == "cost":
                model.push_cost(block, (self.weight[:, None] * numbers).ravel())
            else:
                model.push_bounds(block, upper=numbers.ravel())
        return replace(self, values=given)

    def points(self, model: Model, solution: Solution) -> FloatArray:
        """Where a solution puts the arguments, shape (M, K)."""
        columns = {name: solution.values(name) for name in self.arguments.columns}
        return self.arguments.evaluate(columns, model.data).reshape(len(self.weight), -1)

    def embedded(self, model: Model, solution: Solution) -> FloatArray:
        """What a solution holds for each copy, shape (M,)."""
        total = np.full(len(self.weight), self.part.offset)
        for name in self.part.columns:
            if name in solution.solved.columns:
                block = solution.solved.columns[name]
                cost = solution.solved.cost[block.slice] * solution.x[block.slice]
                total += cost.reshape(len(self.weight), -1).sum(axis=1)
        for name, data in self.part.data.items():
            cost = data.cost * model.data[name]
            total += cost.reshape(len(self.weight), -1).sum(axis=1)
        return total / self.weight

    def check(self, model: Model, solution: Solution, *, tolerance: float = TOLERANCE) -> float:
        """Compare what a solution holds with the float64 forward pass.

        A solution that is not proved optimal, or of an integer program, may leave slack above an
        epigraph: its true cost is then lower than it says, which is no error.

        Returns:
            The largest relative difference.

        Raises:
            EmbeddingError: If one exceeds the tolerance.
        """
        found, held = self.points(model, solution), self.embedded(model, solution)
        exact = solution.status is Status.OPTIMAL and not solution.program.has_integers
        worst = 0.0
        one = all(value is self.values[0] for value in self.values)
        groups = [slice(None)] if one else [slice(m, m + 1) for m in range(len(self.values))]
        for group, value in zip(groups, self.values, strict=False):
            above = value.convex and not exact
            difference = verify(
                value, found[group], held[group], tolerance=tolerance, slack_above=above
            )
            worst = max(worst, difference)
        return worst


def embed(
    base: LinearProgram,
    values: ValueFunction | Sequence[ValueFunction],
    arguments: AffineMap,
    weight: FloatArray | None = None,
    *,
    name: str = "value",
) -> Embedding:
    """Put value functions into a program of arrays.

    Args:
        base: The program, which minimizes, such as one of `build_replenishment`.
        values: One for all copies, or one for each; all of one structure (`moving`).
        arguments: M * K expressions, copy after copy, such as of
            `optrl.values.program_state.program_columns`.
        weight: Of each copy, shape (M,), positive: probability times discount; ones when None.
        name: Prefix of its blocks; another one for each embedding in the same program.

    Raises:
        ValueFunctionError: If sizes do not fit or structures differ.
    """
    first = values if isinstance(values, ValueFunction) else values[0]
    number, rest = divmod(len(arguments), first.size)
    if rest or not number:
        raise ValueFunctionError(
            f"{len(arguments)} expressions are no multiple of the function's {first.size} arguments"
        )
    weight = np.ones(number) if weight is None else np.asarray(weight, dtype=np.float64)
    if weight.shape != (number,):
        raise ValueFunctionError(f"{number} copies need as many weights, found {weight.shape}")
    given = _each(values, number)
    part = copies(_compiled(first, name), weight)
    part = _with(part, _moved(given, given[:1] * number), weight, name)
    moves_argument_costs = "argument" in first.moving(first).cost
    program = join(
        base,
        part,
        arguments,
        name=_argument(name),
        tie=f"{name}.tie",
        substitute=not moves_argument_costs,
    )
    return Embedding(program, given, arguments, weight, part, name)


def _argument(name: str) -> str:
    return f"{name}_argument"


def _full(name: str, component: str) -> str:
    return _argument(name) if component == "argument" else f"{name}.{component}"


def _compiled(value: ValueFunction, name: str) -> LinearProgram:
    model = pyo.ConcreteModel()
    arguments = pyo.Var(range(value.size))
    model.add_component(_argument(name), arguments)
    block = pyo.Block(concrete=True)
    model.add_component(name, block)
    handles = value.add_to(block, list(arguments.values()))
    model.objective = pyo.Objective(expr=handles.cost)
    return compile_model(model, handles.data)


def _each(
    values: ValueFunction | Sequence[ValueFunction], number: int
) -> tuple[ValueFunction, ...]:
    given = (values,) * number if isinstance(values, ValueFunction) else tuple(values)
    if len(given) != number:
        raise ValueFunctionError(f"{len(given)} value functions were given for {number} copies")
    return given


Moves = Mapping[tuple[str, str], FloatArray]


def _moved(values: Sequence[ValueFunction], built: Sequence[ValueFunction]) -> Moves:
    """Numbers of all copies by (what, component), shapes (M, size)."""
    known: dict[int, Moving] = {}
    for value, other in zip(values, built, strict=True):
        if type(value) is not type(other):
            raise ValueFunctionError(f"a {value.name} function cannot replace {other.name}")
        if id(value) not in known:
            known[id(value)] = value.moving(other)
    moves = [known[id(value)] for value in values]
    first = moves[0]
    return {
        (kind, component): np.stack([getattr(move, kind)[component] for move in moves])
        for kind in ("data", "cost", "upper")
        for component in getattr(first, kind)
    }


def _with(part: LinearProgram, moves: Moves, weight: FloatArray, name: str) -> LinearProgram:
    """A part with the numbers of each copy in place."""
    cost, upper, data = part.cost.copy(), part.column_upper.copy(), dict(part.data)
    for (kind, component), numbers in moves.items():
        full = _full(name, component)
        if kind == "data":
            data[full] = replace(data[full], value=numbers.ravel())
        elif kind == "cost":
            cost[part.columns[full].slice] = (weight[:, None] * numbers).ravel()
        else:
            upper[part.columns[full].slice] = numbers.ravel()
    return replace(part, cost=cost, column_upper=upper, data=data)
