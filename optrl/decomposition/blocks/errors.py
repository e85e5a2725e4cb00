"""Errors of the decomposition over items; each message is complete by itself."""

from __future__ import annotations

from optrl.errors import OptrlError


class BlockError(OptrlError):
    """Base of everything raised here on purpose."""


class NotApplicableError(BlockError):
    """An oracle does not apply to the items it was asked to hold."""


class OutOfTimeError(BlockError):
    """Time was up before an answer."""


class BlockCheckpointError(BlockError):
    """A checkpoint does not belong to the run it is read for."""
