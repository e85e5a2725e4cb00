"""Pyomo to `LinearProgram` to HiGHS: compiled once, data pushed in bulk, solved again hot."""

from optrl.solver.compile import compile_model
from optrl.solver.errors import (
    CompileError,
    InfeasibleError,
    NoSolutionError,
    NumericalTroubleError,
    PushError,
    SolverError,
    UnboundedError,
)
from optrl.solver.highs import Progress
from optrl.solver.model import Model
from optrl.solver.solution import Residuals, Solution, Status

__all__ = [
    "CompileError",
    "InfeasibleError",
    "Model",
    "NoSolutionError",
    "NumericalTroubleError",
    "Progress",
    "PushError",
    "Residuals",
    "Solution",
    "SolverError",
    "Status",
    "UnboundedError",
    "compile_model",
]
