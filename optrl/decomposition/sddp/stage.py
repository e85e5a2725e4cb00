"""A stage: a linear program with its incoming state as data, its noise, and where it leads.

    V(state, outcome) = min  cost' x + sum_e probability_e * cost_to_go_e(x[exit_e.columns])
                        s.t. the rows of the program at incoming state and outcome

**Outcomes** are seen before the stage decides (as inflow is seen before a reservoir is run).
**Exits** are what the stage may lead to after it has decided: an order is placed before demand is
seen, so that one program holds the order once and sales and stock once an outcome of demand; each
outcome of demand is an exit with a probability. A stage with a single exit knows its outgoing
state when it decides. With exits, the state that cuts are made for is the one before the
decision, which has one entry less than the one after it.

Integers are relaxed: cuts then bound the relaxation, and with it the problem, from below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray, IntArray

from optrl.decomposition.sddp.errors import StageError


@dataclass(frozen=True)
class Outcome:
    """One outcome of what is seen before the stage decides.

    Attributes:
        probability: Given the node.
        data: Values of data blocks by name; every outcome of a stage sets the same blocks.
        cost: Costs of column blocks by name, likewise.
        lower: Lower bounds of column blocks by name, likewise.
        upper: Upper bounds of column blocks by name, likewise.
        program: Which of the stage's programs, for outcomes that change coefficients of rows.
        label: For messages.
    """

    probability: float = 1.0
    data: Mapping[str, FloatArray] = field(default_factory=dict)
    cost: Mapping[str, FloatArray] = field(default_factory=dict)
    lower: Mapping[str, FloatArray] = field(default_factory=dict)
    upper: Mapping[str, FloatArray] = field(default_factory=dict)
    program: int = 0
    label: str = ""


@dataclass(frozen=True)
class Exit:
    """What a stage may lead to after it has decided.

    Attributes:
        columns: Columns of the program that hold the outgoing state, all different, shape (K,).
        probability: Of this exit; the exits of a stage sum to 1.
        cost: The part of the stage's cost that falls only if this exit comes true, as it falls
            then (in the program's cost it stands times the probability), shape (columns,). Needed
            by risk measures over exits; None where nothing is.
        label: For messages.
    """

    columns: IntArray
    probability: float = 1.0
    cost: FloatArray | None = None
    label: str = ""


@dataclass(frozen=True)
class Stage:
    """See the module's docstring.

    Attributes:
        programs: Usually one; several where outcomes change coefficients of rows. They minimize,
            and their columns agree where there are exits.
        incoming: Data blocks that hold the incoming state, one after the other; empty for a
            first stage without one.
        exits: Empty for a last stage.
        outcomes: At least one.
    """

    programs: tuple[LinearProgram, ...]
    incoming: tuple[str, ...] = ()
    exits: tuple[Exit, ...] = ()
    outcomes: tuple[Outcome, ...] = (Outcome(),)

    def __post_init__(self) -> None:
        if not self.programs or not self.outcomes:
            raise StageError("a stage needs a program and an outcome: give Outcome() for no noise")
        for program in self.programs:
            self._check_program(program)
        for what, probability in (
            ("outcomes", [o.probability for o in self.outcomes]),
            ("exits", [e.probability for e in self.exits] or [1.0]),
        ):
            if min(probability) < 0 or abs(sum(probability) - 1) > 1e-9:
                raise StageError(
                    f"probabilities of {what} {probability[:5]}... sum to {sum(probability):.12g}: "
                    "none may be negative and they must sum to 1"
                )
        for outcome in self.outcomes:
            self._check_outcome(outcome)
        width = len(self.programs[0].cost)
        for e in self.exits:
            if len(np.unique(e.columns)) != len(e.columns):
                raise StageError(
                    f"exit {e.label!r} names a column twice: add a column that equals it"
                )
            if len(e.columns) and (e.columns.min() < 0 or e.columns.max() >= width):
                raise StageError(f"exit {e.label!r} names a column beyond the {width} there are")

    def _check_program(self, program: LinearProgram) -> None:
        if program.maximize:
            raise StageError("a stage maximizes: state costs to minimize, their negative")
        if self.exits and len(program.cost) != len(self.programs[0].cost):
            raise StageError("the programs of a stage with exits must have the same columns")
        for name in self.incoming:
            if name not in program.data:
                raise StageError(
                    f"incoming state {name!r} is no data block of the program; it has "
                    f"{sorted(program.data)}. Fix the variable and name it as data when compiling"
                )

    def _check_outcome(self, outcome: Outcome) -> None:
        if not 0 <= outcome.program < len(self.programs):
            raise StageError(
                f"outcome {outcome.label!r} is of program {outcome.program}; there are "
                f"{len(self.programs)}"
            )
        program = self.programs[outcome.program]
        first = self.outcomes[0]
        for kind, blocks in (("data", program.data), *((k, program.columns) for k in _BY_COLUMN)):
            given: Mapping[str, FloatArray] = getattr(outcome, kind)
            if given.keys() != getattr(first, kind).keys():
                raise StageError(
                    f"outcomes {first.label!r} and {outcome.label!r} set different {kind}: every "
                    "outcome must set the same blocks, or one would keep the other's values"
                )
            for name in given:
                if name not in blocks or name in self.incoming:
                    raise StageError(
                        f"outcome {outcome.label!r} sets {kind} of {name!r}, which is "
                        f"{'the incoming state' if name in self.incoming else 'no such block'}; "
                        f"there are {sorted(set(blocks) - set(self.incoming))}"
                    )

    @property
    def state_size(self) -> int:
        """Entries K of the incoming state."""
        return sum(len(self.programs[0].data[name].value) for name in self.incoming)

    @property
    def has_integers(self) -> bool:
        """Whether integers are relaxed."""
        return any(program.has_integers for program in self.programs)

    def relaxed(self) -> tuple[LinearProgram, ...]:
        """The programs with integers relaxed."""
        return tuple(
            replace(p, integrality=np.zeros_like(p.integrality)) if p.has_integers else p
            for p in self.programs
        )

    def state_names(self) -> list[str]:
        """Name of each entry of the incoming state, for messages."""
        data = self.programs[0].data
        return [
            data[name].member_name(k)
            for name in self.incoming
            for k in range(len(data[name].value))
        ]

    def split(self, state: FloatArray) -> dict[str, FloatArray]:
        """The incoming state by data block."""
        parts, start = {}, 0
        for name in self.incoming:
            stop = start + len(self.programs[0].data[name].value)
            parts[name] = state[start:stop]
            start = stop
        return parts


_BY_COLUMN = ("cost", "lower", "upper")
