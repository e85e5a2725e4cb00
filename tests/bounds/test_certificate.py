"""Certificates say what holds jointly, refuse what does not, and report faults."""

import numpy as np
import pytest

import optrl
from optrl.bounds.certificate import Upper, certify
from optrl.bounds.conditions import Condition
from optrl.bounds.errors import BoundError, BoundFaultError, BoundRefusedError
from optrl.bounds.known_bounds import perfect_information_bound, sddp_bound
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.policy_certificate import certify_policy
from optrl.demand.fit import fit
from optrl.testing import random_instance


def sampled(name, values, paths="p"):
    """A bound of given numbers."""
    return LowerBound(name, "none", (), sample=np.asarray(values, dtype=float), paths=paths)


def test_statements_hold_together_as_often_as_said():
    """With the best of six bounds picked, cost, bound and gap hold jointly in 95 % of samples."""
    generator = np.random.default_rng(1)
    cost, levels = 10.0, np.array([8.9, 9.0, 9.0, 9.0, 8.8, 9.0])
    held, runs = 0, 600
    for _ in range(runs):
        common = generator.normal(0, 1, 20)
        costs = cost + common + generator.normal(0, 0.5, 20)
        bounds = [
            sampled(f"b{k}", level + common + generator.normal(0, 0.7, 20))
            for k, level in enumerate(levels)
        ]
        found = certify(Upper("x", costs, "p"), bounds)
        picked = levels[found.considered.index(found.bound.name)]
        held += cost <= found.upper and found.lower <= picked and cost - picked <= found.gap
    assert held / runs >= 0.94


def test_pairing_narrows_the_gap():
    """On the same paths what both have in common drops out; under another name it does not."""
    generator = np.random.default_rng(2)
    common = generator.normal(100, 10, 30)
    costs = common + 3 + generator.normal(0, 0.1, 30)
    together = certify(Upper("x", costs, "p"), [sampled("b", common)])
    apart = certify(Upper("x", costs, "q"), [sampled("b", common)])
    assert together.paired
    assert not apart.paired
    assert together.gap < 3.2 < apart.gap
    assert together.gap >= 3 - 0.1


def test_one_scenario_certifies_nothing():
    """Without a second number there is no sampling error, so that the gap is unknown."""
    found = certify(Upper("x", np.array([5.0]), "p"), [sampled("b", [4.0])])
    assert found.gap == np.inf
    assert found.summary()["relative_gap"] is None


def test_a_proved_bound_needs_no_sampling():
    """A deterministic bound takes no share of the error and has no spread."""
    costs = np.array([5.0, 5.1, 4.9, 5.0])
    proved = LowerBound("proved", "none", (), value=4.8)
    found = certify(Upper("x", costs), [proved])
    assert found.lower == 4.8
    assert found.gap == pytest.approx(found.upper - 4.8)


def test_violated_conditions_are_refused():
    """A bound cannot be made of a condition that does not hold; the error says which."""
    with pytest.raises(BoundRefusedError, match="needs that water is wet, but it is dry"):
        LowerBound("x", "", (Condition("water is wet", holds=False, found="it is dry"),), value=1.0)
    instance = random_instance(np.random.default_rng(4), horizon=8)
    demand = fit(instance).sample(2, instance.start, 8, np.random.default_rng(0))
    with pytest.raises(BoundRefusedError, match="costs of all periods count"):
        perfect_information_bound(instance, demand, seed=0, warm_up=2)


def test_sddp_is_refused_for_other_demand(lost_sales):
    """Cuts made for one demand bound nothing under another, nor over another horizon."""
    from dataclasses import replace

    from optrl.decomposition.sddp import DemandOutcomes
    from optrl.demand.paths import steady
    from optrl.demand.poisson import Poisson

    source = lost_sales.source
    outcomes = [grouping.outcomes for grouping in lost_sales.groupings]
    kept = sddp_bound(source.instance, source.model, outcomes, lost_sales.sddp)
    assert kept.proved
    assert kept.mean <= lost_sales.optimum * (1 + 1e-6)
    other = Poisson(np.array([1]), steady(np.array([[3.0]])))
    with pytest.raises(BoundRefusedError, match="expectation of the model's demand"):
        sddp_bound(source.instance, other, outcomes, lost_sales.sddp)
    wide = DemandOutcomes(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]))
    with pytest.raises(BoundRefusedError, match="vary no more than the model's demand"):
        sddp_bound(source.instance, source.model, [wide] * len(outcomes), lost_sales.sddp)
    longer = replace(source.instance, horizon=9)
    with pytest.raises(BoundRefusedError, match="periods of the horizon"):
        sddp_bound(longer, source.model, outcomes, lost_sales.sddp)


