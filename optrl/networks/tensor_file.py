"""Tensors with a JSON document in one file (safetensors), read as a file nobody vouches for.

The document stands in the file's metadata beside a hash of everything, so that one rename puts
both in place and damage to either shows. The same tensors and document give the same bytes.
Reading runs no code from the file: the format is a JSON header and plain numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from optrl.errors import OptrlError
from optrl.tables.atomic import write_file

HEADER_LIMIT = 16 * 2**20
"""Bytes of the header of a file that is read, at most."""

SIZE_LIMIT = 4 * 2**30
"""Bytes of a file that is read, at most."""

_KEY = "optrl"

_DTYPES = {
    str(kind): kind
    for kind in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}


class TensorFileError(OptrlError):
    """A file of tensors is damaged, or not what it is read as."""


def write_tensor_file(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, Tensor],
    document: Mapping[str, Any],
) -> None:
    """Write a file that appears whole or not at all and is on the disk when this returns.

    Args:
        path: The file.
        kind: What it holds, such as ``"optrl checkpoint"``; asked for again when it is read.
        tensors: By name.
        document: What JSON can hold, numbers finite.

    Raises:
        OptrlError: If it cannot be written.
        TensorFileError: If a tensor is of a kind that is not read again.
    """
    for name, tensor in tensors.items():
        if str(tensor.dtype) not in _DTYPES:
            raise TensorFileError(f"tensor {name!r} is of {tensor.dtype}, which is not kept")
    # Copies, since tensors that share memory are refused.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    text = json.dumps(document, sort_keys=True, allow_nan=False)
    about = {"kind": kind, "document": text, "sha256": _digest(kind, plain, text)}
    # One key, since the order of several differs from one process to the next.
    metadata = {_KEY: json.dumps(about, sort_keys=True)}
    with write_file(path) as temporary:
        temporary.write_bytes(save(plain, metadata))


def read_tensor_file(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of a file that `write_tensor_file` wrote.

    What names, shapes and values mean is for the caller to check: a hash shows damage, not
    intent.

    Raises:
        TensorFileError: If the file is missing, too large, damaged, or holds another kind.
    """
    try:
        _refuse_sizes(Path(path))
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            found, text, digest = (str(about[key]) for key in ("kind", "document", "sha256"))
            if found != kind:
                raise TensorFileError(f"{path} holds an {found}, not an {kind}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        document = json.loads(text)
    except OSError as error:
        raise TensorFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise TensorFileError(
            f"{path} is damaged or was not written by optrl: {type(error).__name__} {error}"
        ) from error
    for name, tensor in tensors.items():
        if str(tensor.dtype) not in _DTYPES:
            raise TensorFileError(f"{path}: tensor {name!r} is of {tensor.dtype}, not a known kind")
    if not isinstance(document, dict):
        raise TensorFileError(f"{path}: its document is not a JSON object")
    if digest != _digest(kind, tensors, text):
        raise TensorFileError(f"{path} is damaged: its hash is not that of what it holds")
    return tensors, document


def check_same_form(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], place: str
) -> None:
    """Refuse tensors of other names, shapes or kinds than expected.

    Args:
        found: As read.
        expected: Such as the state of a module just built; may be on torch's ``meta`` device.
        place: Where they were read, for the message.

    Raises:
        TensorFileError: Naming the first that differs.
    """
    missing, unknown = (
        sorted(expected.keys() - found.keys()),
        sorted(found.keys() - expected.keys()),
    )
    if missing or unknown:
        name, problem = (missing[0], "is missing") if missing else (unknown[0], "is not known")
        raise TensorFileError(f"{place}: tensor {name!r} {problem}; it is of something else")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise TensorFileError(
                f"{place}: tensor {name!r} is {found[name].dtype} of shape "
                f"{tuple(found[name].shape)}; expected {tensor.dtype} of shape "
                f"{tuple(tensor.shape)}: it is of something else"
            )


def _refuse_sizes(path: Path) -> None:
    size = path.stat().st_size
    if size > SIZE_LIMIT:
        raise TensorFileError(f"{path} has {size:,} bytes; at most {SIZE_LIMIT:,} are read")
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(size, HEADER_LIMIT):
        raise TensorFileError(
            f"{path} says that its header has {header:,} bytes; the file has {size:,} and headers "
            f"of at most {HEADER_LIMIT:,} are read: it is damaged or no file of tensors"
        )


def _digest(kind: str, tensors: Mapping[str, Tensor], document: str) -> str:
    digest = hashlib.sha256()
    for text in (kind, document):
        digest.update(f"{len(text)}:".encode() + text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        head = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(head.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
