"""Every example of the gallery runs by itself, within seconds, and shows what it is about."""

import contextlib
import io
import runpy
import warnings
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("plot_*.py"))

# What must stand in the output: the point of each example, not a number that may drift.
SHOWN = {
    "plot_embed_replenishment": ["optimal", "one more euro of budget", "one more bottle of apple"],
    "plot_network_design": ["strong relaxation", "open: [('site'"],
    "plot_own_graph": ["2 faults in the instance", "Did you mean 'flour'?", "passed: True"],
    "plot_policies_single_node": ["capped_base_stock", "above the optimum", "minus base_stock"],
    "plot_safety_stock": ["holding cost", "assembly"],
    "plot_value_and_price": ["<= whole", "no policy costs less than"],
    "plot_scenario_tree": ["value of the stochastic solution", "perfect information"],
}


def test_every_example_is_listed():
    """A new example states here what it must show."""
    assert {path.stem for path in EXAMPLES} == set(SHOWN)


@cache
def output(path: Path) -> str:
    """What an example prints; run once."""
    mpl.use("agg")
    text = io.StringIO()
    with contextlib.redirect_stdout(text), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        runpy.run_path(str(path))
    mpl.pyplot.close("all")
    return text.getvalue()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path, monkeypatch):
    """It runs outside the repository, writes no file, warns of nothing, and prints its point."""
    monkeypatch.chdir(tmp_path)
    shown = output(path)
    for text in SHOWN[path.stem]:
        assert text in shown
    assert not list(tmp_path.iterdir())


def test_scenario_tree_values_are_ordered():
    """Perfect information <= two-stage <= the mean path's decision, as the theory says."""
    path = next(path for path in EXAMPLES if path.stem == "plot_scenario_tree")
    value = {line[:36].strip(): float(line[36:]) for line in output(path).splitlines()}
    forest = value["perfect information (forest)"]
    two_stage = value["two-stage stochastic program"]
    assert forest <= two_stage + 1e-6
    assert two_stage <= value["first decision of the mean path"] + 1e-6
