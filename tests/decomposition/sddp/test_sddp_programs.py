"""Published multistage programs with known optima, through the driver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optrl_formulations.extensive_form import Scenarios, extensive_form
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csr_matrix

from optrl.decomposition.sddp import Sddp, SddpSettings, Stopping, train, two_stage_graph
from optrl.formats.mps import parse
from optrl.formats.smps import _stages
from optrl.formats.smps_core import Core
from optrl.formats.smps_stochastic import read_stochastic
from optrl.solver import Model


@pytest.mark.parametrize("cuts", ["single", "multi"])
@pytest.mark.parametrize(
    ("name", "optimum", "iterations"),
    [
        ("air conditioning", 62_500.0, 12),
        ("production", -23.96, 15),
        ("stock", -1.4711, 30),
        ("hydro", 119.1667, 42),
    ],
)
def test_optima_are_reached(graphs, cuts, name, optimum, iterations) -> None:
    """Truth: published optima of SDDP.jl's documentation and the FAST toolbox."""
    result = train(Sddp(graphs[name](), SddpSettings(cuts=cuts)), Stopping(iterations=iterations))
    # Published to five digits.
    assert result.bound == pytest.approx(optimum, rel=2e-4 if name == "stock" else 1e-5)
    assert result.bound <= optimum + 1e-4 * abs(optimum)


def test_inventory_with_salvage_needs_no_guessed_bound(graphs) -> None:
    """Truth: 143174.21, which a guessed bound of 0 misses by 0.8 % without complaint."""
    result = train(Sddp(graphs["inventory"]()), Stopping(iterations=16))
    assert result.bound == pytest.approx(143_174.21, rel=1e-5)


def test_the_simulated_cost_lies_above_the_bound(graphs) -> None:
    """Truth: the policy costs at least the optimum, within the interval of the mean."""
    sddp = Sddp(graphs["stock"](), seed=3)
    train(sddp, Stopping(iterations=30))
    estimate = sddp.simulate(100, seed=7)
    assert estimate.upper >= sddp.bound
    assert estimate.mean == pytest.approx(-1.4711, abs=3 * estimate.half_width)


def farmer() -> tuple[LinearProgram, np.ndarray, np.ndarray, Scenarios]:
    """Birge & Louveaux's farmer: yields, coefficients of the first stage, are random."""
    names = ["wheat", "corn", "beets", "buy wheat", "sell wheat", "buy corn", "sell corn"]
    names += ["sell beets", "sell beets beyond"]
    cost = np.array([150, 230, 260, 238, -170, 210, -150, -36, -10], dtype=float)
    matrix = np.zeros((4, 9))
    matrix[0, :3] = 1
    matrix[1, [0, 3, 4]] = [2.5, 1, -1]
    matrix[2, [1, 5, 6]] = [3, 1, -1]
    matrix[3, [2, 7, 8]] = [-20, 1, 1]
    upper = np.full(9, np.inf)
    upper[7] = 6000
    core = LinearProgram(
        cost=cost,
        offset=0.0,
        matrix=csr_matrix(matrix),
        row_lower=np.array([-np.inf, 200, 240, -np.inf]),
        row_upper=np.array([500, np.inf, np.inf, 0.0]),
        column_lower=np.zeros(9),
        column_upper=upper,
        integrality=np.zeros(9, dtype=bool),
        columns={"x": Block("x", 0, 9, lambda k: names[k])},
        rows={"r": Block("r", 0, 4, str)},
    )
    yields = np.array([[2.5, 3.0, -20.0]]) * np.array([[1.2], [1.0], [0.8]])
    scenarios = Scenarios(
        np.full(3, 1 / 3),
        entry_row=np.array([1, 2, 3]),
        entry_column=np.array([0, 1, 2]),
        entry=yields,
    )
    return core, np.arange(9) < 3, np.arange(4) < 1, scenarios


@pytest.mark.parametrize("cuts", ["single", "multi"])
def test_the_farmer(cuts) -> None:
    """Truth: -108390 (Birge & Louveaux), by the extensive form too."""
    parts = farmer()
    assert Model(extensive_form(*parts)).solve().objective == pytest.approx(-108_390, abs=1)
    result = train(Sddp(two_stage_graph(*parts), SddpSettings(cuts=cuts)), Stopping(iterations=30))
    assert result.bound == pytest.approx(-108_390, rel=1e-6)


def test_lands_of_the_shared_data(shared_data: Path) -> None:
    """Truth: 397.7513 for the variant of 27 scenarios, and its extensive form."""
    stem = shared_data / "stochastic-smps" / "LandS"
    found = {path.suffix.lower(): path for path in stem.parent.rglob("LandS.*")}
    program = parse(found[".cor"])
    core = Core.of(program, found[".cor"])
    columns, rows = _stages(found[".tim"], core)
    scenarios, _ = read_stochastic(found[".sto"], core)
    truth = Model(extensive_form(program, columns, rows, scenarios)).solve().objective
    assert truth == pytest.approx(397.7513, abs=1e-3)
    graph = two_stage_graph(program, columns, rows, scenarios)
    result = train(Sddp(graph, SddpSettings(cuts="multi")), Stopping(iterations=30))
    assert result.bound == pytest.approx(truth, rel=1e-6)
