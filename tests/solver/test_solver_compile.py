import math

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.solvers.highs import Highs as PyomoHighs

from optrl.solver import CompileError, InfeasibleError, Model, compile_model


def random_model(seed: int, integers: bool = False) -> pyo.ConcreteModel:
    """A feasible bounded model with every feature that compiling must handle."""
    g = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    n, k = int(g.integers(2, 7)), int(g.integers(1, 4))
    m.d = pyo.Var(range(k), initialize=lambda m, j: float(g.integers(-5, 6)))
    m.d.fix()
    m.x = pyo.Var(range(n), bounds=(-2, 9))
    m.unused = pyo.Var(["a", "b"], bounds=(1, 4))
    m.sub = pyo.Block([1, 2])
    for b in m.sub.values():
        b.y = pyo.Var(domain=pyo.Integers if integers else pyo.Reals, bounds=(0, 6))
    m.x[0].fix(3.0)
    everything = [*m.x.values(), m.sub[1].y, m.sub[2].y]
    inside = [3.0, *g.integers(-2, 10, n - 1).tolist(), 2, 5]
    m.rows = pyo.ConstraintList()
    for row in range(int(g.integers(2, 9))):
        a = g.integers(-3, 4, len(everything)) * (g.random(len(everything)) < 0.7)
        a[1] = a[1] or 1
        c = g.integers(-2, 3, k)
        body = sum(int(v) * x for v, x in zip(a, everything, strict=True)) + 1.5
        body -= sum(int(v) * x for v, x in zip(c, m.d.values(), strict=True))
        at = float(a @ inside) + 1.5 - float(c @ [v.value for v in m.d.values()])
        kind = row % 5
        if kind == 0:
            m.rows.add(body <= at + float(g.integers(0, 4)))
        elif kind == 1:
            m.rows.add(body >= at - float(g.integers(0, 4)))
        elif kind == 2:
            m.rows.add((at - 1, body, at + float(g.integers(1, 3))))
        elif kind == 3:
            m.rows.add(body == at)
        else:
            m.rows.add(body <= -1000)
            m.rows[len(m.rows)].deactivate()
    cost = g.integers(-4, 5, len(everything))
    m.off = pyo.Constraint(expr=m.x[1] >= 1e6)
    m.off.deactivate()
    m.value = pyo.Objective(
        expr=sum(int(v) * x for v, x in zip(cost, everything, strict=True)) + 2 * m.d[0] - 7,
        sense=pyo.maximize if seed % 2 else pyo.minimize,
    )
    return m


def by_pyomo(m: pyo.ConcreteModel) -> float:
    solver = PyomoHighs()
    solver.config.load_solutions = False
    solver.config.rel_gap = 0.0
    return float(solver.solve(m).incumbent_objective)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_compiled_optimum_is_pyomos_own(seed, integers):
    """Compiling loses nothing: the optimum equals that of Pyomo's own interface."""
    m = random_model(seed, integers)
    solution = Model(compile_model(m, [m.d])).solve(relative_gap=0.0)
    # HiGHS holds rows of a MIP to 1e-6 only.
    assert solution.objective == pytest.approx(by_pyomo(m), abs=1e-4 if integers else 1e-6)
    assert all(v.fixed for v in m.d.values())
    residuals = solution.residuals()
    assert max(residuals.primal, residuals.integrality, residuals.dual or 0.0) < 2e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_values_in_pyomo_give_the_objective(seed):
    """Blocks read back in component order: put into the model, they give its objective."""
    m = random_model(seed)
    solution = Model(compile_model(m, [m.d])).solve()
    for component in (m.x, m.unused, m.sub[1].y, m.sub[2].y):
        values = solution.values(component.name)
        for v, x in zip(component.values(), values, strict=True):
            v.set_value(x, skip_validation=True)
    assert pyo.value(m.value) == pytest.approx(solution.objective, abs=1e-6)
    for row in m.rows.values():
        if row.active:
            assert row.lslack() > -1e-6
            assert row.uslack() > -1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_pushed_data_equal_a_fresh_compile(seed):
    """Data slots: row bounds after a push are those of compiling the changed model."""
    m = random_model(seed)
    model = Model(compile_model(m, [m.d]))
    new = np.random.default_rng(seed).normal(size=len(m.d))
    for v, x in zip(m.d.values(), new, strict=True):
        v.fix(x)
    model.push_data("d", new)
    fresh = Model(compile_model(m, [m.d])).solved
    constant = compile_model(m)  # the same numbers with d folded into constants
    size = len(m.d)
    assert np.allclose(constant.column_lower[:size], new)
    for p, first in ((fresh, 0), (constant, size)):
        assert np.allclose(model.solved.row_lower, p.row_lower)
        assert np.allclose(model.solved.row_upper, p.row_upper)
        assert np.allclose(model.solved.cost, p.cost[first:])
        assert model.solved.offset == pytest.approx(p.offset)
        assert (model.solved.matrix != p.matrix[:, first:]).nnz == 0


