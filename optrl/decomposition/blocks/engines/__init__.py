"""Engines, one file each, found by the name they declare."""

from __future__ import annotations

from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.engines.process_pool import ProcessPool
from optrl.decomposition.blocks.errors import BlockError
from optrl.discovery import declared, unknown


def engine_named(name: str, workers: int | None = None) -> Engine:
    """The engine of a name.

    Args:
        name: Such as ``process_pool``.
        workers: For engines that have any.

    Raises:
        BlockError: If there is none of that name.
    """
    known = declared(__name__, tuple(__path__), "ask")
    if name not in known:
        raise BlockError(unknown("engine", name, sorted(known)))
    kind = known[name].load()
    made: Engine = kind(workers) if kind is ProcessPool else kind()
    return made
