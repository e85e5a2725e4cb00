"""Runs that are killed, resumed, steered and stopped; files; stages that cannot go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest

from optrl.decomposition.sddp import (
    CutFileError,
    GivenPolicy,
    ImportanceSampling,
    Iterated,
    Outcome,
    PolicyGraph,
    RiskMeasure,
    Sddp,
    SddpError,
    SddpSettings,
    StageError,
    StageInfeasibleError,
    Stopping,
    load_cuts,
    pyomo_stage,
    save_cuts,
    train,
)
from optrl.networks.tensor_file import TensorFileError

SETTINGS = SddpSettings(refresh_every=5)


def assert_same_cuts(one: Sddp, other: Sddp) -> None:
    assert one.to_go.pools.keys() == other.to_go.pools.keys()
    for key, pool in one.to_go.pools.items():
        twin = other.to_go.pools[key]
        np.testing.assert_array_equal(pool.intercept, twin.intercept)
        np.testing.assert_array_equal(pool.gradient, twin.gradient)


@pytest.mark.parametrize("cuts", ["single", "multi"])
def test_a_killed_run_makes_the_same_cuts(graphs, tmp_path: Path, cuts) -> None:
    """Truth: the run that was never killed, number by number."""
    settings, file = replace(SETTINGS, cuts=cuts), tmp_path / "cuts.safetensors"
    whole = Sddp(graphs["stock"](), settings, seed=4)
    train(whole, Stopping(iterations=15))

    class KilledError(Exception):
        pass

    def kill(event: Iterated) -> None:
        if event.iteration == 12:
            raise KilledError

    killed = Sddp(graphs["stock"](), settings, seed=4)
    with pytest.raises(KilledError):
        train(killed, Stopping(iterations=15), file=file, told=kill)
    resumed = Sddp(graphs["stock"](), settings, seed=99)
    result = train(resumed, Stopping(iterations=15), file=file, resume=True)
    assert_same_cuts(whole, resumed)
    assert [row[0] for row in result.trace] == list(range(1, 16))
    assert resumed.bound == whole.bound


def test_files_keep_what_bounds(graphs, tmp_path: Path) -> None:
    """A file read gives the same bound, and goes into no other problem."""
    file = tmp_path / "cuts.safetensors"
    trained = Sddp(graphs["production"]())
    train(trained, Stopping(iterations=12), file=file)
    read = Sddp(graphs["production"]())
    assert read.lower_bound() < trained.bound - 1
    load_cuts(read, file)
    assert read.lower_bound() == pytest.approx(trained.bound, abs=1e-9)
    with pytest.raises(CutFileError, match="another problem"):
        load_cuts(Sddp(graphs["air conditioning"]()), file)
    with pytest.raises(CutFileError, match="settings"):
        load_cuts(Sddp(graphs["production"](), SddpSettings(cuts="multi")), file)
    changed = graphs["production"]()
    with pytest.raises(CutFileError, match="another problem"):
        load_cuts(Sddp(replace(changed, initial_state=np.ones(2))), file)
    damaged = bytearray(file.read_bytes())
    damaged[-3] ^= 1
    file.write_bytes(bytes(damaged))
    with pytest.raises(TensorFileError):
        load_cuts(Sddp(graphs["production"]()), file)


def test_cuts_of_an_unbounded_stage_survive_a_file(graphs, tmp_path: Path) -> None:
    """Where no constant bounds the cost-to-go, the first cuts are what keeps programs bounded."""
    file = tmp_path / "cuts.safetensors"
    trained = Sddp(graphs["inventory"](3))
    train(trained, Stopping(iterations=10))
    save_cuts(trained, file)
    read = Sddp(graphs["inventory"](3))
    load_cuts(read, file)
    assert read.lower_bound() == pytest.approx(trained.lower_bound(), rel=1e-9)


@pytest.mark.parametrize(
    "forward",
    [
        ImportanceSampling(0.3),
        GivenPolicy(lambda node, state, outcome: {"control": np.minimum(state, 0.5)}, 10),
    ],
)
def test_any_forward_pass_gives_a_valid_bound(graphs, forward) -> None:
    """Truth: -1.4711; cuts are valid wherever they are made."""
    sddp = Sddp(graphs["stock"](), forward=forward)
    for _ in range(35):
        assert sddp.iterate() <= -1.4711 + 1e-4
    assert sddp.bound == pytest.approx(-1.4711, abs=2e-3)


def test_it_stops_on_the_gap(graphs) -> None:
    """The interval's upper end and the bound meet within the gap asked for."""
    told: list[Iterated] = []
    stopping = Stopping(iterations=60, gap=0.1, simulate_every=10, paths=100)
    result = train(Sddp(graphs["stock"](), seed=1), stopping, told=told.append)
    assert result.stopped == "gap"
    assert result.gap is not None
    assert result.gap <= 0.1
    assert [event.iteration for event in told] == list(range(1, len(told) + 1))
    assert told[-1].upper is not None
    bounds = [event.bound for event in told]
    assert bounds == sorted(bounds)


