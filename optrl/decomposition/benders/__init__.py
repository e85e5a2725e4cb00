"""Benders' decomposition: two-stage stochastic programs with integers in either stage."""

from optrl.decomposition.benders.algorithm import Benders
from optrl.decomposition.benders.errors import BendersError, NotTwoStageError
from optrl.decomposition.benders.events import BendersIterated, BendersSettings, TwoStageResult
from optrl.decomposition.benders.problem import TwoStage

__all__ = [
    "Benders",
    "BendersError",
    "BendersIterated",
    "BendersSettings",
    "NotTwoStageError",
    "TwoStage",
    "TwoStageResult",
]