@pytest.mark.parametrize("paths", ["p", "q"])
def test_a_bound_above_the_cost_is_a_fault(paths):
    """Loudly: which policy, which bound, by how much."""
    generator = np.random.default_rng(3)
    costs = 10 + generator.normal(0, 0.1, 30)
    with pytest.raises(BoundFaultError, match="'cheap' was simulated to cost"):
        certify(Upper("cheap", costs, paths), [sampled("wrong", costs + 1)])
    with pytest.raises(BoundFaultError, match="wrong"):
        certify(Upper("cheap", costs), [LowerBound("wrong", "", (), value=11.0)])


def test_a_loose_pairing_spoils_neither_cost_nor_fault():
    """Cost stays below its limit, and a limit below a proved bound is a fault, paired or not."""
    generator = np.random.default_rng(4)
    costs, wild = 10 + generator.normal(0, 0.1, 6), generator.normal(0, 50, 6)
    sound = LowerBound("wild", "", (), value=9.0, sample=9 + wild, paths="p")
    found = certify(Upper("x", costs, "p"), [sound])
    assert found.lower <= found.cost <= found.upper
    assert found.cost == pytest.approx(costs.mean())
    wrong = LowerBound("wild", "", (), value=11.0, sample=11 + wild, paths="p")
    with pytest.raises(BoundFaultError, match="chance"):
        certify(Upper("x", costs, "p"), [wrong])


def test_nothing_is_certified_of_nothing():
    """No bound, no cost, or numbers that are none are errors."""
    with pytest.raises(BoundError, match="no bound"):
        certify(Upper("x", np.ones(3)), [])
    with pytest.raises(BoundError, match="must be numbers"):
        certify(Upper("x", np.array([1.0, np.nan])), [LowerBound("b", "", (), value=0.0)])
    with pytest.raises(BoundError, match="neither a number nor a sample"):
        LowerBound("b", "", ())


def test_policies_of_a_random_network_are_certified():
    """Lower <= upper on every path, and a summary that says what it rests on."""
    instance = random_instance(np.random.default_rng(0), items=3, horizon=8)
    found = certify_policy(instance, "base_stock", 6)
    assert found.lower <= found.upper
    assert found.gap >= found.estimated_gap >= 0
    said = found.summary()
    assert "known in advance" in said["assumption"]
    assert said["paired"]


def test_comparisons_hold_their_policies_against_the_bound():
    """Beside each policy the certified gap stands, from the better of two bounds."""
    instance = random_instance(np.random.default_rng(0), items=3, horizon=8)
    found = optrl.compare(
        instance, ["base_stock", "s_s"], scenarios=8, bound_scenarios=6, until_settled=False
    )
    gaps = dict(found.ranking.select("policy", "gap_percent").iter_rows())
    for policy, certificate in found.certificates.items():
        if certificate.bound.name == "perfect information":
            assert 100 * certificate.estimated_gap / certificate.bound.mean >= gaps[policy] - 1e-9
        assert certificate.considered == ("fluid", "perfect information")
        assert certificate.relative_gap > certificate.estimated_relative_gap
    assert [c["policy"] for c in found.summary()["certificates"]] == list(found.policies)
    alone = optrl.compare(instance, ["base_stock"], scenarios=8)
    assert alone.certificates["base_stock"].bound.name == "fluid"
    assert len(alone.fluid.sample) == alone.scenarios
    replayed = optrl.compare(instance, ["base_stock"], replay=True)
    assert not replayed.certificates
    assert "one path" in replayed.uncertified
