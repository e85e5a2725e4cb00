"""Files and folders that appear whole or not at all.

Everything is written under a hidden temporary name in the same directory, flushed to the disk and
renamed. A write that fails removes its temporary; a run that is killed leaves one behind, which
nobody reads and the next write to the same name removes.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optrl.errors import OptrlError

_MARK = ".partial-"


@contextmanager
def write_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` when the block ends.

    The temporary has the same extension, for writers that go by it.

    Raises:
        OptrlError: If the file cannot be written, for example for want of space. `path` is then
            as it was before.
    """
    target = Path(path).resolve()
    with _temporary(target, "file") as temporary:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)


@contextmanager
def write_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty temporary folder to write to, which takes the place of `path` at the end.

    A folder that is there already is replaced as a whole: by exchanging names where the system can
    (Linux), else by renaming it out of the way first.

    Raises:
        OptrlError: If it cannot be written. `path` is then as it was before.
    """
    target = Path(path).resolve()
    with _temporary(target, "folder") as temporary:
        temporary.mkdir()
        yield temporary
        for file in sorted(temporary.rglob("*")):
            if not file.is_symlink():
                _flush(file)
        _flush(temporary)
        if not target.exists():
            temporary.rename(target)
        elif _exchange(temporary, target):
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            old = _temporary_path(target)
            target.rename(old)
            try:
                temporary.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        _flush(target.parent)


@contextmanager
def _temporary(target: Path, what: str) -> Iterator[Path]:
    temporary = _temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        yield temporary
    except OSError as error:
        _remove(temporary)
        reason = error.strerror or str(error)
        raise OptrlError(
            f"{target}: the {what} cannot be written: {reason}. Nothing was changed. Free space "
            "there, check the permissions, or write to another place."
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def _temporary_path(target: Path) -> Path:
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return target.parent / f".{target.stem}{_MARK}{owner}{target.suffix}"


def _remove_leftovers(target: Path) -> None:
    """Remove temporaries of this target whose process on this host is dead."""
    start = f".{target.stem}{_MARK}{socket.gethostname()}-"
    for path in target.parent.iterdir():
        if not (path.name.startswith(start) and path.name.endswith(target.suffix)):
            continue
        process = path.name.removeprefix(start).split("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _flush(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # directories cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2 with RENAME_EXCHANGE); False if it cannot be done."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library older than glibc 2.28
        return False
    at_working_directory, exchange = -100, 2
    done: int = rename(
        *(at_working_directory, os.fsencode(one.absolute())),
        *(at_working_directory, os.fsencode(other.absolute())),
        exchange,
    )
    return done == 0
