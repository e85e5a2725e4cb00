"""Small multistage programs with known optima."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optrl.decomposition.sddp import PolicyGraph
from optrl.testbeds.stochastic_programs import PROGRAMS

Graphs = dict[str, Callable[..., PolicyGraph]]


@pytest.fixture(scope="session")
def graphs() -> Graphs:
    """The programs by name."""
    return {name: program.graph for name, program in PROGRAMS.items()}
