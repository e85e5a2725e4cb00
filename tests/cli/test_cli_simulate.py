"""``optrl simulate`` reports what the simulator finds, on sampled or kept demand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optrl.cli import memory
from optrl.demand.fit import fit
from optrl.errors import OptrlError
from optrl.policies import find
from optrl.simulation.kpis import Indicators
from optrl.simulation.rollout import simulate
from optrl.tables import load, save


def test_sampled_scenarios(run: Any, small: Path) -> None:
    """The indicators are those of the policy on demand drawn from the fitted model."""
    words = ("simulate", small, "--policy", "base_stock", "--scenarios", 20, "--seed", 3)
    found = json.loads(run(*words, "--json").out)
    instance = load(small)
    model = fit(instance)
    demand = model.sample(20, instance.start, instance.horizon, np.random.default_rng(3))
    policy = find("base_stock").fit(instance, model, seed=3)
    expected = Indicators.of(simulate(instance, policy, demand, seed=3))
    assert found["scenarios"] == 20
    assert found["periods"] == 8
    cost = found["indicators"]["cost"]
    assert cost["mean"] == pytest.approx(expected.cost.mean)
    assert cost["standard_error"] == pytest.approx(expected.cost.standard_error)
    assert found["indicators"]["fill_rate"]["mean"] == pytest.approx(expected.fill_rate.mean)
    assert [r["name"] for r in found["resources"]] == [r.name for r in expected.resources]


def test_replay(run: Any, small: Path) -> None:
    """Kept demand is replayed, all four periods of it, without standard errors."""
    found = json.loads(run("simulate", small, "--policy", "base_stock", "--replay", "--json").out)
    instance = load(small)
    policy = find("base_stock").fit(instance, fit(instance))
    kept = instance.demand.between(instance.start, instance.start + 4)
    expected = Indicators.of(simulate(instance, policy, kept[None], seed=0))
    assert found["demand"] == "replay"
    assert (found["scenarios"], found["periods"]) == (1, 4)
    assert found["indicators"]["cost"]["mean"] == pytest.approx(expected.cost.mean)
    assert found["indicators"]["cost"]["standard_error"] is None


def test_table_for_a_reader(run: Any, small: Path) -> None:
    """The table shows the numbers of the JSON document, and no columns of nothing."""
    words = ("simulate", small, "--policy", "lookahead", "--scenarios", 2)
    document, found = json.loads(run(*words, "--json").out), run(*words)
    assert found.code == 0
    indicators = document["indicators"]
    assert f"{indicators['cost']['mean']:,.2f}" in found.out
    assert f"{indicators['fill_rate']['mean']:.3%}" in found.out
    assert "lookahead, 2 scenarios of 8 weeks from 8 on, demand: poisson" in found.out
    assert "inbound" in found.out


def test_watched_policy_decides_the_same(run: Any, small: Path) -> None:
    """Telling how long it takes, in batches, changes no result of a policy that solves programs."""
    words = ("simulate", small, "--policy", "lookahead", "--scenarios", 10, "--json")
    found = json.loads(run(*words).out)
    instance = load(small)
    model = fit(instance)
    demand = model.sample(10, instance.start, instance.horizon, np.random.default_rng(0))
    policy = find("lookahead").fit(instance, model)
    expected = Indicators.of(simulate(instance, policy, demand, seed=0))
    assert found["policy"] == "lookahead"
    assert found["indicators"]["cost"]["mean"] == pytest.approx(expected.cost.mean, rel=1e-5)


def test_nothing_to_replay(run: Any, small: Path, tmp_path: Path) -> None:
    """A folder without kept demand says so."""
    instance = load(small)
    history = replace(instance.demand, quantity=instance.demand.quantity[:, :, :8])
    save(replace(instance, demand=history), tmp_path / "past")
    found = run("simulate", tmp_path / "past", "--policy", "base_stock", "--replay")
    assert found.code == 2
    assert "before period 8" in found.err
    assert found.out == ""


@pytest.mark.parametrize("words", [(), ("--policy", "base_stock", "--scenarios", "0")])
def test_wrong_options(run: Any, small: Path, words: tuple[str, ...]) -> None:
    """A policy is needed, and at least one scenario."""
    assert run("simulate", small, *words).code == 2


@pytest.mark.parametrize("words", [(), ("--replay",)])
def test_too_many_scenarios(run: Any, small: Path, words: tuple[str, ...]) -> None:
    """What cannot fit into memory is refused before it is drawn; what is said to fit is allowed."""
    many = 10**12
    found = run("simulate", small, "--policy", "s_s", "--scenarios", many, *words)
    assert found.code == 2
    assert found.out == ""
    assert "1,000,000,000,000 scenarios of 2 items" in found.err
    assert "GiB" in found.err
    instance = load(small)
    periods = 4 if words else 8
    fitting = re.search(r"At most ([\d,]+) fit", found.err)
    assert fitting is not None
    largest = int(fitting[1].replace(",", ""))
    memory.refuse_too_many_scenarios(instance, largest // 2, periods)
    with pytest.raises(OptrlError, match="memory"):
        memory.refuse_too_many_scenarios(instance, largest * 2, periods)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux counts it")
def test_memory_estimate_covers_the_simulation(small: Path) -> None:
    """Drawing and simulating takes no more than estimated, and not ten times less."""
    instance = load(small)
    code = (
        "import resource, sys, numpy as np\n"
        "from optrl.demand.fit import fit\nfrom optrl.policies import find\n"
        "from optrl.simulation.rollout import simulate\nfrom optrl.tables import load\n"
        "instance = load(sys.argv[1]); model = fit(instance)\n"
        "policy = find('base_stock').fit(instance, model, seed=0)\n"
        "def run(count):\n"
        "    paths = model.sample(count, instance.start, instance.horizon,"
        " np.random.default_rng(0))\n"
        "    simulate(instance, policy, paths, seed=0)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "print(-run(100) + run(60_000))\n"
    )
    command = [sys.executable, "-c", code, str(small)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    estimate = 60_000 * memory.bytes_of_scenario(instance, instance.horizon)
    assert 0.1 * estimate < grown < 1.2 * estimate
