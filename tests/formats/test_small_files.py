"""Every format on a file that the tests write, with the optimum solved by hand."""

import gzip
import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from optrl.formats import solve_file
from optrl.formats.recognition import formats, read, recognize
from optrl.solver import Model


def solve_one(path, **options):
    (result,) = solve_file(path, relative_gap=0.0, **options)
    assert result.status == "optimal"
    assert result.gap == pytest.approx(0.0, abs=1e-9)
    return result


def test_every_module_with_a_reader_is_found():
    """Walking the package finds the formats and nothing else."""
    assert set(formats()) == {
        "dimacs_min",
        "fcnetlib",
        "guaranteed_service",
        "mps",
        "ndp",
        "netdes",
        "orlib_cap",
        "smps",
        "trigeiro",
    }


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("small.txt", "orlib_cap"),
        ("small.min", "dimacs_min"),
        ("small.inc", "fcnetlib"),
        ("network.txt", "guaranteed_service"),
        ("SMALL", "trigeiro"),
        ("small.mps", "mps"),
        ("vendor.cor", "smps"),
        ("vendor.tim", "smps"),
        ("vendor.sto", "smps"),
        ("arcs.dat", "netdes"),
        ("arcs.ndp", "ndp"),
    ],
)
def test_recognized_by_exactly_one(write, name, format_name):
    """Each small file is recognized by its own format alone."""
    assert recognize(write(name)) == format_name


def test_warehouse_location(write):
    """Both warehouses open: 4 + 5 + 6 + 4; with room for one customer only, the same."""
    result = solve_one(write("small.txt"), capacity=4.0)
    assert result.objective == pytest.approx(19.0)
    assert result.problem == "small_4"
    assert result.parameters == {"capacity": 4.0}
    assert result.size == {"warehouses": 2, "customers": 2}
    # Room for 3 units only at the second: 3/4 of customer 2 there, the rest at 20 for all of it.
    assert solve_one(write("small.txt"), capacity=3.0).objective == pytest.approx(
        4 + 5 + 6 + 0.75 * 4 + 0.25 * 20
    )


def test_published_capacities_are_solved_one_by_one(write):
    """A file named capa that leaves the capacity open holds four problems."""
    source = write("small.txt")
    path = source.with_name("capa.txt")
    source.rename(path)
    assert [r.problem for r in solve_file(path)] == [
        "capa_8000",
        "capa_10000",
        "capa_12000",
        "capa_14000",
    ]


def test_minimum_cost_flow(write):
    """Lower bound 1 on the middle arc: 2 by 1-3-4, 2 by 1-2-3-4 at cost 3 and 4 each."""
    result = solve_one(write("small.min"))
    assert result.objective == pytest.approx(2 * 3 + 2 * 4)
    assert result.size == {"nodes": 4, "arcs": 5}


def test_fixed_charge_flow_obeys_statements(write):
    """Signs flip, fixed costs double, negative rows are free: 5 units over the copies of n1-n2."""
    result = solve_one(write("small.inc"))
    assert result.size == {"nodes": 3, "arcs": 4}
    assert result.objective == pytest.approx(min(2 * 4 + 5 * 1, 2 * 1 + 5 * 3))
    # Without the doubling the dear copy becomes dearer still by comparison.
    plain = write("small.inc", "fcost(m,n,s) = 2 * fcost(m,n,s);\n", "")
    assert solve_one(plain).objective == pytest.approx(4 + 5)


def test_guaranteed_service(write):
    """Plant holds (tau 3) or shop holds (tau 4): the smaller by the closed formula."""
    path = write("network.txt")
    plant, shop = 1.0 * (2 * 4.0), (10 + 2 * 1.0) * 4.0  # cost times demand bound
    expected = min(plant * math.sqrt(3) + shop * math.sqrt(1), shop * math.sqrt(4))
    result = solve_one(path)
    assert result.objective == pytest.approx(expected)
    assert "value of the safety stock" in result.notes[0]
    assert solve_one(path, holding_rate=0.25).objective == pytest.approx(0.25 * expected)
    path.with_name("known_values.json").write_text(json.dumps({"network": {"rate": 0.5}}))
    beside = solve_one(path)
    assert beside.objective == pytest.approx(0.5 * expected)
    assert beside.parameters == {"holding_rate": 0.5}


def test_lot_sizing(write):
    """Item 1 made once (10 + 5 + 2 * 6), or twice; item 2 once in period 2 (20 + 2 * 5)."""
    result = solve_one(write("SMALL"))
    # Item 1: in period 1 all 15 units: 17 of 20. Item 2: in period 2 its 11 units: 14 of 20.
    item_1 = min(10 + 5 * 1 + 6 * 2, 20 + 6 * 1, 20 + 5 * 1, 30)
    assert result.objective == pytest.approx(item_1 + min(20 + 5 * 2, 40))
    assert result.size == {"items": 2, "periods": 3}
    # With capacity 13 item 2 cannot make its 11 units in one set-up of 3.
    tight = solve_one(write("SMALL", "   20\n", "   13\n"))
    assert tight.objective > result.objective


