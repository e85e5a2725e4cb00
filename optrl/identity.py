"""What a result rests on: hashes of an instance, of demand models and of the code.

Two runs with the same hashes, seeds and versions give the same numbers to the last bit on the
same kind of machine.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import platform
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import optrl_formulations

from optrl._version import __version__
from optrl.errors import OptrlError
from optrl.instance import Instance

_PACKAGES = ("numpy", "torch", "highspy", "scipy", "pyomo")
# What shows results and does not make them.
_WITHOUT = ("cli", "report")


class IdentityError(OptrlError):
    """Something cannot be told apart from another of its kind."""


def instance_hash(instance: Instance) -> str:
    """Hash of everything the instance holds, 64 hexadecimal digits."""
    return hash_of(instance)


def hash_of(value: object) -> str:
    """Hash of a value made of data classes, arrays, graphs, containers and scalars.

    Raises:
        IdentityError: If a part is of another kind.
    """
    digest = hashlib.sha256()
    _feed(digest, value, "")
    return digest.hexdigest()


@cache
def code_version() -> str:
    """Version of optrl and the first 16 hexadecimal digits of the hash of its files.

    Weights and tables that ship with the source are as much a part of what computes as it is.
    """
    digest = hashlib.sha256()
    for root in (Path(__file__).parent, Path(inspect.getfile(optrl_formulations)).parent):
        for path in sorted(root.rglob("*")):
            part = path.relative_to(root)
            if part.parts[0] not in _WITHOUT and _is_shipped(path):
                digest.update(part.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{digest.hexdigest()[:16]}"


def _is_shipped(path: Path) -> bool:
    """Whether a path is a file of the package, and no trace of running or editing it."""
    return path.is_file() and path.parent.name != "__pycache__" and path.name[0] != "."


@cache
def library_versions() -> Mapping[str, str]:
    """Versions of Python and of the libraries that compute."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def source_hash(kind: type) -> str:
    """Hash of the file that defines a class, empty for optrl's own, which `code_version` covers.

    Raises:
        IdentityError: If the class was not defined in a file.
    """
    if kind.__module__.split(".")[0] == "optrl":
        return ""
    try:
        source = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError) as error:
        raise IdentityError(
            f"class {kind.__name__!r} is not defined in a file, so that a kept comparison cannot "
            "tell when it changes. Put it into a module, or compare without a folder."
        ) from error
    return hashlib.sha256(source).hexdigest()[:16]


def _feed(digest: Any, value: object, place: str) -> None:
    """Add a value, its type first, so that no two values of different structure look alike."""
    digest.update(f"<{type(value).__name__}>".encode())
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        digest.update(repr(value.item() if isinstance(value, np.generic) else value).encode())
    elif isinstance(value, Enum):
        digest.update(value.name.encode())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, nx.DiGraph):
        _feed(digest, list(value.nodes(data=True)), f"{place}.nodes")
        _feed(digest, list(value.edges(data=True)), f"{place}.edges")
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            _feed(digest, key, place)
            _feed(digest, value[key], f"{place}[{key!r}]")
    elif isinstance(value, (set, frozenset)):
        _feed(digest, sorted(value), place)
    elif isinstance(value, (list, tuple)):
        digest.update(str(len(value)).encode())
        for position, part in enumerate(value):
            _feed(digest, part, f"{place}[{position}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            digest.update(field.name.encode())
            _feed(digest, getattr(value, field.name), f"{place}.{field.name}")
    else:
        raise IdentityError(
            f"{place or 'the value'} is a {type(value).__name__}, of which no hash can be taken: "
            "use data classes, arrays, numbers and texts, or compare without a folder"
        )
