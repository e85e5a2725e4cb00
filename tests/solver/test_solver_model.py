from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from optrl.solver import (
    Model,
    NumericalTroubleError,
    PushError,
    SolverError,
    compile_model,
    diagnose,
    solve_all,
)
from optrl.solver.highs import Highs


def flow(seed: int, maximize: bool = False, data_cost: float = 0.0) -> pyo.ConcreteModel:
    """Stock of two items over four periods, bought under a shared limit; demand may be lost."""
    g = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    i, t = range(2), range(4)
    m.demand = pyo.Var(i, t, initialize=lambda m, *k: float(g.uniform(2, 9)))
    m.stock = pyo.Var(i, initialize=lambda m, k: float(g.uniform(0, 9)))
    m.demand.fix()
    m.stock.fix()
    m.buy = pyo.Var(i, t, bounds=(0, 12))
    m.level = pyo.Var(i, t, bounds=(0, None))
    m.lost = pyo.Var(i, t, bounds=(0, None))
    m.balance = pyo.Constraint(
        i,
        t,
        rule=lambda m, k, p: (
            (m.level[k, p - 1] if p else m.stock[k]) + m.buy[k, p] + m.lost[k, p] - m.level[k, p]
            == m.demand[k, p]
        ),
    )
    m.limit = pyo.Constraint(t, rule=lambda m, p: (0, m.buy[0, p] + 1.5 * m.buy[1, p], 14))
    cost = sum(float(g.uniform(1, 3)) * v for v in m.buy.values())
    cost += sum(float(g.uniform(0.1, 0.4)) * v for v in m.level.values())
    cost += sum(float(g.uniform(8, 12)) * v for v in m.lost.values())
    cost += data_cost * sum(m.demand.values()) + 3
    m.cost = pyo.Objective(
        expr=-cost if maximize else cost, sense=pyo.maximize if maximize else pyo.minimize
    )
    return m


def loaded(m: pyo.ConcreteModel) -> Model:
    return Model(compile_model(m, [m.demand, m.stock]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.0, 1.3]))
def test_gradient_is_the_finite_difference(seed, maximize, data_cost):
    """dV/d(data) equals central differences of re-solved values, in both senses."""
    model = loaded(flow(seed, maximize, data_cost))
    solution = model.solve()
    step = 1e-6  # smaller than the distance to a kink, which has measure zero
    for name, block in model.program.data.items():
        gradient = solution.gradient(name)
        for k in range(0, len(block.value), 3):
            moved = []
            for sign in (1, -1):
                values = block.value.copy()
                values[k] += sign * step
                model.push_data(name, values)
                moved.append(model.solve().objective)
            model.push_data(name, block.value)
            assert gradient[k] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_hot_solve_equals_cold(seed, maximize):
    """After pushes of data, costs and bounds the hot solve finds a new model's optimum."""
    g = np.random.default_rng(seed)
    m = flow(seed, maximize)
    model = loaded(m)
    first = model.solve()
    sense = -1.0 if maximize else 1.0
    demand, stock = g.uniform(0, 12, (2, 4)), g.uniform(0, 9, 2)
    price, ceiling, limit = g.uniform(1, 5, (2, 4)), g.uniform(3, 9, (2, 4)), g.uniform(5, 20, 4)
    model.push_data("demand", demand)
    model.push_data("stock", stock)
    model.push_cost("buy", sense * price)
    model.push_bounds("buy", upper=ceiling)
    model.push_row_bounds("limit", upper=limit)
    hot = model.solve()
    for v, x in zip(m.demand.values(), demand.ravel(), strict=True):
        v.fix(x)
    for v, x in zip(m.stock.values(), stock, strict=True):
        v.fix(x)
    for v, x in zip(m.buy.values(), ceiling.ravel(), strict=True):
        v.setub(x)
    for p in range(4):
        m.limit[p].set_value((0, m.buy[0, p] + 1.5 * m.buy[1, p], limit[p]))
    again = compile_model(m, [m.demand, m.stock])
    cost = again.cost.copy()
    cost[again.columns["buy"].slice] = price.ravel()
    cold = Model(replace(again, cost=cost)).solve()
    assert hot.objective == pytest.approx(cold.objective, abs=1e-7)
    assert hot.objective != pytest.approx(first.objective)
    residuals = hot.residuals()
    assert max(residuals.primal, residuals.dual or 0.0) < 1e-6
    assert hot.gap == 0.0
    assert hot.bound == hot.objective


