"""Errors of Benders' decomposition; each message is complete by itself."""

from __future__ import annotations

from optrl.errors import OptrlError


class BendersError(OptrlError):
    """Base of everything raised here on purpose."""


class NotTwoStageError(BendersError):
    """The graph is not of two stages, or its numbers do not allow a bound."""
