"""Dual decomposition: two-stage programs with integers, scenario by scenario, joined by prices."""

from optrl.decomposition.dual_decomposition.algorithm import DualDecomposition
from optrl.decomposition.dual_decomposition.events import (
    DualDecompositionError,
    DualIterated,
    DualSettings,
)

__all__ = ["DualDecomposition", "DualDecompositionError", "DualIterated", "DualSettings"]