def test_maximizing_reports_in_its_own_sense():
    """Maximizing minus the cost gives minus the value, duals, gradients and costs."""
    low, high = loaded(flow(3)).solve(), loaded(flow(3, maximize=True)).solve()
    assert high.objective == pytest.approx(-low.objective)
    assert np.allclose(high.x, low.x)
    assert np.allclose(high.duals("limit"), -low.duals("limit"))
    assert np.allclose(high.reduced_costs("buy"), -low.reduced_costs("buy"))
    assert np.allclose(high.gradient("stock"), -low.gradient("stock"))


def test_thousands_of_pushes_leave_no_rounding_behind():
    """Row bounds after many pushes are exactly those of one push."""
    model, fresh = loaded(flow(0)), loaded(flow(0))
    g = np.random.default_rng(0)
    for _ in range(2000):
        model.push_data("demand", g.uniform(0, 1e6, 8))
        model.push_data("stock", g.uniform(0, 1e6, 2))
    for target in (model, fresh):
        target.push_data("demand", np.full(8, 0.1))
        target.push_data("stock", np.full(2, 0.2))
    assert (model.solved.row_lower == fresh.solved.row_lower).all()


def test_added_rows_cut_and_keep_their_duals():
    """A cut binds in the next solve, and data pushed later still reach their rows."""
    model = loaded(flow(1))
    before = model.solve()
    block = model.program.columns["buy"]
    columns = len(model.program.cost)
    row = csr_matrix(
        (np.ones(len(block)), (np.zeros(len(block), int), np.arange(len(block)) + block.start)),
        shape=(1, columns),
    )
    total = before.values("buy").sum()
    cut = model.add_rows("cut", row, np.array([-np.inf]), np.array([total - 2]))
    after = model.solve()
    assert after.values(block).sum() == pytest.approx(total - 2)
    assert after.duals(cut)[0] < 0 < after.objective - before.objective
    model.push_data("demand", model.program.data["demand"].value - 1)
    model.push_row_bounds("cut", upper=np.array([total]))
    less = model.solve()
    assert less.objective < before.objective
    assert less.residuals().primal < 1e-6
    with pytest.raises(PushError, match="already"):
        model.add_rows("cut", row, np.array([0.0]), np.array([1.0]))


def test_ranging_brackets_where_the_solution_stays():
    """Inside the cost range the solution stays, outside it changes; likewise for duals."""
    for maximize in (False, True):
        model = loaded(flow(5, maximize))
        solution = model.solve()
        ranging = model.ranging()
        sign = -1.0 if maximize else 1.0
        cost = sign * model.solved.cost[model.program.columns["buy"].slice]
        lower, upper = ranging.costs("buy")
        assert ((lower <= cost + 1e-9) & (cost <= upper + 1e-9)).all()
        k = int(np.flatnonzero(np.isfinite(upper))[0])
        for share, stays in ((0.99, True), (1.01, False)):
            moved = cost.copy()
            moved[k] += share * (upper[k] - cost[k])
            model.push_cost("buy", moved)
            kept = sign * (model.solved.cost @ solution.x + model.solved.offset)
            better = sign * (kept - model.solve().objective)
            assert (better < 1e-7) == stays
        model.push_cost("buy", cost)
        model.solve()
        low, high = model.ranging().row_bounds("limit")
        bound = model.program.row_upper[model.program.rows["limit"].slice]
        duals = solution.duals("limit")
        tight = np.flatnonzero(np.abs(duals) > 1e-9)
        assert len(tight)
        assert np.isnan(low[np.abs(duals) < 1e-9]).any()
        for k in tight:
            assert low[k] <= bound[k] <= high[k]
            moved = bound.copy()
            moved[k] = bound[k] + 0.9 * (min(high[k], 1e3) - bound[k])
            model.push_row_bounds("limit", upper=moved)
            change = model.solve().objective - solution.objective
            assert change == pytest.approx(duals[k] * (moved[k] - bound[k]), abs=1e-7)
            model.push_row_bounds("limit", upper=bound)


