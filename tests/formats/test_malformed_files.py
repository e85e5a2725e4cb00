"""Malformed files: one clear error each, naming file, line, value and remedy."""

import pytest

from optrl.errors import OptrlError
from optrl.formats import FormatError, solve_file


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "message"),
    [
        ("small.txt", " 3\n", " three\n", 4, "the demand of customer 1 must be a number"),
        ("small.txt", " 10 4.", " -10 4.", 2, "the capacity of warehouse 1 must be at least 0"),
        ("small.txt", " 20.0 4.0\n", " 20.0\n", 7, "the file ends where the cost of serving"),
        ("small.txt", " 20.0 4.0\n", " 20.0 4.0 1\n", 7, "text follows the last of 2 customers"),
        ("small.txt", "", "", 2, "the capacity is left open"),
        ("small.txt", " 3\n", " 0\n", 4, "customer 1 has no demand"),
        ("small.min", "a 1 2 0 4 2", "a 1 9 0 4 2", 5, "nodes are numbered up to 4"),
        ("small.min", "a 1 2 0 4 2", "a 1 2 0 4", 5, "a line 'a' has 6 words"),
        ("small.min", "a 1 2 0 4 2", "x 1 2 0 4 2", 5, "a line starts with c, p, n or a"),
        ("small.min", "a 2 3 1 2 1", "a 2 3 3 2 1", 7, "the lower bound 3 exceeds the capacity"),
        ("small.min", "a 2 3 1 2 1\n", "", 8, "5 arcs are stated on the problem line, 4 follow"),
        ("small.min", "n 4 -4", "n 4 -3", None, "supply and demand must sum to 0 (found '1')"),
        ("small.min", "n 4 -4", "n 1 -4", 4, "the node's supply is given twice"),
        ("small.min", "a 1 2 0 4 2", "a 1 2 0 -4 2", 5, "the capacity must be at least 0"),
        ("small.min", "a 1 2 0 4 2", "a 1.5 2 0 4 2", 5, "a node number must be a whole number"),
        ("small.min", "n 1 4", "p min 4 5", 3, "a second problem line"),
        ("small.inc", "n1      n2      a1             4", "n1 n7 a1 4", 8, "not in Set n"),
        ("small.inc", "n1      n2      a1             4", "n1 n2 a7 4", 8, "not in Set s"),
        ("small.inc", "n1      n2      a1             4", "n1 n2 4", 8, "a row of fcost has 4"),
        (
            "small.inc",
            "demand(n) = -demand(n)",
            "demand(n) = sqr(1)",
            29,
            "not one of the format's",
        ),
        ("small.inc", "   n3             -5", "   n3             -4", None, "must sum to 0"),
        ("small.inc", "s)=0;\n);\n", "s)=0;\n)\n", 36, "does not end"),
        ("network.txt", "Plant,2", "Mill,2", 2, "the supplier is no stage (found 'Mill')"),
        ("network.txt", "Plant,2", "Plant", 2, "up_stages must be pairs"),
        ("network.txt", "Plant,3,", "Shop,3,", 3, "the stage is given twice"),
        ("network.txt", "Plant,3,,1,1\n", "Plant,3,,1,1,,,,Shop,1\n", None, "in a cycle"),
        ("network.txt", "Plant,3,", "Plant,3.5,", 3, "lead_time must be a whole number"),
        ("network.txt", ",5,2,2.0,", ",,,,", None, "no other and has no external demand"),
        ("network.txt", ",cost_rate", ",cost", 1, "the columns must be"),
        ("SMALL", "   20\n", "    2\n", 4, "set-up time of item 1 leaves nothing of capacity 2"),
        ("SMALL", "    6    5\n", "    6    x\n", 8, "the demand of item 2 in period 3 must be"),
        ("small.mps", "X         COST", "X         NONE", 7, "not in ROWS (found 'NONE')"),
        ("small.mps", "NEED      5.0", "NEED      5.x", 11, "the value must be a number"),
        ("small.mps", "BND       X ", "BND       Z ", 13, "not in COLUMNS (found 'Z')"),
        ("small.mps", "ENDATA\n", "", 13, "does not end with ENDATA"),
        ("small.mps", " G  NEED", " Q  NEED", None, "HiGHS cannot read it: ERROR"),
        ("small.mps", "COST      2.0   NEED", "NEED      1.0   NEED", None, "duplicate"),
        ("small.mps", " UP BND       X ", " SC BND       Y ", None, "semicontinuous columns"),
        ("arcs.dat", "+\n", "", None, "no line '+' ends the header"),
        ("arcs.dat", "0.5,0.5", "0.5,0.6", 10, "probabilities must sum to 1"),
        ("arcs.dat", "0,5,0;", "0,5;", 13, "capacities of scenario 0 must be 3 rows of 3"),
        ("arcs.dat", "4,-3,-1\n", "", 17, "ends where supplies of scenario 1"),
        ("arcs.ndp", "0.05 12.0", "0.06 12.0", 6, "probabilities must sum to 1"),
        ("arcs.ndp", "1 2 0.0 10.0", "1 3 0.0 10.0", 6, "nodes or counts do not fit"),
        ("arcs.ndp", "0.05 12.0\n", "", 5, "the file ends where a scenario"),
    ],
)
def test_malformed(write, name, old, new, line, message):
    """Each fault is one FormatError with the file's name, the line and a remedy."""
    with pytest.raises(FormatError) as caught:
        list(solve_file(write(name, old, new)))
    text = str(caught.value)
    assert isinstance(caught.value, OptrlError)
    assert message in text
    assert text.startswith(f"{name}, line {line}: " if line else f"{name}")
    assert line is None or caught.value.line == line
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "message"),
    [
        ("vendor.sto", "DEMAND    4.0", "NEED      4.0", 5, "the core has no such column and row"),
        ("vendor.sto", "0.4       TWO", "0.5       TWO", 4, "must sum to 1. Correct them"),
        ("vendor.sto", "SCENARIOS     DISCRETE", "SCENARIOS     ADD", 2, "only DISCRETE values"),
        ("vendor.sto", "HIGH      LOW", "HIGH      TOP", 7, "the parent is no earlier scenario"),
        ("vendor.sto", " SC MID ", " SC LOW ", 6, "the scenario is given twice"),
        ("vendor.sto", "SCENARIOS ", "SCENARIO ", 2, "sections are STOCH, INDEP"),
        ("vendor.sto", "DEMAND    8.0", "DEMAND    much", 8, "the value must be a number"),
        (
            "vendor.tim",
            "    SELL      STOCK",
            "    SOLD      STOCK",
            4,
            "the core has no such name",
        ),
        ("vendor.tim", "ENDATA", "    UNMET     DEMAND    THREE\nENDATA", 5, "two stages"),
        ("vendor.tim", "PERIODS\n", "PERIODS EXPLICIT\n", 2, "only the implicit time file"),
        ("vendor.cor", "E  DEMAND", "E  NEED", 9, "the row is not in ROWS"),
    ],
)
def test_malformed_smps(write, name, old, new, line, message):
    """Faults of any of the three files are told with that file's name."""
    for other in ("vendor.cor", "vendor.tim", "vendor.sto"):
        path = write(other, *((old, new) if other == name else ()))
    with pytest.raises(FormatError) as caught:
        list(solve_file(path))
    assert message.split(". ")[0] in str(caught.value)
    assert str(caught.value).startswith(f"{name}, line {line}: " if line else name)


