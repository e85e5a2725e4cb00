"""Learning policies and value functions from simulation; one learner a file.

`names` reads the files without importing them, so that listing learners costs no import of torch
and a learner whose extra is not installed does not hide the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optrl.discovery import declared, unknown
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.learning.base import Learner

_EXTRAS = {"gymnasium": "rl", "stable_baselines3": "rl"}
"""Extra of optrl that brings a package which a learner imports."""


class UnknownLearnerError(OptrlError):
    """No learner has that name."""


def names() -> tuple[str, ...]:
    """Names of all learners, ascending."""
    return tuple(sorted(declared(__name__, tuple(__path__), "begin")))


def find(name: str) -> type[Learner]:
    """The learner class called `name`.

    Raises:
        UnknownLearnerError: If there is none; the message suggests the nearest names.
        OptrlError: If it needs what is not installed.
    """
    known = declared(__name__, tuple(__path__), "begin")
    if name not in known:
        raise UnknownLearnerError(unknown("learner", name, sorted(known)))
    try:
        learner: Any = known[name].load()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        raise OptrlError(
            f"learner {name!r} needs what is not installed here ({error}): "
            f"pip install 'optrl[{extra}]'"
        ) from error
    return learner  # type: ignore[no-any-return]  # its file declares it
