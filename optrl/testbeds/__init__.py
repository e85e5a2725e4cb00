"""Test beds: published instances with what is known about them, one file each.

A family of instances is found by walking this package: a module that defines a class with
``name: ClassVar[str] = "..."`` and ``cases`` is a family, without any registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optrl.discovery import declared, unknown
from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.testbeds.base import Family, TestBed


class UnknownTestBedError(OptrlError):
    """No test bed has that name."""


def names() -> tuple[str, ...]:
    """Names of all families, ascending."""
    return tuple(sorted(declared(__name__, tuple(__path__), "cases")))


def find(name: str) -> type[Family]:
    """The family called `name`.

    Raises:
        UnknownTestBedError: If there is none; the message suggests the nearest names.
    """
    known = declared(__name__, tuple(__path__), "cases")
    if name not in known:
        raise UnknownTestBedError(unknown("test bed", name, known, "-"))
    family: Any = known[name].load()
    return family  # type: ignore[no-any-return]  # its file declares it


def find_bed(name: str) -> TestBed:
    """One test bed by its full name, ``family/case``.

    Raises:
        UnknownTestBedError: If there is none; the message suggests the nearest names.
    """
    family = find(name.split("/")[0])
    beds = {bed.name: bed for bed in family.cases()}
    if name not in beds:
        raise UnknownTestBedError(unknown("instance", name, beds, "-"))
    return beds[name]
