"""Files and folders appear whole or not at all, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from optrl.errors import OptrlError
from optrl.tables import differences, load, save, write_file


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_disk_full_at_any_file(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file the disk fills up at, the error says so and nothing has changed."""
    instance = load(tiny_folder)
    before = contents(tmp_path)
    original = Path.write_bytes
    written = 0

    def write_bytes(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written > allowed:
            original(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    for allowed in (0, 3, 15):  # noqa: B007  # read by write_bytes
        for place in (tiny_folder, tmp_path / "new"):
            written = 0
            with pytest.raises(OptrlError, match="No space left on device") as raised:
                save(instance, place)
            assert str(place) in str(raised.value)
            assert "Free space" in str(raised.value)
            assert contents(tmp_path) == before
    monkeypatch.undo()
    save(instance, tiny_folder)
    assert differences(load(tiny_folder), instance) == ()


def test_rename_that_fails(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names cannot be exchanged, a failing rename puts the old folder back."""
    instance = load(tiny_folder)
    before = contents(tiny_folder)
    monkeypatch.setattr("optrl.tables.atomic._exchange", lambda one, other: False)
    original, calls = Path.rename, []

    def rename(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OptrlError, match="Input/output error"):
        save(instance, tiny_folder)
    assert contents(tiny_folder) == before
    assert [path.name for path in tiny_folder.parent.iterdir()] == ["tiny"]
    save(instance, tiny_folder, "parquet")
    assert differences(load(tiny_folder), instance) == ()


REALLY_FULL = """
import sys
from pathlib import Path
from optrl.errors import OptrlError
from optrl.tables import load, save, write_file
source, disk = Path(sys.argv[1]), Path(sys.argv[2])
instance = load(source)
save(instance, disk / "tiny")
before = {p.name: p.read_bytes() for p in (disk / "tiny").iterdir()}
(disk / "filler").write_bytes(bytes(int(sys.argv[3])))
try:
    save(instance, disk / "tiny", "parquet")
except OptrlError as error:
    message = str(error)
else:
    raise SystemExit("the disk did not fill up")
assert "No space left" in message, message
assert sorted(p.name for p in disk.iterdir()) == ["filler", "tiny"], list(disk.iterdir())
assert {p.name: p.read_bytes() for p in (disk / "tiny").iterdir()} == before
try:
    with write_file(disk / "plan.csv") as path:
        path.write_bytes(bytes(500_000))
except OptrlError as error:
    assert "plan.csv" in str(error)
assert sorted(p.name for p in disk.iterdir()) == ["filler", "tiny"]
(disk / "filler").unlink()
save(instance, disk / "tiny", "parquet")
load(disk / "tiny")
print("held")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
def test_disk_that_is_really_full(tiny_folder: Path, tmp_path: Path) -> None:
    """On a full file system of 400 kB saving fails cleanly; it works once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=400k none "$1" && exec "$2" -c "$3" "$4" "$1" 300000'
    command = ["sh", "-c", script, "sh", str(disk), sys.executable, REALLY_FULL, str(tiny_folder)]
    try:  # a mount namespace of its own: the mount goes with the process
        probe = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(disk)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if probe.returncode:
        pytest.skip("no tmpfs can be mounted here: " + probe.stderr.decode().strip())
    done = subprocess.run(["unshare", "-rm", *command], capture_output=True, text=True)
    assert done.stdout.strip() == "held", done.stderr


KILLED = """
import sys, time
from pathlib import Path
from optrl.tables import load, save
original, count = Path.write_bytes, 0
def write_bytes(self, data):
    global count
    count += 1
    if count == 5:
        original(self, data[: len(data) // 2])
        print("half written", flush=True)
        time.sleep(60)
    return original(self, data)
instance = load(sys.argv[1])
Path.write_bytes = write_bytes
save(instance, sys.argv[1], "parquet")
"""


def test_killed_run(tiny_folder: Path) -> None:
    """A save that is killed half-way leaves the old folder; the next save clears its leftovers."""
    before = contents(tiny_folder)
    instance = load(tiny_folder)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tiny_folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "half written"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert contents(tiny_folder) == before
    assert len(list(tiny_folder.parent.iterdir())) == 2
    assert differences(load(tiny_folder), instance) == ()
    save(instance, tiny_folder, "parquet")
    assert differences(load(tiny_folder), instance) == ()
    assert [path.name for path in tiny_folder.parent.iterdir()] == ["tiny"]


def test_write_file(tmp_path: Path) -> None:
    """A file is replaced when the block ends and only then; a failure leaves it as it was."""
    path = tmp_path / "plan.json"
    with write_file(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("1")
        assert not path.exists()
    assert path.read_text() == "1"

    def fail() -> None:
        with write_file(path) as temporary:
            temporary.write_text("2")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # the writer's own error passes unchanged
        fail()
    assert contents(tmp_path) == {"plan.json": b"1"}
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OptrlError, match=r"plan\.csv: the file cannot be written"),
        write_file(tmp_path / "file" / "plan.csv"),
    ):
        pass
