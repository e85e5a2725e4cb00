"""Policies, one file each, found by walking this package.

`names` reads the files without importing them, so that listing policies costs no import of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optrl.discovery import declared, unknown
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.policies.base import Policy


class UnknownPolicyError(OptrlError):
    """No policy has that name."""


def names() -> tuple[str, ...]:
    """Names of all policies, ascending."""
    return tuple(sorted(declared(__name__, tuple(__path__), "fit")))


def find(name: str) -> type[Policy]:
    """The policy class called `name`.

    Raises:
        UnknownPolicyError: If there is none; the message suggests the nearest names.
    """
    known = declared(__name__, tuple(__path__), "fit")
    if name not in known:
        raise UnknownPolicyError(unknown("policy", name, sorted(known)))
    policy: Any = known[name].load()
    return policy  # type: ignore[no-any-return]  # its file declares it
