"""What the commands write to: results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optrl.planning.json_text import json_text

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 160


def output() -> Console:
    """Standard output; colours and width of a terminal only where it is one."""
    return _console(stderr=False)


def messages() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    given = os.environ.get("COLUMNS", "").isdecimal()
    width = None if stream.isatty() or given else _WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def write_line(text: str, *, error: bool = False) -> None:
    """Write a line as it is, neither wrapped nor coloured."""
    stream = sys.stderr if error else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def write_json(value: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write one JSON document in ASCII; numbers that are not finite become null."""
    write_line(json_text(value, indent=indent))


def accept_any_character() -> None:
    """Let streams that cannot encode a name write its escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
