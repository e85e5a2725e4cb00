"""Test beds: published instances with what is known about them, one file each.

A family of instances is found by walking this package: a module that defines a class with
``name: ClassVar[str] = "..."`` and ``cases`` is a family, without any registry.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.testbeds.base import Family, TestBed


class UnknownTestBedError(OptrlError):
    """No test bed has that name."""


def names() -> tuple[str, ...]:
    """Names of all families, ascending."""
    return tuple(sorted(_declared()))


def find(name: str) -> type[Family]:
    """The family called `name`.

    Raises:
        UnknownTestBedError: If there is none; the message suggests the nearest names.
    """
    declared = _declared()
    if name not in declared:
        raise _unknown(name, tuple(declared), "test bed")
    module, kind = declared[name]
    family: type[Family] = getattr(importlib.import_module(f"optrl.testbeds.{module}"), kind)
    return family


def find_bed(name: str) -> TestBed:
    """One test bed by its full name, ``family/case``.

    Raises:
        UnknownTestBedError: If there is none; the message suggests the nearest names.
    """
    family = find(name.split("/")[0])
    beds = {bed.name: bed for bed in family.cases()}
    if name not in beds:
        raise _unknown(name, tuple(beds), "instance")
    return beds[name]


def _unknown(name: str, known: tuple[str, ...], what: str) -> UnknownTestBedError:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UnknownTestBedError(
        f"{what} {name!r} is unknown: {hint}choose one of {', '.join(known)}"
    )


@cache
def _declared() -> dict[str, tuple[str, str]]:
    """Module and class of each family by its name, read without importing the modules."""
    found: dict[str, tuple[str, str]] = {}
    for folder in __path__:
        for module in pkgutil.iter_modules([folder]):
            source = Path(folder, f"{module.name}.py").read_text(encoding="utf-8")
            for statement in ast.parse(source).body:
                if not isinstance(statement, ast.ClassDef):
                    continue
                functions = {x.name for x in statement.body if isinstance(x, ast.FunctionDef)}
                for line in statement.body:
                    if (
                        "cases" in functions
                        and isinstance(line, ast.AnnAssign)
                        and isinstance(line.target, ast.Name)
                        and line.target.id == "name"
                        and isinstance(line.value, ast.Constant)
                    ):
                        found[str(line.value.value)] = (module.name, statement.name)
    return found
