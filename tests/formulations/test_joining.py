"""Joining a part to a program of arrays is what compiling both as one Pyomo model gives."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from optrl_formulations.cost_to_go.piecewise import add_piecewise
from optrl_formulations.joining import AffineMap, copies, join
from scipy.sparse import csr_matrix

from optrl.solver import InfeasibleError, Model, compile_model


def base_model(generator):
    """Three columns, two data, one row each."""
    model = pyo.ConcreteModel()
    model.y = pyo.Var(range(3), bounds=(-2, 2))
    model.d = pyo.Var(range(2))
    for k in range(2):
        model.d[k].fix(float(generator.normal()))
    model.row = pyo.Constraint(
        range(2), rule=lambda m, k: m.y[k] + m.y[k + 1] >= m.d[k] * 0.3 - 1.0
    )
    return model


def part_model(slope, copies_of=()):
    """Two arguments: one in a single row, one with a cost and bounds."""
    model = pyo.ConcreteModel()
    model.argument = pyo.Var(range(2))
    model.argument[1].setlb(-3)
    model.part = pyo.Block(concrete=True)
    handles = add_piecewise(
        model.part, [model.argument[0]], np.full((1, 3), 4.0), slope, np.full(1, -6.0)
    )
    model.part.shift = pyo.Var()
    model.part.shift.fix(0.25)
    model.part.above = pyo.Var()
    model.part.row = pyo.Constraint(
        expr=model.part.above >= model.argument[0] - model.argument[1] + model.part.shift
    )
    model.part.low = pyo.Constraint(expr=model.part.above >= -5)
    model.objective = pyo.Objective(
        expr=handles.cost + 0.5 * model.argument[1] + model.part.above + 2.0 * model.part.shift
    )
    return model


def solve_both(one, other):
    """Both solutions; drawn numbers that are infeasible in the one are so in the other."""
    try:
        first = one.solve()
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            other.solve()
        reject()
    return first, other.solve()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 3), substitute=st.booleans())
def test_joined_is_the_model_compiled_as_one(seed, number, substitute):
    """Same optimum and gradient as one Pyomo model with all copies, before and after pushes."""
    generator = np.random.default_rng(seed)
    slope = np.sort(generator.normal(size=(1, 3)), axis=1)
    weight = generator.uniform(0.2, 1, number)
    over_y, over_d = generator.normal(size=(2 * number, 3)), generator.normal(size=(2 * number, 2))
    offset = generator.normal(size=2 * number)
    cost = generator.normal(size=3)

    base = base_model(generator)
    base.objective = pyo.Objective(expr=sum(cost[k] * base.y[k] for k in range(3)) + 1.5)
    part = part_model(slope)
    arguments = AffineMap({"y": csr_matrix(over_y)}, {"d": csr_matrix(over_d)}, offset)
    joined = join(
        compile_model(base, [base.d]),
        copies(compile_model(part, [part.part.shift]), weight),
        arguments,
        substitute=substitute,
    )
    whole = base_model(np.random.default_rng(seed))
    for k in range(2):
        whole.d[k].fix(base.d[k].value)
    terms = [sum(cost[k] * whole.y[k] for k in range(3)) + 1.5]
    shifts = []
    for m in range(number):
        block = part_model(slope)
        block.del_component(block.objective)
        whole.add_component(f"copy{m}", block)
        for a in range(2):
            r = 2 * m + a
            expression = offset[r] + sum(over_y[r, k] * whole.y[k] for k in range(3))
            expression += sum(over_d[r, k] * whole.d[k] for k in range(2))
            whole.add_component(f"tie{r}", pyo.Constraint(expr=block.argument[a] == expression))
        inner = sum(slope[0, s] * block.part.segment[0, s] for s in range(3))
        inner += 0.5 * block.argument[1] + block.part.above + 2.0 * block.part.shift
        terms.append(weight[m] * inner)
        shifts.append(block.part.shift)
    whole.objective = pyo.Objective(expr=sum(terms))
    one, other = Model(joined), Model(compile_model(whole, [whole.d, *shifts]))
    first, expected = solve_both(one, other)
    assert first.objective == pytest.approx(expected.objective, abs=1e-6)
    x = arguments.evaluate({"y": first.values("y")}, one.data)
    manual = over_y @ first.values("y") + over_d @ one.data["d"] + offset
    assert x == pytest.approx(manual)
    data, moved = 0.5 * generator.normal(size=2), generator.normal(size=number)
    one.push_data("d", data)
    other.push_data("d", data)
    one.push_data("part.shift", moved)
    for m in range(number):
        other.push_data(f"copy{m}.part.shift", moved[m : m + 1])
    first, expected = solve_both(one, other)
    assert first.objective == pytest.approx(expected.objective, abs=1e-6)


def test_names_and_sizes_are_checked():
    """Colliding names, missing blocks, wrong counts, weights that are not positive."""
    base = base_model(np.random.default_rng(0))
    base.objective = pyo.Objective(expr=base.y[0])
    program = compile_model(base, [base.d])
    model = part_model(np.array([[0.0, 1.0, 2.0]]))
    part = compile_model(model, [model.part.shift])
    arguments = AffineMap({"y": csr_matrix(np.ones((2, 3)))}, {}, np.zeros(2))
    joined = join(program, part, arguments)
    assert "part.segment" in joined.columns
    # The second argument has a cost, so that it keeps a column.
    assert joined.row_name(joined.rows["tie"].start).startswith("tie[")
    with pytest.raises(ValueError, match="both have a block 'argument'"):
        join(joined, part, arguments)
    with pytest.raises(ValueError, match="1 expressions were given for 2 arguments"):
        join(program, part, AffineMap({}, {}, np.zeros(1)))
    with pytest.raises(ValueError, match="no column block 'z'"):
        join(program, part, AffineMap({"z": csr_matrix((2, 3))}, {}, np.zeros(2)))
    with pytest.raises(ValueError, match="weights must be positive"):
        copies(part, np.zeros(1))
    assert copies(part, np.ones(2)).column_name(2) == "argument[copy 1, 0]"
