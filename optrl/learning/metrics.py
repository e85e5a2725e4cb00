"""Metrics of a training as JSON lines, and what else they may be sent to."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from optrl.errors import OptrlError
from optrl.planning.json_text import json_text

FILE = "metrics.jsonl"
TIMES = ("seconds", "throughput", "goodput")
"""What differs between two runs of the same training."""

_LONGEST = 1 << 20
"""Bytes of a line that is read, at most."""

Line = Mapping[str, Any]
"""``update``, then metrics of that update; or ``update`` and ``event``."""


class Sink(Protocol):
    """Takes the metrics of a training."""

    def begin(self, update: int) -> None:
        """Called before the first line; what was taken of updates above `update` is void."""
        ...

    def take(self, line: Line) -> None:
        """Take one line."""
        ...

    def close(self) -> None:
        """Called once, at the end of the run, also where it fails."""
        ...


class MetricsFile:
    """The lines as a file. Those after a checkpoint are dropped when training goes on from it.

    Each line is with the operating system when `take` returns, and so outlives the process.

    Args:
        folder: Folder of the training.
        size: Bytes to keep of the file that is there.

    Raises:
        OptrlError: If the file cannot be opened.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / FILE
        try:
            self._file: io.FileIO = io.FileIO(self._path, "ab")
            self._file.truncate(min(size, self._file.tell()))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._failed(error) from error

    def flush(self) -> int:
        """Put what was written on the disk; its size in bytes, for a checkpoint."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error
        return self._file.tell()

    def take(self, line: Line) -> None:
        """Add a line."""
        data = json_text(line).encode() + b"\n"
        try:
            written = self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error
        if written != len(data):
            raise self._failed(OSError("the disk is full"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _failed(self, error: OSError) -> OptrlError:
        return OptrlError(
            f"{self._path}: metrics cannot be written: {error.strerror or error}. The last "
            "checkpoint stands; resume from it when that is mended"
        )


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of a training's metrics."""
    path = folder / FILE
    if not path.is_file():
        return []
    found = []
    with path.open("rb") as file:
        while data := file.readline(_LONGEST):
            try:
                line = json.loads(data)
            except (ValueError, RecursionError):
                break  # the last line of a run that was killed, or damage
            if not isinstance(line, dict):
                break
            found.append(line)
    return found


def last_seconds(folder: Path) -> float:
    """Seconds of the latest line: how long the training has run so far."""
    for line in reversed(read_metrics(folder)):
        if isinstance(line.get("seconds"), (int, float)):
            return float(line["seconds"])
    return 0.0
