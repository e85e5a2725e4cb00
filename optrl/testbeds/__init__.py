"""Test beds: published instances with what is known about them, one file each.

A family of instances is found by walking this package: a module that defines a class with
``name: ClassVar[str] = "..."`` and ``cases`` is a family, without any registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optrl.discovery import declared, unknown
from optrl.errors import OptrlError
from optrl.testbeds.labels import LabelError

if TYPE_CHECKING:
    from collections.abc import Callable

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

    A family that has ``labelled`` offers instances beyond the published ones, whose optimum is not
    known in advance.

    Raises:
        UnknownTestBedError: If there is none; the message suggests the nearest names and states the
            form of labels.
    """
    family = find(name.split("/")[0])
    beds = {bed.name: bed for bed in family.cases()}
    if name in beds:
        return beds[name]
    labelled: Callable[[str], TestBed] | None = getattr(family, "labelled", None)
    if labelled is None:
        raise UnknownTestBedError(unknown("instance", name, beds, "-"))
    try:
        made = labelled(name.partition("/")[2])
    except LabelError as error:
        published = unknown("instance", name, beds, "-")
        raise UnknownTestBedError(f"{published}; or any other: {error}") from error
    except (OptrlError, ValueError) as error:
        raise UnknownTestBedError(f"there is no instance {name!r}: {error}") from error
    return beds.get(made.name, made)