def test_mip_duals_come_from_the_fixed_lp():
    """A MIP has no duals until its integers are fixed; then dV/d(data) holds locally."""
    m = flow(2)
    for v in m.buy.values():
        v.domain = pyo.Integers
    model = loaded(m)
    solution = model.solve(relative_gap=0.0)
    assert solution.residuals().integrality < 1e-6
    with pytest.raises(SolverError, match="fixed_duals"):
        solution.duals("limit")
    with pytest.raises(SolverError, match="ranging needs an LP"):
        model.ranging()
    fixed = solution.fixed_duals()
    assert fixed.objective == pytest.approx(solution.objective, abs=1e-6)
    buy = np.round(solution.values("buy"))
    relaxed = replace(model.program, integrality=np.zeros_like(model.program.integrality))
    held = Model(relaxed)
    held.push_bounds("buy", lower=buy, upper=buy)
    values = []
    for sign in (1, -1):
        demand = model.program.data["demand"].value.copy()
        demand[0] += sign * 1e-5
        held.push_data("demand", demand)
        values.append(held.solve().objective)
    assert fixed.gradient("demand")[0] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-5)


def test_undecided_runs_are_repeated_from_scratch(monkeypatch):
    """A run that HiGHS cannot finish is repeated cold and says so; twice is an error."""
    model = loaded(flow(4))
    expected = model.solve().objective
    run = Highs.run
    failures = [True]

    def failing(self):
        info = run(self)
        return replace(info, status="kUnknown") if failures and failures.pop() else info

    monkeypatch.setattr(Highs, "run", failing)
    solution = model.solve()
    assert solution.objective == pytest.approx(expected)
    assert "solved again from scratch: HiGHS ended with status Unknown" in solution.warnings[0]
    failures = [True, True]
    with pytest.raises(NumericalTroubleError, match="also when solved from scratch"):
        model.solve()


def test_pool_gives_the_same_results():
    """Solved by a pool of threads, hot and cold, models give what they give one by one."""
    programs = [compile_model(m, [m.demand, m.stock]) for m in map(flow, range(8))]
    alone = [Model(p) for p in programs]
    pooled = [Model(p) for p in programs]
    for factor in (1.0, 1.3):
        for model in (*alone, *pooled):
            model.push_data("demand", factor * model.program.data["demand"].value)
        expected = [model.solve().objective for model in alone]
        assert [s.objective for s in solve_all(pooled, 3)] == pytest.approx(expected)
    with pytest.raises(ValueError, match="twice"):
        solve_all([alone[0], alone[0]], 2)


def test_pushes_that_do_not_fit_are_refused():
    """Wrong names, sizes and numbers are named, and the model stays as it was."""
    model = loaded(flow(0))
    value = model.solve().objective
    bad = np.ones(8)
    bad[5] = np.nan
    for action, message in (
        (lambda: model.push_data("supply", bad), r"no data block 'supply'.*demand"),
        (lambda: model.push_data("demand", bad[:3]), "demand has 8 members, 3 values"),
        (lambda: model.push_data("demand", bad), r"demand\[1, 1\] is nan"),
        (lambda: model.push_cost("buy", bad), r"buy\[1, 1\] is nan"),
        (lambda: model.push_cost("buy", np.full(8, np.inf)), r"buy\[0, 0\] is inf"),
        (lambda: model.push_bounds("lots", upper=bad), "no block 'lots'"),
        (lambda: model.push_row_bounds("limit", upper=bad[4:]), r"limit\[1\] is nan"),
    ):
        with pytest.raises(PushError, match=message):
            action()
    assert model.solve().objective == value


def test_numerical_trouble_is_reported():
    """Wide ranges and dropped coefficients are named, in the diagnosis and on the solution."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(["gin", "rum"], bounds=(0, 10))
    m.c = pyo.Constraint(expr=1e-10 * m.x["gin"] + 1e5 * m.x["rum"] >= 1)
    m.big = pyo.Constraint(expr=m.x["gin"] <= 1e12)
    m.o = pyo.Objective(expr=m.x["rum"] + m.x["gin"])
    program = compile_model(m)
    diagnosis = diagnose(program)
    text = str(diagnosis)
    assert "1 matrix coefficients of at most 1e-09 are dropped, the first is x[gin] in c" in text
    assert "matrix: 1e-10 at x[gin] in c to 1e+05 at x[rum] in c" in text
    assert "right-hand side of 1e+12 at big" in text
    assert Model(program).solve().warnings == diagnosis.warnings
    assert diagnose(compile_model(flow(0))).warnings == ()


def test_nan_in_a_program_is_refused():
    """HiGHS takes NaN without complaint; the model does not."""
    program = compile_model(flow(0))
    cost = program.cost.copy()
    cost[0] = np.nan
    with pytest.raises(NumericalTroubleError, match=r"cost of demand\[0, 0\] is nan"):
        Model(replace(program, cost=cost)).solve()
