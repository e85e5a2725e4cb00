"""Errors of stochastic dual dynamic programming; each message is complete by itself."""

from __future__ import annotations

from optrl.errors import OptrlError


class SddpError(OptrlError):
    """Base of everything raised here on purpose."""


class StageError(SddpError):
    """A stage or the graph of stages does not hold together."""


class StageInfeasibleError(SddpError):
    """A stage has no feasible decision at a state that earlier stages can bring about.

    Attributes:
        node: Node of the graph.
        outcome: Label of the outcome of its noise.
    """

    def __init__(self, message: str, node: str, outcome: str) -> None:
        self.node, self.outcome = node, outcome
        super().__init__(message)


class InitialBoundError(SddpError):
    """No valid first bound of a cost-to-go can be derived, or the one given is not proved."""


class CutFileError(SddpError):
    """A file of cuts does not belong to the graph it is loaded for."""
