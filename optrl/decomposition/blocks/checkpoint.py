"""Where a run stands, in one file that appears whole or not at all: ledger, master, trace.

What comes next depends on these alone, so that a run killed at any moment and continued ends as
one that was not. Reading runs no code (`optrl.networks.tensor_file`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from optrl.decomposition.blocks.errors import BlockCheckpointError
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.master import MasterState
from optrl.decomposition.blocks.trace import TraceRow, as_json, from_json
from optrl.networks.tensor_file import read_tensor_file, write_tensor_file

NAME = "decomposition.safetensors"
_KIND = "optrl decomposition over items"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands.

    Attributes:
        ledger: All rounds.
        master: What the master remembers.
        trace: Round by round.
    """

    ledger: Ledger
    master: MasterState
    trace: list[TraceRow]


def write_checkpoint(folder: Path, identity: str, checkpoint: Checkpoint) -> None:
    """Put it in the place of the one before.

    Args:
        folder: Folder.
        identity: Of everything the run depends on.
        checkpoint: Where it stands.

    Raises:
        optrl.errors.OptrlError: If it cannot be written; the one before stays.
    """
    arrays = {f"ledger/{name}": a for name, a in checkpoint.ledger.arrays().items()}
    arrays |= {f"master/{name}": a for name, a in checkpoint.master.arrays.items()}
    document = {
        "identity": identity,
        "groups": checkpoint.ledger.groups,
        "master": {name: repr(float(v)) for name, v in checkpoint.master.numbers.items()},
        "trace": as_json(checkpoint.trace),
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    write_tensor_file(folder / NAME, _KIND, tensors, document)


def require_checkpoint(folder: Path) -> None:
    """Refuse a folder that holds none.

    Raises:
        BlockCheckpointError: Saying so.
    """
    if not (folder / NAME).exists():
        raise BlockCheckpointError(
            f"there is nothing to go on from: {folder} holds no {NAME}, which is written after the "
            "first round; begin without resuming, or give the folder of the run that was ended"
        )


def read_checkpoint(folder: Path, identity: str) -> Checkpoint:
    """The checkpoint of a folder.

    Raises:
        BlockCheckpointError: If there is none, or it is of another run.
        optrl.networks.tensor_file.TensorFileError: If it is damaged.
    """
    require_checkpoint(folder)
    path = folder / NAME
    tensors, document = read_tensor_file(path, _KIND)
    if document.get("identity") != identity:
        raise BlockCheckpointError(
            f"{path} is of another problem, other blocks or another master: give the same command "
            "as before, or another folder"
        )
    parts: dict[str, dict[str, torch.Tensor]] = {"ledger": {}, "master": {}}
    for key, tensor in tensors.items():
        where, _, name = key.partition("/")
        parts.setdefault(where, {})[name] = tensor
    try:
        groups = int(document["groups"])
        numbers = {name: float(text) for name, text in document["master"].items()}
        rows = document["trace"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BlockCheckpointError(f"{path} lacks {error}: it is not whole") from error
    return Checkpoint(
        Ledger.of(groups, {name: t.numpy() for name, t in parts["ledger"].items()}),
        MasterState({name: t.numpy() for name, t in parts["master"].items()}, numbers),
        from_json(rows),
    )
