"""The benchmark's judgement, and the table it has written."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    path = ROOT / "benchmarks" / "known_values.py"
    spec = importlib.util.spec_from_file_location("known_values_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("entry", "objective", "bound", "status", "expected"),
    [
        ({"optimum": 100.0}, 100.00005, 100.0, "optimal", "yes"),
        ({"optimum": 100.0}, 101.0, 101.0, "optimal", "no"),
        ({"optimum": 100.0}, 101.0, 99.0, "time limit", "consistent"),
        ({"optimum": 100.0}, 103.0, 101.0, "time limit", "no"),
        ({"optimum": -100.0}, -99.0, -101.0, "time limit", "consistent"),
        ({"interval": [99.0, 101.0]}, 100.5, 100.5, "optimal", "consistent"),
        ({"interval_here": [99.0, 101.0]}, 98.0, 98.0, "optimal", "no"),
        ({"optimum": 5.0, "optimum_this_file": 100.0}, 100.0, 100.0, "optimal", "yes"),
        ({"optimum": 100.0}, None, 90.0, "no solution", "no"),
        (None, 1.0, 1.0, "optimal", ""),
    ],
)
def test_agreement(benchmark, entry, objective, bound, status, expected):
    """Proved equality, overlap of an open gap with the known value, and contradiction differ."""
    known = benchmark.known_value(entry)
    assert benchmark.agreement(known, objective, bound, status) == expected


def test_committed_table_agrees(benchmark):
    """Every optimum verified in the data is proved again, and no known value is contradicted."""
    with (ROOT / "docs" / "results" / "known_values.csv").open() as stream:
        rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    assert {row["file"].split("/")[0] for row in rows} == set(benchmark.FOLDERS)
    assert not [row["problem"] for row in rows if row["agrees"] == "no"]
    verified = [
        row
        for row in rows
        if row["known_status"].startswith(("verified", "computed")) and not row["known_upper"]
    ]
    assert len(verified) >= 30
    assert not [row["problem"] for row in verified if row["agrees"] != "yes"]
