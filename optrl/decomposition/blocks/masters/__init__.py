"""Masters, one file each, found by the name they declare."""

from __future__ import annotations

from optrl.decomposition.blocks.errors import BlockError
from optrl.decomposition.blocks.master import Master
from optrl.discovery import declared, unknown


def master_named(name: str) -> Master:
    """A master with its own settings.

    Raises:
        BlockError: If there is none of that name.
    """
    known = declared(__name__, tuple(__path__), "propose")
    if name not in known:
        raise BlockError(unknown("master", name, sorted(known)))
    made: Master = known[name].load()()
    return made
