"""``optrl decompose`` prints and writes bounds that hold, resumes, and says what went wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from optrl_formulations.replenishment_arrays import build_replenishment

from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.demand.fit import fit
from optrl.instance import ArrivalProfile
from optrl.solver import Model
from optrl.tables import load, save


def test_bounds_hold_the_optimum_between_them(run: Any, small: Path, tmp_path: Path) -> None:
    """Bounds, prices and orders are those of the whole program on expected demand."""
    instance = load(small)
    mean = fit(instance).mean(instance.start, instance.horizon)
    problem = ReplenishmentItems.of(instance, mean)
    optimum = Model(build_replenishment(problem.layout, problem.data)).solve().objective
    out = tmp_path / "out"
    words = ("decompose", small, "--gap", 1e-5, "--block", 1, "--sample", 1, "--out", out)
    found = run(*words, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told["lower_bound"] <= optimum * (1 + 1e-6)
    assert told["upper_bound"] >= optimum * (1 - 1e-6)
    assert told["relative_gap"] <= 1e-5
    assert told["stopped"] == "gap"
    assert [row["iteration"] for row in told["trace"]] == list(range(1, told["rounds"] + 1))
    assert {path.name for path in out.iterdir()} == {
        *("decomposition.safetensors", "orders.csv", "prices.csv", "summary.json"),
        *("trace.csv", "trace.png"),
    }
    prices = pl.read_csv(out / "prices.csv")
    assert (prices["price"] >= 0).all()
    firm = [r.name for r in problem.network.resources if np.isinf(r.overflow_cost)]
    hard = prices.filter(pl.col("resource").is_in(firm))
    assert len(hard)
    assert (hard["used"] <= hard["capacity"] * (1 + 1e-6) + 1e-6).all()
    worth = {row["resource"] for row in told["resources"]}
    assert worth == set(prices.filter(pl.col("price_then") > 1e-9)["resource"])


def test_what_is_printed_and_resumed(run: Any, small: Path, tmp_path: Path) -> None:
    """A run ended early goes on where it was, and the table is for people."""
    out = tmp_path / "out"
    words = ("decompose", small, "--gap", 0, "--block", 1, "--sample", 1, "--out", out)
    first = run(*words, "--rounds", 2)
    assert first.code == 0, first.err
    assert "no plan costs less than" in first.out
    assert "stopped: iterations after 2 rounds" in first.out
    again = run(*words, "--rounds", 4, "--resume")
    assert "going on after round 2" in again.err
    assert pl.read_csv(out / "trace.csv")["iteration"].to_list() == [1, 2, 3, 4]
    other = run(*words, "--rounds", 4, "--resume", "--master", "subgradient")
    assert other.code == 2
    assert "another master" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume",), "needs a folder"),
        (("--resume", "--out", "empty"), "nothing to go on from"),
        (("--oracle", "flow"), "items are not flows without capacities"),
        (("--master", "guess"), "guess"),
    ],
)
def test_wrong_use(
    run: Any,
    small: Path,
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options that do not fit are refused in words."""
    monkeypatch.chdir(tmp_path)
    found = run("decompose", small, *words)
    assert found.code == 2
    assert message in found.err


def test_time_that_is_up_is_told(run: Any, small: Path, tmp_path: Path) -> None:
    """Without a round nothing is claimed, and no orders are written."""
    out = tmp_path / "out"
    found = run("decompose", small, "--time-limit", 0, "--out", out)
    assert found.code == 0, found.err
    assert "no round was done, so that nothing is known; stopped: seconds" in found.out
    assert not (out / "orders.csv").exists()
    told = json.loads((out / "summary.json").read_text())
    assert told["lower_bound"] is None
    assert told["upper_bound"] is None
    assert not told["plan"]


def test_an_average_above_a_capacity_is_no_plan(run: Any, small: Path, tmp_path: Path) -> None:
    """After one round at small prices capacities do not hold: where is said, no orders written."""
    instance = load(small)
    resources = tuple(
        replace(r, capacity=0.3 * r.capacity, overflow_cost=np.inf)
        for r in instance.network.resources
    )
    tight = replace(instance, network=replace(instance.network, resources=resources))
    save(tight, tmp_path / "tight")
    out = tmp_path / "out"
    words = ("decompose", tmp_path / "tight", "--rounds", 1, "--out", out, "--block", 1)
    found = run(*words, "--sample", 1)
    assert found.code == 0, found.err
    assert "no average of the plans answered so far holds the capacities" in found.out
    assert "largest excess: " in found.out
    assert not (out / "orders.csv").exists()


def test_random_arrivals_are_part_of_the_assumption(run: Any, small: Path, tmp_path: Path) -> None:
    """What the bound takes as certain is said where it is random."""
    instance = load(small)
    lane = int(instance.network.replenishment_lanes[0])
    late = ArrivalProfile(lane, np.array([0.5, 0.5]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.9]]))
    save(replace(instance, arrivals=(late,)), tmp_path / "late")
    for folder, random in ((small, False), (tmp_path / "late", True)):
        told = json.loads(run("decompose", folder, "--rounds", 1, "--json").out)
        assert ("random arrivals" in told["assumption"]) == random
