"""Errors of the simulator."""

from __future__ import annotations

from optrl.errors import OptrlError


class SimulationError(OptrlError):
    """The simulator was given something it cannot simulate."""
