"""From a Pyomo model to a `LinearProgram`: once, so that later data are pushed as arrays.

Pyomo's `LinearStandardFormCompiler` walks the expressions; what it returns is rearranged so that
each component is one run of columns or rows, in the component's own order:

* a column for each member of each `Var`, also for those that no row uses;
* a row for each member of each active `Constraint`. Members that say nothing (deactivated,
  without bounds, or constant and satisfied) are empty rows without bounds, so that positions
  stay those of the component. Range rows, which the compiler splits, are one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optrl_formulations.linear_program import Block, DataBlock, LinearProgram
from optrl_formulations.network import BoolArray, FloatArray
from pyomo.common.errors import InfeasibleConstraintException, PyomoException
from pyomo.core import Constraint, Objective, Var, maximize
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy.sparse import csr_matrix

from optrl.solver.errors import CompileError, InfeasibleError

Label = Callable[[str, Any], str]


def index_label(component: str, index: Any) -> str:
    """The default label of a member: its Pyomo index, without the parentheses of a tuple."""
    if index is None:
        return ""
    return ", ".join(map(str, index)) if isinstance(index, tuple) else str(index)


def compile_model(
    model: Any, data: Sequence[Any] = (), *, label: Label = index_label
) -> LinearProgram:
    """Compile a Pyomo model or block once.

    Args:
        model: A concrete model or block with at most one active objective. It is left as it was.
        data: `Var` components that the model fixes: demand, incoming stock, anything that moves
            right-hand sides. They may enter rows and the objective linearly, but not multiply
            other variables. Their values become `DataBlock.value`.
        label: Names a member from the name of its component and its index, for explanations.

    Returns:
        The program; costs are those of minimization, see `LinearProgram.maximize`.

    Raises:
        CompileError: If an expression is not linear, a data or fixed variable has no value, there
            are several active objectives, or a variable is neither continuous nor integer.
        InfeasibleError: If a constraint without any free variable is violated.
    """
    objective = _objective(model)
    slots, columns, rows = _Members(), _Members(), _Members()
    for component in data:
        slots.add(component)
    for component in model.component_objects(Var, active=True, descend_into=True):
        if id(component) not in slots.seen:
            columns.add(component)
    for component in model.component_objects(Constraint, active=True, descend_into=True):
        rows.add(component)
    with _released(slots.members):
        info = _standard_form(model)
    owners = {id(c): c for c in (v.parent_component() for v in info.columns)}
    for key, component in owners.items():
        if key not in slots.seen:
            columns.add(component)

    count = len(columns.members)
    lookup = columns.positions() | slots.positions(count)
    position = np.fromiter((lookup[id(v)] for v in info.columns), np.int32, len(info.columns))
    matrix, row_lower, row_upper = _rows(info, rows, position, count + len(slots.members))
    sign = -1.0 if objective is not None and objective.sense == maximize else 1.0
    cost = np.zeros(count + len(slots.members))
    if objective is not None:
        cost[position] = sign * info.c.toarray()[0]
    column_lower, column_upper, integrality = _bounds(columns.members)
    by_column = matrix.tocsc()
    return LinearProgram(
        cost=cost[:count],
        offset=sign * float(info.c_offset[0]) if objective is not None else 0.0,
        matrix=by_column[:, :count].tocsr() if slots.members else matrix,
        row_lower=row_lower,
        row_upper=row_upper,
        column_lower=column_lower,
        column_upper=column_upper,
        integrality=integrality,
        columns=columns.blocks(label),
        rows=rows.blocks(label),
        data={
            name: DataBlock(
                name=name,
                matrix=by_column[:, count + block.start : count + block.stop],
                cost=cost[count + block.start : count + block.stop],
                value=np.array([_value(v) for v in slots.members[block.slice]]),
                label=block.label,
            )
            for name, block in slots.blocks(label).items()
        },
        maximize=sign < 0,
    )


def _objective(model: Any) -> Any:
    active = list(model.component_data_objects(Objective, active=True, descend_into=True))
    if len(active) > 1:
        names = ", ".join(o.name for o in active)
        raise CompileError(
            f"the model has {len(active)} active objectives ({names}); deactivate all but one"
        )
    return active[0] if active else None


def _standard_form(model: Any) -> Any:
    try:
        return LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    except InfeasibleConstraintException as error:
        raise InfeasibleError(f"{error}: it holds no free variable and is violated") from error
    except (PyomoException, ValueError) as error:
        raise CompileError(
            f"{error} Only linear models compile, and data may not multiply variables."
        ) from error


@contextmanager
def _released(members: Iterable[Any]) -> Iterator[None]:
    """Unfix data for the time of the compilation."""
    fixed = [member for member in members if member.fixed]
    try:
        for member in fixed:
            member.unfix()
        yield
    finally:
        for member in fixed:
            member.fix()


class _Members:
    """Components and their members, each component one run."""

    def __init__(self) -> None:
        self.components: list[Any] = []
        self.members: list[Any] = []
        self.seen: set[int] = set()

    def add(self, component: Any) -> None:
        # A Reference only points at members of another component.
        if id(component) not in self.seen and not component.is_reference():
            self.seen.add(id(component))
            self.components.append(component)
            self.members.extend(component.values())

    def positions(self, offset: int = 0) -> dict[int, int]:
        """Position of each member by its identity."""
        stop = offset + len(self.members)
        return dict(zip(map(id, self.members), range(offset, stop), strict=True))

    def blocks(self, label: Label) -> dict[str, Block]:
        """The runs by fully qualified name."""
        result, start = {}, 0
        for component in self.components:
            name = component.name
            stop = start + len(component)
            result[name] = Block(name, start, stop, _Labels(name, list(component.keys()), label))
            start = stop
        return result


class _Labels:
    """Label of the k-th member of a component."""

    def __init__(self, name: str, index: Sequence[Any], label: Label) -> None:
        self._name, self._index, self._label = name, index, label

    def __call__(self, position: int) -> str:
        return self._label(self._name, self._index[position])


def _rows(
    info: Any, rows: _Members, position: NDArray[np.int32], width: int
) -> tuple[csr_matrix, FloatArray, FloatArray]:
    """Rows in component order, with columns moved to `position` and split ranges merged."""
    lookup = rows.positions()
    compiled = len(info.rows)
    place = np.fromiter((lookup[id(r.constraint)] for r in info.rows), np.int64, compiled)
    side = np.fromiter((r.bound_type for r in info.rows), np.int64, compiled)
    rhs = np.asarray(info.rhs, dtype=np.float64)
    lower = np.full(len(rows.members), -np.inf)
    upper = np.full(len(rows.members), np.inf)
    lower[place[side <= 0]] = rhs[side <= 0]
    upper[place[side >= 0]] = rhs[side >= 0]
    source = np.full(len(rows.members), -1, dtype=np.int64)
    source[place] = np.arange(compiled)
    filled = source >= 0
    picked = info.A.tocsr()[source[filled]]
    start = np.zeros(len(source) + 1, dtype=np.int64)
    start[1:][filled] = np.diff(picked.indptr)
    matrix = csr_matrix(
        (picked.data, position[picked.indices], np.cumsum(start)), (len(source), width)
    )
    matrix.sort_indices()
    return matrix, lower, upper


def _bounds(members: Sequence[Any]) -> tuple[FloatArray, FloatArray, BoolArray]:
    lower, upper = np.full(len(members), -np.inf), np.full(len(members), np.inf)
    integrality = np.zeros(len(members), dtype=np.bool_)
    for k, member in enumerate(members):
        if member.fixed:
            lower[k] = upper[k] = _value(member)
            continue
        low, high = member.bounds
        if low is not None:
            lower[k] = low
        if high is not None:
            upper[k] = high
        if not member.is_continuous():
            if not member.is_integer():
                raise CompileError(
                    f"variable {member.name} has domain {member.domain}: use a continuous, "
                    "integer or binary domain"
                )
            integrality[k] = True
    return lower, upper, integrality


def _value(member: Any) -> float:
    if member.value is None:
        raise CompileError(f"variable {member.name} is fixed or data, but has no value: set one")
    return float(member.value)
