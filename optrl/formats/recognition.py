"""Which format a file follows: each module of this package that offers `recognizes` and `read`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Protocol, cast

import optrl.formats
from optrl.formats.problem import FormatError, OpenParameters, Problem, read_text

_HEAD = 65536


class Format(Protocol):
    """What a module of this package offers to be a format."""

    def recognizes(self, path: Path, head: str) -> bool:
        """Whether a file with this name and beginning follows the format."""
        ...

    def read(self, path: Path, given: OpenParameters = ...) -> tuple[Problem, ...]:
        """The problems that the file holds, usually one."""
        ...


@cache
def formats() -> Mapping[str, Format]:
    """All formats by module name, found by walking the package."""
    found = {}
    for module in pkgutil.iter_modules(optrl.formats.__path__):
        loaded = importlib.import_module(f"optrl.formats.{module.name}")
        if hasattr(loaded, "recognizes") and hasattr(loaded, "read"):
            found[module.name] = cast(Format, loaded)
    return found


def recognize(path: Path) -> str:
    """Name of the format of a file, or of a stem such as ``LandS`` for LandS.cor, .tim, .sto.

    Raises:
        FormatError: If the file cannot be read, or none or several formats recognize it.
    """
    head = read_text(path)[:_HEAD] if path.exists() else ""
    found = [name for name, module in formats().items() if module.recognizes(path, head)]
    if not found and not path.exists():
        raise FormatError(path, None, "there is no such file", "Check the path.")
    if len(found) != 1:
        which = f"several formats recognize it: {', '.join(found)}" if found else "no known format"
        raise FormatError(path, None, which, f"Known are {', '.join(formats())}.")
    return found[0]


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problems that a file of any known format holds.

    Raises:
        FormatError: If no format recognizes the file or it does not follow its format.
    """
    return formats()[recognize(path)].read(path, given or OpenParameters())
