"""Errors of the exact methods."""

from __future__ import annotations

from optrl.errors import OptrlError


class ExactError(OptrlError):
    """An exact method does not apply, or needs more states or iterations than it may use."""
