"""Errors of bounds: refused assumptions, and bounds that costs contradict."""

from __future__ import annotations

from optrl.errors import OptrlError


class BoundError(OptrlError):
    """A bound could not be computed."""


class BoundRefusedError(BoundError):
    """A bound rests on an assumption that does not hold here."""


class BoundFaultError(BoundError):
    """A lower bound lies above a simulated cost: one of the two is wrong."""
