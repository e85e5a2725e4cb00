"""What a comparison refuses, and what keeps its demand and its reference apart from others."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import optrl
from optrl.comparison.scenarios import Scenarios
from optrl.errors import OptrlError
from optrl.instance import Instance
from optrl.report.wording import stopping
from optrl.testbeds import find_bed
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testing import random_instance


def small() -> Instance:
    """An instance that is quick to run."""
    return random_instance(np.random.default_rng(4), horizon=8)


def test_demand_is_not_what_the_seed_alone_gives() -> None:
    """A policy or training that draws from its seed alone does not meet the judge's demand."""
    bed = find_bed("dual-sourcing/l2-ce105")
    instance = replace(bed.instance, horizon=20)
    judged = Scenarios(instance, bed.demand, 7).paths(0, 64)
    for entropy in (7, [7, 0], [7, 3], [7, 0, 0]):
        drawn = bed.demand.sample(8, instance.start, 20, np.random.default_rng(entropy))
        same = (judged[:, None] == drawn[None]).all(axis=(2, 3, 4))
        assert not same.any()


def test_no_bound_where_a_warm_up_is_left_out() -> None:
    """The bound counts all periods: beside a cost of fewer it would be no bound."""
    with pytest.raises(OptrlError, match="counts all 8 periods, and the first 2"):
        optrl.compare(small(), ["base_stock"], scenarios=4, warm_up=2, bound_scenarios=1)
    bed = find_bed("one-warehouse-multi-retailer/1")
    with pytest.raises(OptrlError, match="the first 100"):
        optrl.compare(bed, ["base_stock"], scenarios=2, bound_scenarios=1)


def test_optimum_is_for_the_bed_s_own_demand() -> None:
    """With another demand the optimum of a test bed says nothing; with its own it is used."""
    bed = find_bed("lost-sales/poisson-p4-L1")
    bed = replace(bed, instance=replace(bed.instance, horizon=210))
    other = LostSalesFamily.case("poisson", 4, 1, mean=8).demand
    assert optrl.compare(bed, ["base_stock"], scenarios=2, demand=other).reference is None
    assert optrl.compare(bed, ["base_stock"], scenarios=2).reference == "optimum"


def test_a_warm_up_of_none_is_the_bed_s_and_0_is_none() -> None:
    """What is asked for counts, 0 too; the optimum is for the bed's own warm-up."""
    bed = find_bed("lost-sales/poisson-p4-L1")
    bed = replace(bed, instance=replace(bed.instance, horizon=210))
    found = {
        asked: optrl.compare(bed, ["base_stock"], scenarios=2, warm_up=asked)
        for asked in (None, 0, 205)
    }
    assert [x.settings.warm_up for x in found.values()] == [200, 0, 205]
    assert [x.reference for x in found.values()] == ["optimum", None, "optimum"]
    assert found[0].cost.min() > 10 * found[None].cost.max()
    bounded = optrl.compare(bed, ["base_stock"], scenarios=1, warm_up=0, bound_scenarios=1)
    assert bounded.bound[0] <= bounded.cost[0, 0]


def test_damaged_parts_are_named(tmp_path: Path) -> None:
    """However a kept part is damaged: an error that says what to remove, or the same numbers."""
    arguments = {"scenarios": 8, "seed": 5, "folder": tmp_path}
    whole = optrl.compare(small(), ["base_stock"], **arguments)
    (file,) = tmp_path.rglob("*.npz")
    good = file.read_bytes()
    generator, refused = np.random.default_rng(0), 0
    for _ in range(60):
        damaged = bytearray(good)
        for place in generator.integers(len(good), size=3):
            damaged[place] ^= 1 << int(generator.integers(8))
        file.write_bytes(bytes(damaged))
        cost, said = whole.cost, "Remove the file"
        try:
            cost = optrl.compare(small(), ["base_stock"], **arguments).cost
        except OptrlError as error:
            refused, said = refused + 1, str(error)
        np.testing.assert_array_equal(cost, whole.cost)
        assert "Remove the file" in said
    assert refused > 20


def test_parts_of_other_shape_are_named(tmp_path: Path) -> None:
    """A part without an array, or of other scenarios, is no part of this run."""
    arguments = {"scenarios": 8, "seed": 5, "folder": tmp_path}
    optrl.compare(small(), ["base_stock"], **arguments)
    (file,) = tmp_path.rglob("*.npz")
    with np.load(io.BytesIO(file.read_bytes())) as found:
        arrays = dict(found)
    without = {key: value for key, value in arrays.items() if key != "seconds"}
    fewer = {k: x[:5] if x.ndim and len(x) == 8 else x for k, x in arrays.items()}
    for wrong in (without, fewer, {}):
        np.savez(file, **wrong)
        with pytest.raises(OptrlError, match="'base_stock' on scenarios 0 to 7 is no part"):
            optrl.compare(small(), ["base_stock"], **arguments)


def test_report_says_why_a_run_with_limits_stopped(
    build_store: Callable[..., Instance], kinds: dict[str, type]
) -> None:
    """A run that stops early because nothing more can be told apart did not run all scenarios."""
    found = optrl.compare(
        build_store(),
        [kinds[name] for name in ("up_to_six", "up_to_eight", "random_about_six")],
        scenarios=4000,
        limits={"random_about_six": 2},
        tolerance=0.0,
        seed=1,
    )
    assert found.scenarios < 4000
    assert not found.settled
    assert f"after {found.scenarios:,} of at most 4,000" in stopping(found)


def test_a_test_bed_has_nothing_to_replay():
    """The complaint is about the missing demand, not about a family fitted to none of it."""
    bed = find_bed("lost-sales/poisson-p4-L1")
    with pytest.raises(OptrlError, match="holds nothing from period"):
        optrl.compare(bed, ["base_stock"], scenarios=2, replay=True)
