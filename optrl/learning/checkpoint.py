"""Checkpoints: state of learner and loop in one file each, of which the last two are kept.

A checkpoint is a safetensors file ``checkpoint-UPDATE.safetensors`` that appears whole or not at
all (`optrl.networks.tensor_file`). One that cannot be read is passed over for the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from optrl.learning.base import TrainingError, TrainingState
from optrl.networks.tensor_file import (
    TensorFileError,
    check_same_form,
    read_tensor_file,
    write_tensor_file,
)

KIND = "optrl checkpoint"
KEPT = 2
"""Checkpoints kept."""

_NAME = re.compile(r"checkpoint-(\d{1,12})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """Where a training was.

    Attributes:
        update: Updates done.
        state: Of the learner.
        loop: Of the loop, as JSON.
    """

    update: int
    state: TrainingState
    loop: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint on the disk, then remove all older ones but the last.

    Raises:
        optrl.errors.OptrlError: If it cannot be written; those before are as they were.
    """
    document = {
        "update": checkpoint.update,
        "numbers": checkpoint.state.numbers,
        "loop": checkpoint.loop,
    }
    write_tensor_file(
        folder / f"checkpoint-{checkpoint.update:08d}.safetensors",
        KIND,
        checkpoint.state.tensors,
        document,
    )
    older = [path for update, path in _present(folder) if update <= checkpoint.update]
    for path in older[:-KEPT]:
        path.unlink(missing_ok=True)


def read_checkpoint(
    folder: Path, expected: TrainingState, told: Callable[[str], None]
) -> Checkpoint | None:
    """The newest checkpoint that can be read; None where the folder has none at all.

    Args:
        folder: The folder.
        expected: A state of the learner, whose keys, shapes and kinds it must have.
        told: Called with a sentence for each checkpoint that is passed over.

    Raises:
        TrainingError: If there are checkpoints and none of them can be used.
    """
    present = _present(folder)
    problems = []
    for update, path in reversed(present):
        try:
            return _read(path, update, expected)
        except TensorFileError as error:
            problems.append(str(error))
            told(f"a checkpoint is passed over: {error}")
    if problems:
        raise TrainingError(
            f"no checkpoint of {folder} can be used: {'; '.join(problems)}. Choose another folder "
            "to train anew"
        )
    return None


def holds_nan(state: TrainingState) -> bool:
    """Whether a tensor of the state holds what is no number."""
    return any(
        bool(tensor.isnan().any())
        for tensor in state.tensors.values()
        if tensor.dtype.is_floating_point
    )


def _present(folder: Path) -> list[tuple[int, Path]]:
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def _read(path: Path, update: int, expected: TrainingState) -> Checkpoint:
    tensors, document = read_tensor_file(path, KIND)
    check_same_form(tensors, expected.tensors, str(path))
    numbers, loop = document.get("numbers"), document.get("loop")
    if (
        document.get("update") != update
        or not isinstance(loop, dict)
        or not isinstance(numbers, dict)
        or numbers.keys() != expected.numbers.keys()
    ):
        raise TensorFileError(f"{path}: its numbers are not those of this learner")
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating_point and bool(torch.isnan(tensor).any()):
            raise TensorFileError(f"{path}: tensor {name!r} holds what is no number")
    return Checkpoint(update, TrainingState(tensors, numbers), loop)
