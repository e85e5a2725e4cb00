"""Stochastic dual dynamic programming: convex problems over time, with a bound that is proved."""

from optrl.decomposition.sddp.algorithm import Sddp, SddpSettings
from optrl.decomposition.sddp.cut_file import load_cuts, save_cuts
from optrl.decomposition.sddp.errors import (
    CutFileError,
    InitialBoundError,
    SddpError,
    StageError,
    StageInfeasibleError,
)
from optrl.decomposition.sddp.events import Iterated, SddpResult, Stopping
from optrl.decomposition.sddp.fingerprint import fingerprint
from optrl.decomposition.sddp.forward import GivenPolicy, ImportanceSampling, OwnPolicy
from optrl.decomposition.sddp.graph import PolicyGraph
from optrl.decomposition.sddp.outcomes import DemandOutcomes, group_by_means, independent_product
from optrl.decomposition.sddp.policy_forward import replenishment_policy
from optrl.decomposition.sddp.pyomo_stage import pyomo_stage
from optrl.decomposition.sddp.replenishment import (
    markovian_replenishment_graph,
    replenishment_graph,
)
from optrl.decomposition.sddp.risk import RiskMeasure
from optrl.decomposition.sddp.simulate import Estimate
from optrl.decomposition.sddp.stage import Exit, Outcome, Stage
from optrl.decomposition.sddp.training import train
from optrl.decomposition.sddp.two_stage import two_stage_graph

__all__ = [
    "CutFileError",
    "DemandOutcomes",
    "Estimate",
    "Exit",
    "GivenPolicy",
    "ImportanceSampling",
    "InitialBoundError",
    "Iterated",
    "Outcome",
    "OwnPolicy",
    "PolicyGraph",
    "RiskMeasure",
    "Sddp",
    "SddpError",
    "SddpResult",
    "SddpSettings",
    "Stage",
    "StageError",
    "StageInfeasibleError",
    "Stopping",
    "fingerprint",
    "group_by_means",
    "independent_product",
    "load_cuts",
    "markovian_replenishment_graph",
    "pyomo_stage",
    "replenishment_graph",
    "replenishment_policy",
    "save_cuts",
    "train",
    "two_stage_graph",
]
