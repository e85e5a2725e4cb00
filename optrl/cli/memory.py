"""Refuses samples that do not fit into memory, before they are drawn."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.instance import Instance

_FLOAT = 8
_COPIES = 3
"""Of sampled demand at once: the paths, a transposed copy while they are drawn, single precision
for the simulator, rounded up."""

_RECORDED = 64
"""Numbers of a scenario and period that the simulation records, rounded up."""

_SHARE = 0.8
"""Of the available memory that may be taken; the rest is for everything else."""


def refuse_too_many_scenarios(instance: Instance, scenarios: int, periods: int) -> None:
    """Estimate the memory that sampled demand and its simulation need.

    Args:
        instance: The instance.
        scenarios: Number of scenarios S.
        periods: Number of periods T.

    Raises:
        OptrlError: If they need more than there is; names the largest number that fits.
    """
    available = available_memory()
    if available is None:
        return
    one = bytes_of_scenario(instance, periods)
    fitting = int(_SHARE * available // one)
    if scenarios <= fitting:
        return
    items, nodes = len(instance.network.items), len(instance.demand.nodes)
    advice = f"At most {fitting:,} fit" if fitting else "Not one fits: plan fewer items or periods"
    raise OptrlError(
        f"{scenarios:,} scenarios of {items:,} items at {nodes:,} demand nodes over {periods:,} "
        f"periods need about {_gib(scenarios * one)} of memory, and {_gib(available)} are "
        f"available. {advice}."
    )


def bytes_of_scenario(instance: Instance, periods: int) -> int:
    """Estimated bytes of one scenario."""
    items, nodes = len(instance.network.items), len(instance.demand.nodes)
    paths = _COPIES * items * max(nodes, 1)
    shocks = _COPIES * items
    return _FLOAT * max(periods, 1) * (paths + shocks + _RECORDED)


def available_memory() -> int | None:
    """Bytes that this process may still take; None where the system does not tell."""
    known = [
        size for size in (_unused(), _limit_of_control_group(), _physical()) if size is not None
    ]
    return min(known, default=None)


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on this system
        return None


def _unused() -> int | None:
    """Free memory with what caches would give back, as Linux counts it."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _limit_of_control_group() -> int | None:
    """The limit of a container; "max" stands for none."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"