def test_mps_and_compressed_mps(write):
    """2 x >= 5 - y with x whole: x = 2, y = 1 (8) beats x = 3 (9); gzip reads the same."""
    path = write("small.mps")
    assert solve_one(path).objective == pytest.approx(8.0)
    packed = path.with_name("packed.mps.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    result = solve_one(packed)
    assert (result.problem, result.objective) == ("packed", pytest.approx(8.0))
    other = path.with_name("unnamed")
    other.write_bytes(path.read_bytes())
    assert recognize(other) == "mps"


def test_mps_that_maximizes(write):
    """OBJSENSE MAX is reported in its own sense, with the bound above the objective."""
    path = write("small.mps", "ROWS\n", "OBJSENSE\n    MAX\nROWS\n")
    path.write_text(path.read_text().replace(" G  NEED", " L  NEED"))
    result = solve_one(path)
    assert result.objective == pytest.approx(10.0)  # y = 5


def write_smps(write, **changes):
    for name in ("vendor.cor", "vendor.tim", "vendor.sto"):
        path = write(name, *changes.get(name.split(".")[1], ()))
    return path.with_suffix("")


def test_network_design_before_demand(write):
    """By hand: arcs 10 and 7 are opened; flow costs 6 in one scenario, 16 + 2 in the other."""
    result = solve_one(write("arcs.dat"))
    assert result.objective == pytest.approx(10 + 7 + 0.5 * 6 + 0.5 * 18)
    assert result.size == {"nodes": 3, "arcs": 2, "scenarios": 2}


def test_network_design_under_a_chance_constraint(write):
    """By hand: with 5 % of demand 12 given up the small arc does; with 50 % both are needed."""
    assert solve_one(write("arcs.ndp")).objective == pytest.approx(5.0)
    even = write("arcs.ndp", "0.95 2.0\n0.05", "0.5 2.0\n0.5")
    assert solve_one(even).objective == pytest.approx(13.0)


def test_smps_scenarios(write):
    """Newsvendor: 6 bought, 6 - 3 (0.3 * 4 + 0.4 * 6 + 0.3 * 6); read by stem and by any file."""
    stem = write_smps(write)
    for path in (stem, *(stem.with_suffix(s) for s in (".cor", ".tim", ".sto"))):
        result = solve_one(path)
        assert result.problem == "vendor"
        assert result.objective == pytest.approx(6 - 3 * 5.4)
    assert result.size == {
        "scenarios": 3,
        "first_stage_columns": 1,
        "second_stage_columns": 2,
        "first_stage_rows": 0,
        "second_stage_rows": 2,
    }


def sections(write, text):
    stem = write_smps(write)
    stem.with_suffix(".sto").write_text(f"STOCH         vendor\n{text}ENDATA\n")
    return stem


def test_smps_independent_numbers(write):
    """Independent demand and price: all combinations, in their probabilities."""
    stem = sections(
        write,
        "INDEP         DISCRETE\n"
        "    RHS       DEMAND    4.0       TWO   0.5\n"
        "    RHS       DEMAND    8.0       TWO   0.5\n"
        "    SELL      COST     -2.0             0.25\n"
        "    SELL      COST     -6.0             0.75\n",
    )
    # Mean price 5: buying the last 4 units pays 0.5 * 5 - 1 each.
    result = solve_one(stem)
    assert result.size["scenarios"] == 4
    assert result.objective == pytest.approx(8 - 5 * 6)


def test_smps_blocks_inherit_from_their_first_outcome(write):
    """A later outcome of a block lists differences only; bounds and entries change too."""
    stem = sections(
        write,
        "BLOCKS        DISCRETE\n"
        " BL B1        TWO       0.5\n"
        "    RHS       DEMAND    4.0\n"
        "    BUY       STOCK    -0.5\n"
        " UP BND       SELL      3.0\n"
        " BL B1        TWO       0.5\n"
        "    BUY       STOCK    -1.0\n",
    )
    (problem,) = read(stem)
    program = problem.program()
    np.testing.assert_allclose(program.matrix.toarray()[:, 0], [-0.5, 0, -1.0, 0])
    np.testing.assert_allclose(program.row_upper, [0, 4, 0, 4])
    np.testing.assert_allclose(program.column_upper[[1, 3]], [3, 3])
    # 3 bought: sells 1.5 and 3. 6 bought: sells 3 and 3.
    assert Model(program).solve().objective == pytest.approx(
        min(3 - 3 * (0.5 * 1.5 + 0.5 * 3), 6 - 3 * 3)
    )


def test_smps_rounded_probabilities_are_normalized_and_noted(write):
    """0.333333 three times is accepted, normalized, and said so."""
    text = "".join(
        f" SC S{k}        ROOT      0.333333  TWO\n    RHS       DEMAND    {d}\n"
        for k, d in enumerate((4.0, 6.0, 8.0))
    )
    result = solve_one(sections(write, f"SCENARIOS     DISCRETE\n{text}"))
    assert result.objective == pytest.approx(6 - 3 * 16 / 3)
    assert "sum to 0.999999: normalized" in result.notes[0]


def test_results_are_plain_values(write):
    """A result turns into JSON as it is."""
    result = solve_one(write("small.min"))
    assert json.loads(json.dumps(asdict(result)))["objective"] == pytest.approx(14.0)


def test_infeasible_and_unbounded_are_results(write):
    """An infeasible or unbounded instance is an answer, not an error."""
    path = write("small.min", "a 3 4 0 5 1", "a 3 4 0 0 1")
    (result,) = solve_file(path)
    assert (result.status, result.objective, result.bound) == ("infeasible", None, None)
    (result,) = solve_file(write("small.mps", "COST      2.0   NEED      1.0", "COST     -2.0"))
    assert result.status == "unbounded"
