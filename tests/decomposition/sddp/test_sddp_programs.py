"""Published multistage programs with known optima, through the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from optrl.decomposition.sddp import Sddp, SddpSettings, Stopping, train, two_stage_graph
from optrl.formats.recognition import read
from optrl.solver import Model
from optrl.testbeds.stochastic_programs import farmer


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


@pytest.mark.parametrize("cuts", ["single", "multi"])
def test_the_farmer(cuts) -> None:
    """Truth: -108390 (Birge & Louveaux), by the extensive form too."""
    stages = farmer()
    assert Model(stages.extensive_form()).solve().objective == pytest.approx(-108_390, abs=1)
    result = train(Sddp(two_stage_graph(stages), SddpSettings(cuts=cuts)), Stopping(iterations=30))
    assert result.bound == pytest.approx(-108_390, rel=1e-6)


def test_lands_of_the_shared_data(shared_data: Path) -> None:
    """Truth: 397.7513 for the variant of 27 scenarios, and its extensive form."""
    stages = read(shared_data / "stochastic-smps" / "LandS.cor")[0].stages
    assert stages is not None
    truth = Model(stages.extensive_form()).solve().objective
    assert truth == pytest.approx(397.7513, abs=1e-3)
    result = train(
        Sddp(two_stage_graph(stages), SddpSettings(cuts="multi")), Stopping(iterations=30)
    )
    assert result.bound == pytest.approx(truth, rel=1e-6)
