"""Policies, one file each, found by walking this package.

`names` reads the files without importing them, so that listing policies costs no import of torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.policies.base import Policy


class UnknownPolicyError(OptrlError):
    """No policy has that name."""


def names() -> tuple[str, ...]:
    """Names of all policies, ascending."""
    return tuple(sorted(_declared()))


def find(name: str) -> type[Policy]:
    """The policy class called `name`.

    Raises:
        UnknownPolicyError: If there is none; the message suggests the nearest names.
    """
    declared = _declared()
    if name not in declared:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), declared, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise UnknownPolicyError(
            f"policy {name!r} is unknown: {hint}choose one of {', '.join(sorted(declared))}"
        )
    module, kind = declared[name]
    policy: type[Policy] = getattr(importlib.import_module(f"optrl.policies.{module}"), kind)
    return policy


@cache
def _declared() -> dict[str, tuple[str, str]]:
    """Module and class of each policy by its name."""
    found: dict[str, tuple[str, str]] = {}
    for folder in __path__:
        for module in pkgutil.iter_modules([folder]):
            source = Path(folder, f"{module.name}.py")
            if source.is_file():
                for name, kind in _named_classes(source.read_text(encoding="utf-8")):
                    found[name] = (module.name, kind)
    return found


def _named_classes(source: str) -> Iterator[tuple[str, str]]:
    """Names and classes of the source whose body defines ``name`` and ``fit``.

    The name is to be written ``name: ClassVar[str] = "..."``. Classes without `fit` of their own
    are shared parts, or decisions that are given and not found by name.
    """
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.ClassDef):
            continue
        fits = any(isinstance(x, ast.FunctionDef) and x.name == "fit" for x in statement.body)
        for line in statement.body:
            if (
                fits
                and isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and line.target.id == "name"
                and isinstance(line.value, ast.Constant)
                and isinstance(line.value.value, str)
            ):
                yield line.value.value, statement.name
