"""The hash of the code that results rest on."""

from __future__ import annotations

from pathlib import Path

import pytest

from optrl import identity


def test_shipped_weights_and_tables_are_part_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New weights or tables of published results change the version; traces of running do not."""
    for name in ("identity.py", "policies/weights/net.safetensors", "testbeds/data/known.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"first")
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "identity.py"))
    version = identity.code_version.__wrapped__
    first = version()
    for name in ("policies/__pycache__/x.pyc", "policies/.x.py.swp", "report/style.css"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"trace")
    assert version() == first
    seen = {first}
    for name in ("policies/weights/net.safetensors", "testbeds/data/known.csv", "identity.py"):
        (tmp_path / name).write_bytes(b"second")
        seen.add(version())
    assert len(seen) == 4
