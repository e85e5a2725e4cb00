"""A stage from a Pyomo block: the user's own model, compiled once.

The block fixes its incoming state and its noise (`Var.fix`), declares the outgoing state as
variables, and has one objective, the stage's own cost. All else follows from the compiled arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import IntArray

from optrl.decomposition.sddp.errors import StageError
from optrl.decomposition.sddp.stage import Exit, Outcome, Stage
from optrl.solver import compile_model


def pyomo_stage(
    block: Any,
    *,
    incoming: Sequence[Any] = (),
    outgoing: Sequence[Any] = (),
    noise: Sequence[Any] = (),
    outcomes: Sequence[Outcome] = (Outcome(),),
) -> Stage:
    """Compile a block into a stage with one exit, or none.

    Args:
        block: Concrete model or block with an objective to minimize.
        incoming: Fixed variables (components, in the order of the state).
        outgoing: Variables that are the state of the next stage, in the same order; components
            or members. Empty for a last stage.
        noise: Fixed variables that outcomes set, by their names in `Outcome.data`.
        outcomes: What may be seen before the stage decides.

    Raises:
        StageError: If an outgoing state is fixed or no variable of the block, or an outcome does
            not fit.
        optrl.solver.CompileError: If the block is not linear, or data multiply variables.
    """
    program = compile_model(block, [*incoming, *noise])
    names = tuple(component.name for component in incoming)
    exits = (Exit(_positions(program, outgoing)),) if outgoing else ()
    return Stage((program,), names, exits, tuple(outcomes))


def _positions(program: LinearProgram, outgoing: Sequence[Any]) -> IntArray:
    positions = []
    for member in _members(outgoing):
        component = member.parent_component()
        block = program.columns.get(component.name)
        if block is None:
            raise StageError(
                f"outgoing state {member.name!r} is no free variable of the stage: an outgoing "
                "state that is decided before goes through a variable of its own with an equality"
            )
        place = [id(other) for other in component.values()].index(id(member))
        positions.append(block.start + place)
    return np.array(positions, dtype=np.int64)


def _members(components: Sequence[Any]) -> Iterator[Any]:
    for component in components:
        if component.is_indexed():
            yield from component.values()
        else:
            yield component