def test_smps_file_missing(write):
    """A missing companion is named."""
    with pytest.raises(FormatError, match=r"time file vendor\.tim is missing"):
        list(solve_file(write("vendor.cor")))


def test_first_stage_cannot_be_random(write):
    """A random number of a first-stage column's cost is refused by name."""
    for other in ("vendor.cor", "vendor.tim"):
        write(other)
    path = write("vendor.sto", "    RHS       DEMAND    4.0", "    BUY       COST      2.0")
    with pytest.raises(FormatError, match=r"column column\[BUY\] is of the first stage"):
        list(solve_file(path))


def test_unknown_missing_and_binary_files(tmp_path):
    """Files of no format, absent files, folders and binary files are told apart."""
    note = tmp_path / "note.txt"
    note.write_text("a note\n")
    with pytest.raises(FormatError, match=r"note\.txt: no known format\. Known are dimacs_min"):
        list(solve_file(note))
    with pytest.raises(FormatError, match=r"none\.txt: there is no such file"):
        list(solve_file(tmp_path / "none.txt"))
    with pytest.raises(FormatError, match="cannot be read: Is a directory"):
        list(solve_file(tmp_path))
    packed = tmp_path / "packed.txt"
    packed.write_bytes(b"PK\0\0")
    with pytest.raises(FormatError, match="holds binary data"):
        list(solve_file(packed))


def test_capacity_given_where_the_file_states_it(write):
    """A capacity for a file that states its own is refused."""
    path = write("small.txt", "capacity", "7")
    with pytest.raises(FormatError, match="the file states its capacities"):
        list(solve_file(path, capacity=5.0))


def test_unreadable_rates_beside_the_file(write):
    """A broken known_values.json beside a network is named, not passed over."""
    path = write("network.txt")
    path.with_name("known_values.json").write_text("{")
    with pytest.raises(FormatError, match=r"known_values\.json: is no JSON object"):
        list(solve_file(path))
