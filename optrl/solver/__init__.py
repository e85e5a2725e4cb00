"""Pyomo to `LinearProgram` to HiGHS: compiled once, data pushed in bulk, solved again hot."""

from optrl.solver.compile import compile_model
from optrl.solver.diagnosis import Diagnosis, diagnose
from optrl.solver.errors import (
    CompileError,
    InfeasibleError,
    NoSolutionError,
    NumericalTroubleError,
    PushError,
    SolverError,
    UnboundedError,
)
from optrl.solver.explanation import Conflict, ConflictMember
from optrl.solver.highs import Progress
from optrl.solver.model import Model
from optrl.solver.pool import solve_all
from optrl.solver.progress import progress_line
from optrl.solver.ranging import Ranging
from optrl.solver.solution import Residuals, Solution, Status

__all__ = [
    "CompileError",
    "Conflict",
    "ConflictMember",
    "Diagnosis",
    "InfeasibleError",
    "Model",
    "NoSolutionError",
    "NumericalTroubleError",
    "Progress",
    "PushError",
    "Ranging",
    "Residuals",
    "Solution",
    "SolverError",
    "Status",
    "UnboundedError",
    "compile_model",
    "diagnose",
    "progress_line",
    "solve_all",
]
