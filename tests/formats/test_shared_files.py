"""Every published file: its size, and the known value where it is solved in a moment."""

import json

import pytest

from optrl.formats import solve_file
from optrl.formats.recognition import read, recognize

pytestmark = pytest.mark.shared_data

CFLP = {"warehouses": 16, "customers": 50}
SIZES = {
    "cflp-orlib/cap41.txt": CFLP,
    "cflp-orlib/cap63.txt": CFLP,
    "cflp-orlib/cap71.txt": CFLP,
    "cflp-orlib/cap74.txt": CFLP,
    "cflp-orlib/cap91.txt": {"warehouses": 25, "customers": 50},
    "cflp-orlib/cap94.txt": {"warehouses": 25, "customers": 50},
    "cflp-orlib/cap101.txt": {"warehouses": 25, "customers": 50},
    "cflp-orlib/cap104.txt": {"warehouses": 25, "customers": 50},
    "cflp-orlib/cap121.txt": {"warehouses": 50, "customers": 50},
    "cflp-orlib/cap131.txt": {"warehouses": 50, "customers": 50},
    "cflp-orlib/cap134.txt": {"warehouses": 50, "customers": 50},
    "cflp-orlib/capa.txt": {"warehouses": 100, "customers": 1000},
    "min-cost-flow/grid_5x5.min": {"nodes": 25, "arcs": 80},
    "min-cost-flow/netgen_8_08a.min": {"nodes": 256, "arcs": 2048},
    "min-cost-flow/nx-netgen-2.min": {"nodes": 400, "arcs": 1416},
    "min-cost-flow/transport_2x3.min": {"nodes": 5, "arcs": 6},
    "min-cost-flow/transport_40x30.min": {"nodes": 70, "arcs": 1200},
    "gsm-safety-stock/bulldozer.txt": {"stages": 22, "arcs": 21},
    "gsm-safety-stock/bulldozer_small_linear.txt": {"stages": 3, "arcs": 2},
    "gsm-safety-stock/battery_small_divergent.txt": {"stages": 3, "arcs": 2},
    "fixed-charge-fcnetlib/beasleyC1.inc": {"nodes": 500, "arcs": 1250},
    "fixed-charge-fcnetlib/g40x132.inc": {"nodes": 40, "arcs": 132},
    "fixed-charge-fcnetlib/k10x90.inc": {"nodes": 10, "arcs": 90},
    "fixed-charge-fcnetlib/l61x114.inc": {"nodes": 61, "arcs": 114},
    "fixed-charge-fcnetlib/p50x288.inc": {"nodes": 50, "arcs": 288},
    "fixed-charge-fcnetlib/p80x400.inc": {"nodes": 80, "arcs": 400},
    "fixed-charge-fcnetlib/r20x100.inc": {"nodes": 20, "arcs": 100},
    "fixed-charge-fcnetlib/sp50x100.inc": {"nodes": 50, "arcs": 100},
    "fixed-charge-fcnetlib/sp80x160.inc": {"nodes": 80, "arcs": 160},
    "lot-sizing-trigeiro/X11117A": {"items": 10, "periods": 20},
    "lot-sizing-trigeiro/X11117B": {"items": 10, "periods": 20},
    "lot-sizing-trigeiro/X11127A": {"items": 10, "periods": 20},
    "lot-sizing-trigeiro/X11417A": {"items": 10, "periods": 20},
    "lot-sizing-trigeiro/X12117A": {"items": 10, "periods": 20},
    "lot-sizing-trigeiro/X12417A": {"items": 10, "periods": 20},
    "mip-network/egout.mps": {"rows": 98, "columns": 141, "integers": 55, "nonzeros": 282},
    "stochastic-network-design/network-10-10-H-01.dat": {"nodes": 10, "scenarios": 10},
    "stochastic-network-design/network-10-10-L-01.dat": {"nodes": 10, "scenarios": 10},
    "stochastic-network-design/network-10-20-L-01.dat": {"nodes": 10, "scenarios": 20},
    "stochastic-network-design/r04-7-16.ndp": {"arcs": 60, "commodities": 10, "scenarios": 16},
    "stochastic-network-design/r04-9-16.ndp": {"arcs": 60, "commodities": 10, "scenarios": 16},
    "stochastic-smps/LandS.cor": {"scenarios": 27, "second_stage_columns": 12},
    "stochastic-smps/dcap233_200.cor": {"scenarios": 200, "second_stage_columns": 27},
    "stochastic-smps/sizes3.cor": {"scenarios": 3, "second_stage_columns": 75},
    "stochastic-smps/sslp_15_45_5.cor": {"scenarios": 5, "second_stage_columns": 690},
    "stochastic-smps/sslp_5_25_50.cor": {"scenarios": 50, "second_stage_columns": 130},
}
SLOW = {
    "cflp-orlib/capa.txt",
    "fixed-charge-fcnetlib/p50x288.inc",
    "fixed-charge-fcnetlib/p80x400.inc",
    "fixed-charge-fcnetlib/g40x132.inc",
    "lot-sizing-trigeiro/X11417A",
    "lot-sizing-trigeiro/X12417A",
    "stochastic-network-design/r04-7-16.ndp",
    "stochastic-network-design/r04-9-16.ndp",
    "stochastic-smps/dcap233_200.cor",
    "stochastic-smps/sslp_15_45_5.cor",
    "stochastic-smps/sslp_5_25_50.cor",
}


@pytest.mark.parametrize("file", SIZES)
def test_size(shared_data, file):
    """Every file is read, and holds as many nodes, arcs, items as it says."""
    for problem in read(shared_data / file):
        assert {key: problem.size[key] for key in SIZES[file]} == SIZES[file]


@pytest.mark.parametrize("file", sorted(set(SIZES) - SLOW))
def test_known_value(shared_data, file):
    """The quick ones are solved to proof and equal the known value within 1e-6."""
    path = shared_data / file
    (result,) = solve_file(path, time_limit=60)
    entry = json.loads((path.parent / "known_values.json").read_text())[result.problem]
    known = entry.get("optimum_this_file", entry.get("optimum"))
    assert result.status == "optimal"
    assert result.objective == pytest.approx(known, rel=1e-6)


def test_every_instance_file_is_listed(shared_data):
    """No file of the folders that a format recognizes is missing from the list above."""
    from optrl.formats import FormatError

    found = set()
    for folder in {file.split("/")[0] for file in SIZES}:
        for path in (shared_data / folder).iterdir():
            if path.is_file() and path.suffix not in (".tim", ".sto"):
                try:
                    recognize(path)
                except FormatError:
                    continue
                found.add(f"{folder}/{path.name}")
    assert found == set(SIZES)
