"""Finding classes by the name they declare, by walking a package.

Files are read and not imported, so that listing names costs nothing, and a file whose imports are
not installed does not hide the others. A class is found by a line of its body, written exactly so:
``name: ClassVar[str] = "..."``.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from optrl.errors import OptrlError


@dataclass(frozen=True)
class Declared:
    """A class that a file declares.

    Attributes:
        module: Full name of its module.
        kind: Name of the class.
    """

    module: str
    kind: str

    def load(self) -> type:
        """Import the class.

        Raises:
            ImportError: If its module needs what is not installed.
        """
        found: type = getattr(importlib.import_module(self.module), self.kind)
        return found


@cache
def declared(package: str, folders: tuple[str, ...], method: str) -> Mapping[str, Declared]:
    """Classes of a package by the name they declare.

    Args:
        package: Full name of the package.
        folders: Its ``__path__``.
        method: A method the class must have of its own; without it, it is a shared part, or
            something that is made otherwise than by name.

    Raises:
        OptrlError: If two classes declare the same name.
    """
    found: dict[str, Declared] = {}
    for folder in folders:
        for module in pkgutil.iter_modules([folder]):
            source = Path(folder, f"{module.name}.py")
            if source.is_file():
                for name, kind in _named_classes(source.read_text(encoding="utf-8"), method):
                    this = Declared(f"{package}.{module.name}", kind)
                    if name in found:
                        raise OptrlError(
                            f"{name!r} names {found[name].module}.{found[name].kind} and "
                            f"{this.module}.{this.kind}: rename one of them"
                        )
                    found[name] = this
    return MappingProxyType(found)


def unknown(what: str, name: str, known: Iterable[str], separator: str = "_") -> str:
    """The message that no class has that name, with the nearest that there are.

    Args:
        what: What is looked for, such as ``"policy"``.
        name: The name given.
        known: All names, in the order to list them.
        separator: Between the words of a name.
    """
    names = tuple(known)
    other = "-" if separator == "_" else "_"
    meant = name.lower().replace(other, separator)
    near = difflib.get_close_matches(meant, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{what} {name!r} is unknown: {hint}choose one of {', '.join(names)}"


def _named_classes(source: str, method: str) -> Iterator[tuple[str, str]]:
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.ClassDef):
            continue
        methods = {x.name for x in statement.body if isinstance(x, ast.FunctionDef)}
        for line in statement.body:
            if (
                method in methods
                and isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and line.target.id == "name"
                and isinstance(line.value, ast.Constant)
                and isinstance(line.value.value, str)
            ):
                yield line.value.value, statement.name
