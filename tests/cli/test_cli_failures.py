"""Errors give one message and an exit code; streams stay clean; nothing heavy is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import optrl
from optrl.cli.failures import ExitCode, describe
from optrl.errors import Fault, InstanceError, OptrlError

HEAVY = ("torch", "pyomo", "polars", "matplotlib", "highspy", "scipy", "networkx", "numpy")


def optrl_process(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """A real process of the command line."""
    command = [sys.executable, "-c", "from optrl.cli import main; main()", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


@pytest.mark.parametrize("module", ["optrl", "optrl.cli.app"])
def test_imports_nothing_heavy(module: str) -> None:
    """The package and the command line, help included, import no library that takes long."""
    code = f"import {module}, sys; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"


def test_public_names() -> None:
    """Every public name is there, is listed, and is what its module defines."""
    assert set(optrl.__all__) <= set(dir(optrl))
    for name in optrl.__all__:
        assert getattr(optrl, name) is not None
    from optrl.planning.plan import plan
    from optrl.tables import load

    assert optrl.load is load
    assert optrl.plan is plan
    with pytest.raises(AttributeError, match="'optrl' has no attribute 'lode'"):
        _ = optrl.lode  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InstanceError([Fault("a.csv", 2, "b", "c", "d", "e")]), ExitCode.FAULTS, "a.csv, row 2"),
        (OptrlError("no way"), ExitCode.ERROR, "no way"),
        (MemoryError("Unable to allocate"), ExitCode.ERROR, "fewer scenarios"),
        (PermissionError(13, "denied", "x"), ExitCode.ERROR, "denied"),
        (ZeroDivisionError("oops"), ExitCode.DEFECT, "--debug"),
    ],
)
def test_messages(error: Exception, code: ExitCode, words: str) -> None:
    """Each kind of error has its exit code and says what to do."""
    message, found = describe(error)
    assert found == code
    assert words in message


def test_defect_and_debug(run: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is one short message; with --debug it passes with its traceback."""

    def load(folder: str) -> None:
        raise RuntimeError(f"unforeseen in {Path(folder).name}")

    monkeypatch.setattr("optrl.tables.load", load)
    found = run("check", small)
    assert found.code == 70
    assert found.out == ""
    assert "RuntimeError: unforeseen in small" in found.err
    assert "Traceback" not in found.err
    from typer.testing import CliRunner

    from optrl.cli.app import app

    debugged = CliRunner().invoke(app, ["--debug", "check", str(small)])
    assert isinstance(debugged.exception, RuntimeError)


def test_version_help_and_policies(run: Any) -> None:
    """The small commands."""
    assert run("--version").out == f"optrl {optrl.__version__}\n"
    assert {"base_stock", "lookahead"} <= set(run("policies").out.split())
    for command in ("check", "plan", "simulate", "solve", "policies"):
        found = run(command, "--help")
        assert found.code == 0
        assert "Usage" in found.out
    assert run("unknown").code == 2


def test_pipe_is_plain(tmp_path: Path) -> None:
    """Into a pipe there are no colours, and a narrow encoding loses no run."""
    file = tmp_path / "kłein 倉.mps"
    file.write_text("NAME T\nROWS\n N C\n G R\nCOLUMNS\n X C 1.0 R 1.0\nRHS\n B R 2.0\nENDATA\n")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    found = optrl_process("solve", file, env=environment)
    assert found.returncode == 0
    assert found.stderr == ""
    assert "\x1b" not in found.stdout
    assert "k\\u0142ein \\u5009" in found.stdout
    found = optrl_process("solve", file, "--json", env=environment)
    assert json.loads(found.stdout)["problem"] == "kłein 倉"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_standard_output(small: Path) -> None:
    """A full disk behind standard output is an error with a message, not a traceback."""
    command = [sys.executable, "-c", "from optrl.cli import main; main()", "check", str(small)]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert found.returncode == 2
    assert "No space left" in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupted_process(small: Path, tmp_path: Path) -> None:
    """Ctrl-C in a running plan: exit code 130, a line on standard error, nothing written."""
    code = (
        "import optrl.planning.plan as p, time, sys\n"
        "def plan(*a, **k):\n    print('started', flush=True)\n    time.sleep(60)\n"
        "p.plan = plan\nfrom optrl.cli import main\nmain()"
    )
    command = [sys.executable, "-c", code, "plan", str(small), "--out", str(tmp_path / "plan")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == "interrupted; nothing was written\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small"]
