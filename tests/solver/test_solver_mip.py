import os
import signal
import threading

import numpy as np
import pyomo.environ as pyo
import pytest

from optrl.solver import Model, NoSolutionError, Status, compile_model


def knapsack(items: int, seed: int = 0) -> pyo.ConcreteModel:
    """A multi-dimensional knapsack that HiGHS does not finish at once."""
    g = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(items), domain=pyo.Binary)
    m.room = pyo.Var(initialize=0.0)
    m.room.fix()
    weight = g.integers(10, 99, (10, items)).tolist()
    worth = g.integers(10, 99, items).tolist()
    m.fits = pyo.Constraint(
        range(10),
        rule=lambda m, r: (
            sum(weight[r][k] * m.x[k] for k in range(items)) <= 25 * items // 2 + m.room
        ),
    )
    m.worth = pyo.Objective(expr=sum(worth[k] * m.x[k] for k in range(items)), sense=pyo.maximize)
    return m


def test_time_limit_returns_the_incumbent_and_its_gap():
    """Cut short, a MIP gives a feasible solution, an honest bound and gap; limits count anew."""
    model = Model(compile_model(knapsack(150)))
    seen = []
    for _ in range(2):
        solution = model.solve(time_limit=1.0, relative_gap=0.0, progress=seen.append)
        assert solution.status is Status.TIME_LIMIT
        assert 0.5 < solution.seconds < 10.0
        assert solution.bound > solution.objective > 0
        assert solution.gap == pytest.approx(
            (solution.bound - solution.objective) / solution.objective
        )
        assert solution.residuals().primal < 1e-6
    assert seen
    assert all(p.bound >= p.objective - 1e-6 for p in seen if np.isfinite(p.objective))
    with pytest.raises(NoSolutionError, match="time limit of 0 s"):
        Model(compile_model(knapsack(150))).solve(time_limit=0.0)


def test_mip_is_solved_again_for_new_data():
    """After new data a MIP finds the optimum of a fresh model, wider and tighter."""
    m = knapsack(25)
    program = compile_model(m, [m.room])
    model = Model(program)
    values = []
    for room in (0.0, 80.0, -120.0, 0.0):
        fresh = Model(program)
        for target in (model, fresh):
            target.push_data("room", np.array([room]))
        solution = model.solve(relative_gap=0.0)
        assert solution.objective == pytest.approx(fresh.solve(relative_gap=0.0).objective)
        assert solution.residuals().primal < 1e-6
        values.append(solution.objective)
    assert values[1] > values[0] == values[3] > values[2]


def test_start_is_used():
    """Given the optimum as a start, no time is needed to have it; a bad start does no harm."""
    m = knapsack(40)
    best = Model(compile_model(m)).solve(relative_gap=0.0)
    seen = []
    started = Model(compile_model(m)).solve(relative_gap=0.0, start=best.x, progress=seen.append)
    assert started.objective == pytest.approx(best.objective)
    assert seen[0].objective == pytest.approx(best.objective)
    part = np.where(np.arange(len(best.x)) < 20, best.x, np.nan)
    partly = Model(compile_model(m)).solve(relative_gap=0.0, start=part)
    assert partly.objective == pytest.approx(best.objective)
    impossible = Model(compile_model(m)).solve(relative_gap=0.0, start=np.ones(len(best.x)))
    assert impossible.objective == pytest.approx(best.objective)


def test_interrupt_keeps_the_incumbent():
    """Ctrl-C ends a MIP with the solution it has, and Python's handler is back afterwards."""
    model = Model(compile_model(knapsack(200)))
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = model.solve(relative_gap=0.0, time_limit=20)
    timer.join()
    assert solution.status is Status.INTERRUPTED
    assert solution.seconds < 10
    assert solution.bound > solution.objective > 0
    assert signal.getsignal(signal.SIGINT) is before


def test_failing_progress_ends_the_solve():
    """An exception of the progress function is raised, not lost in the solver."""

    def fail(progress):
        raise OSError("terminal gone")

    with pytest.raises(OSError, match="terminal gone"):
        Model(compile_model(knapsack(200))).solve(time_limit=20, progress=fail)


def test_threads_may_differ_between_models():
    """HiGHS ties threads to the process; models with other numbers still solve."""
    for threads in (2, 1, 2):
        model = Model(compile_model(knapsack(15)), threads=threads)
        assert model.solve().status is Status.OPTIMAL
