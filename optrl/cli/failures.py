"""From errors to messages and exit codes."""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, ParamSpec, TypeVar

import typer

from optrl.cli.terminal import write_json, write_line
from optrl.errors import InstanceError, OptrlError

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(IntEnum):
    """What the shell sees; 2 is also what wrong options give."""

    FAULTS = 1
    ERROR = 2
    DEFECT = 70
    INTERRUPTED = 130


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Print what a command raises as one message without a traceback and exit with its code.

    With ``optrl --debug`` errors pass; a command takes its `typer.Context` as
    `context` to tell. A command with ``json`` set prints the error to standard output too, as one
    JSON document: ``error`` with ``message``, ``exit_code`` and ``faults`` of an instance's tables.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _warnings_as_lines(kwargs.get("context")):
                result = command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            write_line("interrupted; nothing was written", error=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except Exception as error:
            if _asks_for_traceback(kwargs.get("context")):
                raise
            message, code = describe(error)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                _discard_output()
            write_line(message, error=True)
            if kwargs.get("json"):
                write_json({"error": as_json(error, message, code)}, indent=2)
            raise typer.Exit(code) from None
        return result

    return run


@contextmanager
def _warnings_as_lines(context: object) -> Iterator[None]:
    """Print each warning to a user once, as a line without the place in the code."""
    if _asks_for_traceback(context):
        yield
        return
    seen: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in seen:
            seen.add(str(message))
            write_line(f"warning: {message}", error=True)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def describe(error: Exception) -> tuple[str, ExitCode]:
    """Message and exit code of an error."""
    if isinstance(error, InstanceError):
        return str(error), ExitCode.FAULTS
    if isinstance(error, OptrlError):
        return str(error), ExitCode.ERROR
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}. Try fewer scenarios or items.", ExitCode.ERROR
    if isinstance(error, OSError):
        return f"{error}", ExitCode.ERROR
    kind = type(error).__name__
    return (
        f"a defect of optrl: {kind}: {error}\nRun `optrl --debug ...` to see where it happened, "
        "and report it with the traceback.",
        ExitCode.DEFECT,
    )


def as_json(error: Exception, message: str, code: ExitCode) -> dict[str, Any]:
    """An error as one document."""
    return {"message": message, "exit_code": int(code), "faults": faults_as_json(error)}


def faults_as_json(error: Exception) -> list[dict[str, Any]]:
    """Faults of an instance's tables, none of other errors."""
    faults = error.faults if isinstance(error, InstanceError) else ()
    return [{**vars(fault), "message": str(fault)} for fault in faults]


def _asks_for_traceback(context: object) -> bool:
    # What typer passes is a `typer.Context` by its methods, but not always by its class.
    root = getattr(context, "find_root", None)
    return root is not None and bool(root().params.get("debug"))


def _discard_output() -> None:
    """Keep what is left in the buffer of a full standard output from failing again at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is no file
        return
