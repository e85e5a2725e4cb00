"""Paths to write to, checked before the work whose results they are for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from optrl.errors import OptrlError


def check_outputs(files: Sequence[str | None], folders: Sequence[str | None] = ()) -> None:
    """Refuse paths that cannot be written to, so that no run is in vain.

    Args:
        files: To be written as files; None stands for nothing to write.
        folders: To be written into.

    Raises:
        OptrlError: If a path is of the other kind, is given twice, or lies where nothing can be
            written.
    """
    given: set[Path] = set()
    for path, folder in [(x, False) for x in files] + [(x, True) for x in folders]:
        if path is None:
            continue
        target = Path(path).resolve()
        if target in given:
            raise OptrlError(f"{path} is given for two outputs: choose another for one of them")
        given.add(target)
        if folder and target.exists() and not target.is_dir():
            raise OptrlError(f"{path} is a file: give the name of a folder to write into")
        if not folder and target.is_dir():
            raise OptrlError(f"{path} is a folder: give the name of a file to write")
        place = target if folder else target.parent
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise OptrlError(f"{path} cannot be written: {place} is a file, not a folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise OptrlError(f"{path} cannot be written: {place} does not permit it")
