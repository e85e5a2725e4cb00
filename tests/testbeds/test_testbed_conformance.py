"""What every test bed found by walking the package must be."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from optrl.demand.base import DemandModel
from optrl.demand.discrete import Discrete
from optrl.identity import hash_of
from optrl.policies import find as find_policy
from optrl.simulation.rollout import simulate
from optrl.testbeds import UnknownTestBedError, find, find_bed, names
from optrl.testbeds.base import Family
from optrl.testbeds.bench import bench
from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testbeds.one_warehouse_multi_retailer import OneWarehouseMultiRetailer, demand_law
from optrl.testbeds.serial import SerialFamily
from optrl.testbeds.shared_capacity import SharedCapacity
from optrl.testbeds.simulated import simulated_cost
from optrl.testbeds.tuning import tune_levels

FAMILIES = names()


def test_the_published_families_are_there():
    """Six families, found by their names."""
    assert set(FAMILIES) >= {
        "dual-sourcing",
        "iowa",
        "lost-sales",
        "one-warehouse-multi-retailer",
        "serial",
        "shared-capacity",
    }


def test_unknown_names_suggest_the_nearest():
    """A misspelt family or case is refused with what was meant."""
    with pytest.raises(UnknownTestBedError, match="did you mean 'lost-sales'"):
        find("lost_sale")
    with pytest.raises(UnknownTestBedError, match="lost-sales/poisson-p9-L2"):
        find_bed("lost-sales/poison-p9L2")
    with pytest.raises(UnknownTestBedError, match="did you mean 'serial/1'"):
        find_bed("serial/11")
    assert find_bed("lost-sales/poisson-p9-L2").optimum == 6.09364


@pytest.mark.parametrize("name", FAMILIES)
def test_cases_are_instances_that_simulate(name):
    """Names are unique, demand fits the instance, and a policy runs with finite costs."""
    family = find(name)
    assert isinstance(family, type)
    assert isinstance(family(), Family)
    assert family.name == name
    beds = list(itertools.islice(family.cases(), 12))
    assert len({bed.name for bed in beds}) == len(beds)
    for bed in beds[:3]:
        assert bed.name.startswith(name + "/")
        assert bed.source
        assert isinstance(bed.demand, DemandModel)
        instance = bed.instance
        np.testing.assert_array_equal(bed.demand.nodes, instance.demand.nodes)
        assert 0 <= bed.warm_up < instance.horizon
        demand = bed.demand.sample(2, instance.start, 6, np.random.default_rng(0))
        assert demand.shape[1:3] == (len(instance.network.items), len(bed.demand.nodes))
        policy = find_policy("base_stock").fit(instance, bed.demand)
        run = simulate(instance, policy, demand, seed=0)
        assert np.isfinite(run.period_cost.numpy()).all()
        if bed.optimum is not None:
            assert all(cost >= 0.999 * bed.optimum for cost in bed.published.values())


@pytest.mark.parametrize("name", ["dual-sourcing"])
def test_benchmark_rows_are_complete_and_ordered(name):
    """Each instance gives its optimum first, then policies that cost no less."""
    rows = list(itertools.islice(bench(name), 5))
    assert next(row.policy.split(" ")[0] for row in rows) == "optimal"
    assert len({row.instance for row in rows}) == 1
    assert all(row.gap_percent >= -1e-9 for row in rows)
    assert all(row.seconds >= 0 and row.half_width < 1e-6 for row in rows)


def test_serial_costs_are_the_published_ones_in_the_simulator():
    """Optimal echelon levels cost the optimum within 2 half-widths: the mapping is exact."""
    from optrl.exact.serial import solve
    from optrl.policies.echelon_base_stock import EchelonBaseStock

    for bed in itertools.islice(SerialFamily.cases(), 1, 3):
        level = np.array(solve(bed.problem).level)[::-1]
        policy = EchelonBaseStock.at_level(bed.instance, level)
        found = simulated_cost(bed, policy, scenarios=64, seed=2)
        assert abs(found.mean - bed.optimum) < 2 * found.half_width
        assert found.half_width < 0.01 * bed.optimum


def test_other_parameters_make_other_instances():
    """Lead time, mean, family and costs are free, and optima follow."""
    bed = LostSalesFamily.case("negative_binomial", 6.0, 2, mean=3.0, size=2.0, holding_cost=2.0)
    assert bed.demand.variance(0, 1)[0, 0, 0] == pytest.approx(3 + 9 / 2)
    same = LostSalesFamily.case("negative_binomial", 3.0, 2, mean=3.0, size=2.0)
    assert bed.solved().optimum == pytest.approx(2 * same.solved().optimum, abs=1e-5)
    cheap = DualSourcingFamily.case(2, 102.0).solved().optimum
    dear = DualSourcingFamily.case(2, 115.0).solved().optimum
    assert 200 < cheap < 216.769802 < dear
    with pytest.raises(ValueError, match="demand family"):
        LostSalesFamily.case("cauchy", 4.0, 1)


@pytest.mark.parametrize(
    ("label", "same"),
    [
        ("poisson-p4-L9", LostSalesFamily.case("poisson", 4.0, 9)),
        ("geometric-p4-L2-mean10", LostSalesFamily.case("geometric", 4.0, 2, mean=10.0)),
        (
            "negative_binomial-p4.25-L0-mean2.5-size0.5-h2",
            LostSalesFamily.case(
                "negative_binomial", 4.25, 0, mean=2.5, size=0.5, holding_cost=2.0
            ),
        ),
        ("uniform-p1234567.25-L1-mean2.5", None),
        ("l6-ce120.5", DualSourcingFamily.case(6, 120.5)),
        (
            "l3-ce9-cr7-h2-b50-u6",
            DualSourcingFamily.case(
                3,
                9.0,
                regular_unit_cost=7.0,
                holding_cost=2.0,
                backorder_cost=50.0,
                largest_demand=6,
            ),
        ),
    ],
)
def test_labels_name_instances_beyond_the_published(label, same):
    """A label gives the instance whose name it is, to the last bit; numbers are bounded."""
    if same is None:
        with pytest.raises(UnknownTestBedError, match=r"p is 1234567.25; .* 0.01 and 10000"):
            find_bed(f"lost-sales/{label}")
        return
    bed = find_bed(same.name)
    assert bed.name.split("/")[1] == label
    assert hash_of(bed.instance) == hash_of(same.instance)
    assert hash_of(bed.demand) == hash_of(same.demand)
    assert bed.problem is None or hash_of(bed.problem) == hash_of(same.problem)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lost-sales/poisson-p4", r"DEMAND-pP-LL\[-meanM\].*such as lost-sales/geometric-p4-L2"),
        ("lost-sales/cauchy-p4-L1", "there is no instance .*demand family 'cauchy'"),
        ("lost-sales/uniform-p4-L1-mean2.25", "choose 2 or 2.5"),
        ("lost-sales/poisson-p4-L101", "L is 101; it must lie between 0 and 100"),
        ("lost-sales/poisson-p0-L1", "p is 0; it must lie between 0.01"),
        ("dual-sourcing/l2", r"lL-ceC\[-crR\].*such as dual-sourcing/l3-ce120-u6"),
        ("dual-sourcing/l2-ce90", "there is no instance .*less than regular ones"),
        ("dual-sourcing/l2-ce105-u2.5", "lL-ceC"),
    ],
)
def test_labels_that_say_nothing_are_refused_with_their_form(name, said):
    """What cannot be is told with the form of labels, or with what is wrong."""
    with pytest.raises(UnknownTestBedError, match=said):
        find_bed(name)


def test_labels_tell_instances_apart_and_find_published_ones():
    """Names hold every digit; other words for a published instance give it with its optimum."""
    beds = [LostSalesFamily.case("poisson", p, 1) for p in (4.1234567, 4.1234568)]
    assert len({bed.name for bed in beds}) == 2
    assert find_bed(beds[0].name).problem.shortage_cost == 4.1234567
    assert find_bed("lost-sales/poisson-p9.0-L2-mean5").optimum == 6.09364


def test_uniform_demand_has_the_mean_asked_for():
    """A mean of halves is exact; another cannot be on whole numbers from 0, and is refused."""
    bed = LostSalesFamily.case("uniform", 4.0, 1, mean=2.5)
    assert bed.demand.mean(0, 1)[0, 0, 0] == pytest.approx(2.5)
    for mean, said in ((2.25, "choose 2 or 2.5"), (2.4999, "whole number")):
        with pytest.raises(ValueError, match=said):
            LostSalesFamily.case("uniform", 4.0, 1, mean=mean)


def test_shared_capacity_is_as_tight_as_asked():
    """Expected volume over capacity is the tightness, whatever the size."""
    for items, stores, tightness in ((3, 1, 0.5), (30, 5, 0.95)):
        bed = SharedCapacity.case(items, stores, tightness)
        resource = bed.instance.network.resources[0]
        volume = resource.use @ bed.demand.mean(0, 1)[:, :, 0].sum(axis=1)
        assert volume / resource.capacity[0] == pytest.approx(tightness)
        assert len(bed.instance.network.nodes) == stores + 2


def test_the_interval_of_the_bound_is_students(monkeypatch):
    """Eight scenarios: the half-width of the bound's mean is Student's t, as that of policies."""
    bound = np.array([3.0, 5.0, 4.0, 8.0, 6.0, 5.0, 7.0, 2.0])
    monkeypatch.setattr(
        "optrl.testbeds.shared_capacity.perfect_information",
        lambda *_, **__: SimpleNamespace(bound=26 * bound),
    )
    row = next(iter(SharedCapacity.rows()))
    low, high = stats.t.interval(0.95, 7, bound.mean(), stats.sem(bound))
    assert row.cost == pytest.approx(bound.mean())
    assert row.half_width == pytest.approx((high - low) / 2)


def test_laws_of_the_retailers():
    """Uniform and normal laws have the moments their text says."""
    demand = np.arange(61)
    assert demand_law("U[0,6]") @ demand == pytest.approx(3.0)
    assert demand_law("Poisson(0.5)") @ demand == pytest.approx(0.5)
    assert demand_law("N(5,1)") @ demand == pytest.approx(5.0, abs=1e-3)
    wide = demand_law("N(1,5)") @ demand
    assert wide == pytest.approx(2.52, abs=0.05)
    with pytest.raises(ValueError, match="demand"):
        demand_law("Cauchy(1)")


def test_tuning_improves_and_agrees_with_the_simulator():
    """The tuned levels cost less than the first, and the same in a simulation of their own."""
    from optrl.policies.base_stock import BaseStock

    case, _ = next(OneWarehouseMultiRetailer.problems())
    start = case.first_levels(echelon=False)
    found = tune_levels(
        case.instance, case.demand, BaseStock.at_level, start, warm_up=100, scenarios=16, steps=(2,)
    )
    bed = next(OneWarehouseMultiRetailer.cases())

    def cost(levels):
        return simulated_cost(
            bed, BaseStock.at_level(bed.instance, levels[None]), scenarios=16, seed=1
        ).mean

    assert cost(found.levels) <= cost(start)
    assert cost(found.levels) == pytest.approx(found.cost, rel=1e-5)


def test_discrete_demand_has_its_moments():
    """Sampled mean and variance match the table, pair by pair."""
    table = np.array([[[0.2, 0.0, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0]]])
    model = Discrete(np.array([1, 4]), table)
    paths = model.sample(5000, 0, 4, np.random.default_rng(0))
    assert set(np.unique(paths[:, 0, 0])) == {0.0, 2.0}
    assert (paths[:, 0, 1] == 3).all()
    assert paths[:, 0, 0].mean() == pytest.approx(1.6, abs=0.03)
    np.testing.assert_allclose(model.mean(0, 1)[0, :, 0], [1.6, 3.0])
    np.testing.assert_allclose(model.variance(0, 1)[0, :, 0], [0.64, 0.0], atol=1e-12)
    with pytest.raises(ValueError, match="sum to 1"):
        Discrete(np.array([1]), np.array([[[0.5, 0.4]]]))