def test_blocks_follow_components():
    """Every component is one run in its own order; silent members keep their place."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(["gin", "rum"], [1, 2], bounds=(0, 5))
    m.z = pyo.Var()
    m.c = pyo.Constraint([1, 2, 3, 4], rule=lambda m, k: (0, m.x["gin", 1] + k * m.z, k))
    m.c[2].deactivate()
    m.c[3].set_value((-math.inf, m.z, math.inf))
    m.c[4].set_value(m.z >= 4)
    m.z.fix(4.0)
    m.x["rum", 1].fix(2.0)
    p = compile_model(m)
    assert [p.column_name(k) for k in range(5)] == [
        "x[gin, 1]",
        "x[gin, 2]",
        "x[rum, 1]",
        "x[rum, 2]",
        "z",
    ]
    assert p.row_name(1) == "c[2]"
    assert p.row_lower.tolist() == [-4, -np.inf, -np.inf, -np.inf]
    assert p.row_upper.tolist() == [-3, np.inf, np.inf, np.inf]
    assert p.matrix.toarray()[0].tolist() == [1, 0, 0, 0, 0]
    assert p.column_lower.tolist() == [0, 0, 2, 0, 4]
    assert p.column_upper.tolist() == [5, 5, 2, 5, 4]


def test_label_names_members():
    """The caller's names of items and nodes replace indices."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2))
    p = compile_model(m, label=lambda component, index: f"item {['gin', 'rum'][index]}")
    assert p.column_name(1) == "x[item rum]"


def test_variables_of_an_enclosing_block_and_references():
    """A block compiles with variables from outside it; a Reference adds no column."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2], bounds=(1, 9))
    m.sub = pyo.Block()
    m.sub.y = pyo.Var(bounds=(0, 9))
    m.sub.same = pyo.Reference(m.x)
    m.sub.c = pyo.Constraint(expr=m.sub.y >= 2 * m.x[2])
    m.sub.o = pyo.Objective(expr=m.sub.y)
    p = compile_model(m.sub)
    assert list(p.columns) == ["sub.y", "x"]
    assert Model(p).solve().objective == 2.0


def test_refuses_what_is_not_linear_or_not_complete():
    """Each unusable model gets its one clear error."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2], bounds=(0, 1))
    m.d = pyo.Var(initialize=1.0)
    m.d.fix()
    m.c = pyo.Constraint(expr=m.d * m.x[1] >= 1)
    with pytest.raises(CompileError, match="data may not multiply variables"):
        compile_model(m, [m.d])
    assert m.d.fixed
    m.del_component(m.c)
    m.d.set_value(None)
    with pytest.raises(CompileError, match="d is fixed or data, but has no value"):
        compile_model(m, [m.d])
    m.d.set_value(1.0)
    m.o1, m.o2 = pyo.Objective(expr=m.x[1]), pyo.Objective(expr=m.x[2])
    with pytest.raises(CompileError, match="2 active objectives"):
        compile_model(m)
    m.o2.deactivate()
    m.x.fix(0.5)
    m.c = pyo.Constraint(expr=m.x[1] + m.x[2] >= 3)
    with pytest.raises(InfeasibleError, match="'c'"):
        compile_model(m)


def test_semicontinuous_domain_is_refused():
    """A domain with a hole is neither continuous nor integer."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Set(initialize=[0, 5, 6]))
    with pytest.raises(CompileError, match="variable x has domain"):
        compile_model(m)


def test_model_without_objective_or_rows():
    """Feasibility problems and boxes compile; a model without columns is checked too."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2], bounds=(1, 2))
    assert Model(compile_model(m)).solve().objective == 0.0
    m.o = pyo.Objective(expr=m.x[1] - m.x[2])
    assert Model(compile_model(m)).solve().objective == -1.0
    m = pyo.ConcreteModel()
    m.d = pyo.Var(initialize=2.0)
    m.d.fix()
    m.c = pyo.Constraint(expr=m.d <= 3)
    m.o = pyo.Objective(expr=5 * m.d)
    model = Model(compile_model(m, [m.d]))
    assert model.solve().objective == 10.0
    model.push_data("d", np.array([4.0]))
    with pytest.raises(InfeasibleError, match=r"c: 0 <= -1 \(with d = 4\)"):
        model.solve()
