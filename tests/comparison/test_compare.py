"""Comparisons: same bits, resumption after a kill, common random numbers, wrong input."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import optrl
from optrl.comparison.contender import Trained
from optrl.comparison.result import Comparison
from optrl.comparison.scenarios import Scenarios
from optrl.demand.fit import fit
from optrl.identity import IdentityError, hash_of, instance_hash
from optrl.instance import ArrivalProfile, Instance
from optrl.policies import find
from optrl.testing import random_instance

POLICIES = ["base_stock", "lookahead", "s_s"]

SCRIPT = """
import sys
import numpy as np, torch
import optrl
from optrl.identity import code_version
from optrl.testing import random_instance
torch.set_num_threads(1)
print(code_version(), flush=True)
instance = random_instance(np.random.default_rng(4), horizon=8)
optrl.compare(instance, {policies}, scenarios=12, seed=7, folder=sys.argv[1],
              progress=lambda step: print(step.policy, flush=True))
"""


def small() -> Instance:
    """What `SCRIPT` compares on."""
    return random_instance(np.random.default_rng(4), horizon=8)


def assert_same(one: Comparison, other: Comparison) -> None:
    """Everything but the time it took is equal to the last bit."""
    assert_frame_equal(one.ranking.drop("seconds"), other.ranking.drop("seconds"), check_exact=True)
    assert_frame_equal(one.pairs, other.pairs, check_exact=True)
    assert_frame_equal(one.by_scenario, other.by_scenario, check_exact=True)
    assert_frame_equal(one.indicator_table, other.indicator_table, check_exact=True)
    for name, measured in one.measurements.items():
        found = other.measurements[name].breakdown
        assert measured.breakdown is not None
        assert found is not None
        for key, value in vars(measured.breakdown).items():
            assert np.array_equal(value, getattr(found, key))


def test_same_seed_gives_the_same_bits() -> None:
    """Two runs agree to the last bit, another seed does not."""
    one, other, third = (
        optrl.compare(small(), ["base_stock", "s_s"], scenarios=40, seed=s) for s in (3, 3, 4)
    )
    assert_same(one, other)
    assert not np.array_equal(one.cost[:8], third.cost[:8])


def test_killed_comparison_resumes_to_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL the rest is run, what was done is not, and the result has the same bits."""
    script = SCRIPT.format(policies=POLICIES)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    # Sources may be edited while tests run; this is about one version.
    version = process.stdout.readline().strip()
    monkeypatch.setattr("optrl.comparison.compare.code_version", lambda: version)
    # The first policy is done and the second, which solves programs, is under way.
    seen = [process.stdout.readline().strip() for _ in range(3)]
    assert seen == ["base_stock", "lookahead", "lookahead"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = len(list((tmp_path / "killed").rglob("*.npz")))
    assert 3 <= done < 5
    steps = []
    arguments = {"scenarios": 12, "seed": 7}
    resumed = optrl.compare(
        small(), POLICIES, folder=tmp_path / "killed", progress=steps.append, **arguments
    )
    assert sum(step.kept for step in steps) == done
    assert sum(not step.kept for step in steps) == 5 - done
    assert_same(resumed, optrl.compare(small(), POLICIES, **arguments))


def test_adding_a_policy_reuses_the_others(tmp_path: Path) -> None:
    """Kept parts of a policy serve every comparison on the same scenarios."""
    optrl.compare(small(), ["base_stock"], scenarios=8, folder=tmp_path)
    steps = []
    optrl.compare(
        small(), ["s_s", "base_stock"], scenarios=8, folder=tmp_path, progress=steps.append
    )
    assert [(step.policy, step.kept) for step in steps] == [("s_s", False), ("base_stock", True)]


def test_kept_parts_serve_no_other_run(tmp_path: Path) -> None:
    """Another seed, warm-up, instance, demand or belief takes nothing that was kept of this run."""
    instance = small()
    dearer = replace(
        instance,
        network=replace(instance.network, shortage_cost=2 * instance.network.shortage_cost),
    )
    model = fit(instance)
    history = instance.demand.quantity
    other = fit(replace(instance, demand=replace(instance.demand, quantity=history * 1.5)))
    runs = [
        (instance, {}),
        (instance, {"seed": 1}),
        (instance, {"warm_up": 2}),
        (dearer, {}),
        (instance, {"demand": model}),
        (instance, {"demand": other}),
        (instance, {"believed": other}),
        (instance, {"replay": True}),
    ]
    for subject, more in runs:
        steps = []
        kept = optrl.compare(
            subject, ["base_stock"], scenarios=8, folder=tmp_path, progress=steps.append, **more
        )
        assert not any(step.kept for step in steps), more
        assert_same(kept, optrl.compare(subject, ["base_stock"], scenarios=8, **more))


def test_random_arrivals_follow_seed_and_scenario(kinds: dict[str, type]) -> None:
    """On replayed demand scenarios differ by arrivals alone, whichever part they are run in."""
    instance = small()
    lane = int(instance.network.replenishment_lanes[0])
    late = np.eye(5)[[0, 4]]
    arrivals = (ArrivalProfile(lane, np.array([0.5, 0.5]), late),)
    instance = replace(instance, arrivals=arrivals)
    arguments = {"replay": True, "until_settled": False}
    quick = optrl.compare(instance, ["base_stock"], scenarios=40, **arguments)
    policy = find("base_stock").fit(instance, fit(instance))
    # What is no SeparablePolicy is run in shorter parts.
    whole = SimpleNamespace(decide=policy.decide)
    slow = optrl.compare(instance, [Trained("whole", whole)], scenarios=40, **arguments)
    assert np.array_equal(quick.cost, slow.cost)
    assert len(np.unique(quick.cost)) > 10
    other = optrl.compare(instance, ["base_stock"], scenarios=40, seed=1, **arguments)
    assert (quick.cost != other.cost).mean() > 0.5


def test_damaged_part_is_named(tmp_path: Path) -> None:
    """A kept file that cannot be read is an error that names it, not a silent re-run."""
    optrl.compare(small(), ["base_stock"], scenarios=8, folder=tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(optrl.OptrlError, match=file.name):
        optrl.compare(small(), ["base_stock"], scenarios=8, folder=tmp_path)


def test_stops_when_settled(
    build_store: Callable[..., Instance], kinds: dict[str, type], expected_cost: Callable
) -> None:
    """A clear ranking stops early and is right; equal policies run to the end, share a rank."""
    instance = build_store(40)
    clear = optrl.compare(instance, [kinds["up_to_eight"], kinds["up_to_six"]], scenarios=800)
    assert clear.settled
    assert clear.scenarios < 800
    better = "up_to_eight" if expected_cost(8) < expected_cost(6) else "up_to_six"
    assert clear.ranking["policy"][0] == better
    assert clear.pairs["proven"].all()
    known = 40 * abs(expected_cost(8) - expected_cost(6))
    assert clear.pairs["low_all"][0] <= known <= clear.pairs["high_all"][0]
    equal = optrl.compare(
        build_store(1),
        [kinds["up_to_six"], kinds["random_about_six"]],
        scenarios=40,
        tolerance=0,
    )
    assert not equal.settled
    assert equal.scenarios == 40
    assert equal.ranking["best_rank"].to_list() == [1, 1]
    same = optrl.compare(
        instance, [kinds["up_to_six"], kinds["also_up_to_six"]], scenarios=800, tolerance=0
    )
    assert same.settled
    assert same.ranking["best_rank"].to_list() == [1, 1]
    assert same.ranking["worst_rank"].to_list() == [2, 2]


@pytest.mark.parametrize("name", ["random_about_six", "locked_about_six"])
def test_policies_that_remember_are_fresh_in_each_part(
    build_store: Callable[..., Instance], kinds: dict[str, type], name: str, tmp_path: Path
) -> None:
    """A policy's generator starts anew in every part, whatever was run before."""
    instance, kind = build_store(5), kinds[name]
    arguments = {"until_settled": False}
    longer = optrl.compare(instance, [kind], scenarios=64, **arguments)
    # Its first part is kept, so that the second is the first that this process runs.
    optrl.compare(instance, [kind], scenarios=4, folder=tmp_path, **arguments)
    resumed = optrl.compare(instance, [kind], scenarios=8, folder=tmp_path, **arguments)
    assert np.array_equal(longer.cost[:8], resumed.cost)


def test_trained_policies_enter_ready_made(
    build_store: Callable[..., Instance], kinds: dict[str, type], tmp_path: Path
) -> None:
    """A ready policy decides as its class does, a copy in each part; its parts need a mark."""
    instance, kind = build_store(5), kinds["random_about_six"]
    ready = kind.fit(instance, None)
    trained = Trained("mine", ready, "abc")
    result = optrl.compare(instance, [kind, trained], scenarios=16, folder=tmp_path)
    assert np.array_equal(result.cost[:, 0], result.cost[:, 1])
    assert "generator" not in ready.__dict__
    assert list(tmp_path.rglob("mine-abc/*.npz"))
    with pytest.raises(optrl.OptrlError, match="no fingerprint"):
        optrl.compare(instance, [Trained("mine", ready)], folder=tmp_path)
    with pytest.raises(optrl.OptrlError, match="no name of a policy"):
        optrl.compare(instance, [Trained("../mine", ready)])


def test_paths_depend_on_their_number_alone() -> None:
    """A scenario is the same whichever others are drawn with it."""
    instance = small()
    drawn = Scenarios(instance, fit(instance), 5)
    whole = drawn.paths(0, 40)
    assert np.array_equal(drawn.paths(13, 31), whole[13:31])
    assert np.unique(whole.reshape(40, -1), axis=0).shape[0] == 40


def test_costs_arise_somewhere() -> None:
    """Cost by item, and by node, sums to the cost of the kinds that belong to items."""
    generator = np.random.default_rng(8)
    instance = random_instance(generator, horizon=8, integers=True)
    network = instance.network
    shape = (len(network.items), len(network.lanes), 2)
    transit = np.zeros(shape)
    transit[:, network.replenishment_lanes] = generator.uniform(
        0.1, 0.2, (shape[0], len(network.replenishment_lanes), 2)
    )
    instance = replace(instance, network=replace(network, transit_cost=transit))
    result = optrl.compare(instance, ["base_stock"], scenarios=5, warm_up=2)
    measured = result.measurements["base_stock"]
    assert measured.breakdown is not None
    shared = ("joint_fixed", "overflow")
    cost = measured.trajectory.cost
    own = sum(x[:, 2:].sum(1) for kind, x in cost.items() if kind not in shared).numpy()
    own = own - measured.trajectory.terminal_value.numpy()
    assert measured.trajectory.terminal_value.min() > 0
    np.testing.assert_allclose(measured.breakdown.item_cost.sum(1), own)
    np.testing.assert_allclose(measured.breakdown.node_cost.sum(1), own)
    np.testing.assert_allclose(measured.breakdown.item_kinds.sum(), own.mean())
    assert measured.breakdown.flow.sum() > 0


def test_gap_to_bound_and_optimum(
    build_store: Callable[..., Instance], kinds: dict[str, type], expected_cost: Callable
) -> None:
    """No policy beats the bound; the gap to a known optimum is about what theory says."""
    bounded = optrl.compare(small(), ["base_stock", "s_s"], scenarios=8, bound_scenarios=3)
    assert (bounded.cost[:3] >= bounded.bound[:, None] - 1e-6).all()
    assert bounded.ranking["gap_percent"].min() >= 0
    best = 10 * min(expected_cost(level) for level in range(20))
    judged = optrl.compare(build_store(10), [kinds["up_to_six"]], scenarios=400, optimum=best)
    row = judged.ranking.row(0, named=True)
    theory = 100 * (10 * expected_cost(6) / best - 1)
    assert abs(row["gap_percent"] - theory) <= 2 * row["gap_half_width"]


def test_replay_is_one_path_without_intervals() -> None:
    """Observed demand is replayed once; nothing is proven from it."""
    result = optrl.compare(small(), ["base_stock", "s_s"], scenarios=50, replay=True)
    assert result.scenarios == 1
    assert not result.settled
    assert not result.pairs["proven"].any()


def test_written_results_carry_hashes_and_seed(tmp_path: Path) -> None:
    """JSON and Parquet say what they rest on."""
    instance = small()
    result = optrl.compare(instance, ["base_stock", "s_s"], scenarios=8, seed=11)
    result.to_json(tmp_path / "found.json")
    result.to_parquet(tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["provenance"]["instance_hash"] == instance_hash(instance)
    assert found["provenance"]["seed"] == 11
    assert found["provenance"]["code_version"].startswith(optrl.__version__)
    assert [row["policy"] for row in found["ranking"]] == result.ranking["policy"].to_list()
    for name in ("ranking", "pairs", "indicators", "scenarios"):
        about = json.loads(pl.read_parquet_metadata(tmp_path / f"{name}.parquet")["optrl"])
        assert about["instance_hash"] == instance_hash(instance)
        assert about["seed"] == 11
    assert_frame_equal(pl.read_parquet(tmp_path / "scenarios.parquet"), result.by_scenario)


def test_hash_tells_instances_apart() -> None:
    """Any change of a number changes the hash; loading the same twice does not."""
    one, same = small(), small()
    assert instance_hash(one) == instance_hash(same)
    same.on_hand[0, 2] += 1e-9
    assert instance_hash(one) != instance_hash(same)
    with pytest.raises(IdentityError, match=r"\[1\] is a object"):
        hash_of([1, object()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policies": ["base_stok"]}, "did you mean 'base_stock'"),
        ({"policies": []}, "at least one policy"),
        ({"policies": ["s_s", "s_s"]}, "given twice"),
        ({"scenarios": 0}, "scenarios is 0"),
        ({"confidence": 1.0}, "confidence is 1"),
        ({"confidence": 95}, "confidence is 95"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
        ({"bound_scenarios": -1}, "bound_scenarios is -1"),
        ({"warm_up": 8}, "warm_up is 8"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_wrong_input_is_refused(arguments: dict, message: str) -> None:
    """Each wrong argument is named."""
    given = {"policies": ["base_stock"]} | arguments
    with pytest.raises(optrl.OptrlError, match=message):
        optrl.compare(small(), **given)
