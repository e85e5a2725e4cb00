"""Where finished parts of a comparison are kept, so that an interrupted run continues.

    FOLDER/KEY/run.json                     what the parts rest on
    FOLDER/KEY/POLICY/000032-000064.npz     a policy on scenarios 32 to 63
    FOLDER/KEY/perfect_information/...      the bound, scenario by scenario

KEY is the hash of instance, code, library versions, seed, demand and warm-up. Policies are not in
it: adding one to a comparison reuses what the others did. Files appear whole or not at all.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.errors import OptrlError
from optrl.identity import hash_of
from optrl.planning.json_text import json_text
from optrl.tables.atomic import write_file


@dataclass(frozen=True)
class RunFolder:
    """Finished parts on disk.

    Attributes:
        path: Folder of this run; None keeps nothing.
        settings: What the parts rest on.
    """

    path: Path | None
    settings: Mapping[str, object]

    @classmethod
    def at(cls, folder: Path | None, settings: Mapping[str, object]) -> RunFolder:
        """The run of these settings within `folder`, made if it is not there.

        Raises:
            OptrlError: If it cannot be written.
        """
        if folder is None:
            return cls(None, settings)
        path = folder / hash_of(settings)[:16]
        if not (path / "run.json").is_file():
            with write_file(path / "run.json") as temporary:
                temporary.write_text(json_text(settings, indent=2) + "\n", encoding="utf-8")
        return cls(path, settings)

    def read(self, name: str, first: int, stop: int) -> dict[str, FloatArray] | None:
        """Arrays of a finished part, or None.

        Raises:
            OptrlError: If the file is there but cannot be read.
        """
        if self.path is None:
            return None
        file = self._file(self.path, name, first, stop)
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as found:
                return {key.replace(":", "/"): found[key] for key in found.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise OptrlError(
                f"{file}: what was kept there cannot be read ({error}). Remove the file; its "
                "scenarios are then simulated anew."
            ) from error

    def write(self, name: str, first: int, stop: int, arrays: Mapping[str, FloatArray]) -> None:
        """Keep a finished part.

        Raises:
            OptrlError: If it cannot be written.
        """
        if self.path is None:
            return
        # A slash would make folders within the archive, which some systems refuse.
        safe: dict[str, Any] = {key.replace("/", ":"): value for key, value in arrays.items()}
        with write_file(self._file(self.path, name, first, stop)) as temporary:
            np.savez_compressed(temporary, **safe)

    @staticmethod
    def _file(path: Path, name: str, first: int, stop: int) -> Path:
        return path / name / f"{first:06d}-{stop:06d}.npz"
