"""The exact methods reproduce the published tables."""

import pytest

from optrl.testbeds.dual_sourcing import DualSourcingFamily
from optrl.testbeds.dual_sourcing import exact_rows as dual_rows
from optrl.testbeds.lost_sales import LostSalesFamily
from optrl.testbeds.lost_sales import exact_rows as lost_rows
from optrl.testbeds.serial import SerialFamily

LOST = {bed.name: bed for bed in LostSalesFamily.cases()}
DUAL = {bed.name: bed for bed in DualSourcingFamily.cases()}
SERIAL = {bed.name: bed for bed in SerialFamily.cases()}
SHORT = [name for name in LOST if not name.endswith("L4")]
CHECKED = ("optimal", "capped_base_stock", "projected_inventory_level")


def test_all_tables_are_complete():
    """32 lost-sales, 6 dual-sourcing and 10 serial instances."""
    assert (len(LOST), len(DUAL), len(SERIAL)) == (32, 6, 10)


@pytest.mark.parametrize("name", [*SHORT, "lost-sales/poisson-p4-L4", "lost-sales/geometric-p4-L4"])
def test_lost_sales_optimum_is_the_printed_one(name):
    """Optima of Zipkin (2008), Tables 3-4, to the printed digits."""
    solved = LOST[name].solved()
    assert solved.optimum == pytest.approx(LOST[name].optimum, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in LOST if name.endswith(("L1", "L2"))])
def test_lost_sales_policies_have_the_known_gaps(name):
    """Best capped base stock and projected inventory level, within 0.01 points."""
    bed = LOST[name]
    rows = {row.policy.split(" ")[0]: row for row in lost_rows(bed)}
    for policy in CHECKED[1:]:
        known = 100 * (bed.published[policy] / bed.published["optimal"] - 1)
        assert rows[policy].gap_percent == pytest.approx(known, abs=0.01)
        assert rows[policy].half_width < 1e-6


@pytest.mark.parametrize("name", [name for name in DUAL if "l4" not in name])
def test_dual_sourcing_table(name):
    """Optima to 1e-6 and gaps of four heuristics within 0.001 points."""
    bed = DUAL[name]
    for row in dual_rows(bed):
        policy = row.policy.split(" ")[0]
        if policy == "optimal":
            assert row.cost == pytest.approx(bed.optimum, abs=1e-6)
        else:
            known = 100 * (bed.published[policy] / bed.published["optimal"] - 1)
            assert row.gap_percent == pytest.approx(known, abs=1e-3)
        assert row.half_width < 1e-6


@pytest.mark.parametrize("name", ["serial/1", "serial/3", "serial/5", "serial/8"])
def test_serial_optimum_is_the_published_one(name):
    """Optima within 0.05 % of the published and 1e-5 of the own earlier computation."""
    bed = SERIAL[name]
    cost = bed.solved().optimum
    assert cost == pytest.approx(bed.published["optimal"], rel=5e-4)
    assert cost == pytest.approx(bed.optimum, rel=1e-5)
