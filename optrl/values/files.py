"""Value functions in files: safetensors with what they are of, checked when read.

The document beside the arrays names the kind of function and, where there is one, the state its
arguments are taken from (`optrl.values.state_columns`), so that a function is not put on a state of
another shape. Reading runs no code from the file.
"""

from __future__ import annotations

import os
from typing import Protocol, cast

import numpy as np
import torch
from optrl_formulations.network import FloatArray

from optrl.discovery import declared, unknown
from optrl.networks.tensor_file import read_tensor_file, write_tensor_file
from optrl.values import __path__ as _folders
from optrl.values.base import ValueFunctionError
from optrl.values.state_columns import StateColumns

_KIND = "optrl value function"
_VERSION = 1


class Stored(Protocol):
    """What can be written: a value function, or a model that gives one at a context."""

    @property
    def name(self) -> str:
        """Name of the kind."""
        ...

    def arrays(self) -> dict[str, FloatArray]:
        """All its numbers as float64 arrays."""
        ...


def save_value(
    path: str | os.PathLike[str], value: Stored, columns: StateColumns | None = None
) -> None:
    """Write a value function; the file appears whole or not at all.

    Args:
        path: The file.
        value: A value function, `PartiallyConvex` or `SlopeModel`.
        columns: The state its arguments are.

    Raises:
        OptrlError: If it cannot be written.
    """
    # Arrays may share memory, or be views of larger ones.
    arrays = {k: np.ascontiguousarray(v, dtype=np.float64) for k, v in value.arrays().items()}
    document = {
        "version": _VERSION,
        "name": value.name,
        "columns": None if columns is None else columns.document(),
    }
    tensors = {k: torch.from_numpy(v.copy()) for k, v in arrays.items()}
    write_tensor_file(path, _KIND, tensors, document)


def load_value(path: str | os.PathLike[str]) -> tuple[Stored, StateColumns | None]:
    """Read what `save_value` wrote.

    Returns:
        The function, whose class is found by the name it was saved under, and its columns.

    Raises:
        OptrlError: If the file is damaged, holds something else, or its numbers break a condition
            of the function (signs, shapes, finite).
    """
    tensors, document = read_tensor_file(path, _KIND)
    if document.get("version") != _VERSION:
        raise ValueFunctionError(
            f"{path} is of version {document.get('version')!r}; this program reads {_VERSION}"
        )
    kinds = declared("optrl.values", tuple(_folders), "of_arrays")
    name = str(document.get("name"))
    if name not in kinds:
        raise ValueFunctionError(f"{path}: {unknown('value function', name, sorted(kinds))}")
    arrays = {}
    for key, tensor in tensors.items():
        if tensor.dtype != torch.float64:
            raise ValueFunctionError(f"{path}: array {key!r} is {tensor.dtype}, not float64")
        arrays[key] = tensor.numpy().copy()
    kind = kinds[name].load()
    columns = document.get("columns")
    try:
        value = cast(Stored, kind.of_arrays(arrays))  # type: ignore[attr-defined] # by its name
    except ValueFunctionError as error:
        raise ValueFunctionError(f"{path}: {error}") from error
    extra = sorted(arrays.keys() - value.arrays().keys())
    if extra:
        raise ValueFunctionError(
            f"{path} holds {extra[0]!r}, which a {name} function has no use for"
        )
    return value, None if columns is None else StateColumns.of_document(columns)