def test_it_stops_on_time_and_needs_a_limit(graphs) -> None:
    """A run without a limit is refused; seconds end one."""
    assert train(Sddp(graphs["hydro"]()), Stopping(seconds=0.2)).stopped == "seconds"
    with pytest.raises(SddpError, match="limit"):
        Stopping()


def test_it_stops_when_sweeps_raise_the_bound_no_more(graphs, tmp_path: Path) -> None:
    """A sweep that gains less than asked ends the run, at the optimum here, resumed or not."""
    settings = SddpSettings(sweep_growth=1.5, refresh_every=5)
    whole = train(Sddp(graphs["stock"](), settings), Stopping(stall=1e-5, iterations=400))
    assert whole.stopped == "stalled"
    assert whole.bound == pytest.approx(-1.4711, abs=1e-3)
    file = tmp_path / "cuts.safetensors"
    train(Sddp(graphs["stock"](), settings), Stopping(iterations=10), file=file)
    resumed = Sddp(graphs["stock"](), settings)
    assert (
        train(resumed, Stopping(stall=1e-5), file=file, resume=True).trace[-1][:2]
        == (whole.trace[-1][:2])
    )


def test_a_stage_that_cannot_go_on_is_explained() -> None:
    """Demand beyond what is in stock: node, outcome, state and the rows in conflict are named."""

    def stage(last: bool):
        m = pyo.ConcreteModel()
        m.stock_in, m.demand = pyo.Var(initialize=0.0), pyo.Var(initialize=0.0)
        m.stock_in.fix(0.0)
        m.demand.fix(0.0)
        m.stock, m.bought = pyo.Var(bounds=(0, 10)), pyo.Var(bounds=(0, 4))
        m.balance = pyo.Constraint(expr=m.stock == m.stock_in + m.bought - m.demand)
        m.cost = pyo.Objective(expr=m.bought + 0.1 * m.stock)
        outcomes = [
            Outcome(0.5, {"demand": np.array([d])}, label=name)
            for d, name in ((1.0, "calm"), (9.0, "rush"))
        ]
        return pyomo_stage(
            m,
            incoming=[m.stock_in],
            outgoing=[] if last else [m.stock],
            noise=[m.demand],
            outcomes=outcomes,
        )

    graph = PolicyGraph.linear([stage(False), stage(True)], np.array([6.0]))
    with pytest.raises(StageInfeasibleError) as raised:
        train(Sddp(graph), Stopping(iterations=20))
    message = str(raised.value)
    assert raised.value.outcome == "rush"
    for part in ("'2'", "'rush'", "stock_in", "balance", "slack"):
        assert part in message


def test_what_does_not_fit_is_refused() -> None:
    """States of other sizes, unknown blocks and probabilities that are none."""
    m = pyo.ConcreteModel()
    m.x_in = pyo.Var(initialize=0.0)
    m.x_in.fix(0.0)
    m.x = pyo.Var(bounds=(0, 1))
    m.row = pyo.Constraint(expr=m.x >= m.x_in)
    m.cost = pyo.Objective(expr=m.x)
    stage = pyomo_stage(m, incoming=[m.x_in], outgoing=[m.x])
    with pytest.raises(StageError, match="3 entries"):
        PolicyGraph.linear([stage], np.zeros(3))
    with pytest.raises(StageError, match="no such block"):
        pyomo_stage(m, incoming=[m.x_in], outcomes=[Outcome(1.0, {"demand": np.zeros(1)})])
    with pytest.raises(StageError, match="sum to 1"):
        pyomo_stage(m, incoming=[m.x_in], outcomes=[Outcome(0.4), Outcome(0.4)])
    with pytest.raises(StageError, match="at most 1"):
        PolicyGraph({"a": stage}, {"a": ({"a": 1.5},)}, {"a": 1.0}, np.zeros(1))
    with pytest.raises(StageError, match="free variable"):
        pyomo_stage(m, incoming=[m.x_in], outgoing=[m.x_in])
    with pytest.raises(SddpError, match="tail"):
        RiskMeasure(0.5, 0.0)
