import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optrl.solver import InfeasibleError, Model, UnboundedError, compile_model
from optrl.solver.conflict import find_conflict


def network() -> pyo.ConcreteModel:
    """Two items from a hub to two stores over three periods; all demand must be met."""
    m = pyo.ConcreteModel()
    items, stores, periods = ["gin", "rum"], ["north", "south"], range(3)
    m.demand = pyo.Var(items, stores, periods, initialize=5.0)
    m.demand.fix()
    m.ship = pyo.Var(items, stores, periods, bounds=(0, None))
    m.stock = pyo.Var(items, stores, periods, bounds=(0, None))
    m.balance = pyo.Constraint(
        items,
        stores,
        periods,
        rule=lambda m, i, v, t: (
            (m.stock[i, v, t - 1] if t else 0) + m.ship[i, v, t]
            == m.stock[i, v, t] + m.demand[i, v, t]
        ),
    )
    m.dock = pyo.Constraint(
        periods, rule=lambda m, t: sum(m.ship[i, v, t] for i in items for v in stores) <= 30
    )
    m.cost = pyo.Objective(expr=sum(m.ship.values()) + 0.1 * sum(m.stock.values()))
    return m


def names(error: pytest.ExceptionInfo[InfeasibleError]) -> set[str]:
    assert error.value.conflict is not None
    return {member.name for member in error.value.conflict.members}


def test_rows_in_conflict_are_named_with_their_data():
    """One demand beyond the dock: exactly the rows that matter, with item, node and period."""
    m = network()
    model = Model(compile_model(m, [m.demand]))
    model.solve()
    demand = np.full((2, 2, 3), 5.0)
    demand[0, 1, 0] = 50.0
    model.push_data("demand", demand)
    with pytest.raises(InfeasibleError) as error:
        model.solve()
    assert error.value.conflict.irreducible
    assert {"balance[gin, south, 0]", "dock[0]"} <= names(error)
    text = str(error.value)
    assert "demand[gin, south, 0] = 50" in text
    assert "constraint dock[0]:" in text
    assert "<= 30" in text
    assert "rum" not in "".join(n for n in names(error) if n.startswith("balance"))
    model.push_data("demand", np.full(12, 5.0))
    assert model.solve().objective == pytest.approx(60.0)


def test_bounds_in_conflict_are_named():
    """A closed lane against a demand: the bound is part of the conflict."""
    m = network()
    m.ship["rum", "north", 0].setub(2)
    with pytest.raises(InfeasibleError, match=r"bound ship\[rum, north, 0\] <= 2") as error:
        Model(compile_model(m, [m.demand])).solve()
    assert names(error) == {
        "balance[rum, north, 0]",
        "ship[rum, north, 0]",
        "stock[rum, north, 0]",
    }


def test_crossed_bounds_are_named():
    """Bounds of one variable, or sides of one row, that exclude each other."""
    m = network()
    model = Model(compile_model(m, [m.demand]))
    lower = np.zeros(12)
    lower[3] = 7.0
    model.push_bounds("ship", lower=lower, upper=np.full(12, 6.0))
    with pytest.raises(InfeasibleError, match=r"bound 7 <= ship\[gin, south, 0\] <= 6"):
        model.solve()
    model.push_bounds("ship", lower=np.zeros(12))
    model.push_row_bounds("dock", lower=np.array([0.0, 40.0, 0.0]))
    with pytest.raises(InfeasibleError, match=r"40 <= dock\[1\]") as error:
        model.solve()
    assert len(error.value.conflict.members) == 1


def test_integer_conflict_says_that_the_relaxation_is_feasible():
    """Lots of 4 against an exact quantity: integrality is part of the explanation."""
    m = network()
    m.lots = pyo.Var(["gin", "rum"], domain=pyo.NonNegativeIntegers, bounds=(0, 9))
    m.lot = pyo.Constraint(["gin", "rum"], rule=lambda m, i: m.ship[i, "north", 2] == 4 * m.lots[i])
    m.none_left = pyo.Constraint(
        ["gin", "rum"], rule=lambda m, i: m.stock[i, "north", 2] <= (2 if i == "gin" else 9)
    )
    m.just_in_time = pyo.Constraint(expr=m.stock["gin", "north", 1] == 0)
    with pytest.raises(InfeasibleError, match="continuous relaxation is feasible") as error:
        Model(compile_model(m, [m.demand])).solve()
    assert error.value.conflict.irreducible
    assert names(error) >= {"lot[gin]", "none_left[gin]", "just_in_time", "lots[gin]"}
    assert not any("rum" in name or "south" in name for name in names(error))
    assert "lots[gin] must be integer" in str(error.value)


def test_relaxed_conflict_of_a_mip_names_no_integrality():
    """A MIP whose relaxation is infeasible is explained without integers."""
    m = network()
    for v in m.ship.values():
        v.domain = pyo.NonNegativeIntegers
    m.dock[0].set_value(
        sum(m.ship[i, v, 0] for i in ("gin", "rum") for v in ("north", "south")) <= 9
    )
    with pytest.raises(InfeasibleError) as error:
        Model(compile_model(m, [m.demand])).solve()
    assert "relaxation" not in str(error.value)
    assert "dock[0]" in names(error)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_conflicts_are_infeasible_and_irreducible(seed):
    """On random LPs: infeasible by another solver, and feasible once any member is dropped."""
    g = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(4), bounds=(0, 5))
    m.c = pyo.ConstraintList()
    for _ in range(12):
        a = g.integers(-3, 4, 4)
        a[0] = a[0] or 1
        m.c.add(
            sum(int(v) * x for v, x in zip(a, m.x.values(), strict=True)) >= int(g.integers(-8, 9))
        )
    p = compile_model(m)
    found = find_conflict(p, 5.0)

    def feasible(s) -> bool:
        rows = [(-1, p.row_lower, s.row_lower), (1, p.row_upper, s.row_upper)]
        a = np.vstack([k * p.matrix.toarray()[use] for k, _, use in rows])
        b = np.concatenate([k * bound[use] for k, bound, use in rows])
        low = np.where(s.column_lower, p.column_lower, -np.inf)
        high = np.where(s.column_upper, p.column_upper, np.inf)
        return linprog(np.zeros(4), a, b, bounds=np.column_stack([low, high])).status == 0

    if found is None:
        assert Model(p).solve().objective == 0.0
        return
    s = found.selection
    assert not feasible(s)
    assert found.irreducible
    nothing = np.zeros(len(p.row_lower), bool), np.zeros(4, bool)
    for k, sides in enumerate((s.rows, s.columns)):
        for position in np.flatnonzero(sides):
            drop = [side.copy() for side in nothing]
            drop[k][position] = True
            assert feasible(s.without(*drop))


def test_unbounded_columns_are_named():
    """A price that pays for holding: the columns that grow together are named."""
    m = network()
    m.dock.deactivate()
    m.cost.set_value(-sum(m.stock["rum", "south", t] for t in range(3)))
    with pytest.raises(UnboundedError, match=r"stock\[rum, south, 2\]") as error:
        Model(compile_model(m, [m.demand])).solve()
    assert all("rum, south" in name for name in error.value.columns)
    for v in m.ship.values():
        v.domain = pyo.NonNegativeIntegers
    with pytest.raises(UnboundedError, match="bound these variables"):
        Model(compile_model(m, [m.demand])).solve()
    m.cost.set_value(sum(m.stock["rum", "south", t] for t in range(3)))
    m.cost.sense = pyo.maximize
    with pytest.raises(UnboundedError):
        Model(compile_model(m, [m.demand])).solve()


def test_infeasible_and_unbounded_is_infeasible():
    """Both at once: infeasibility comes first, since no value is reached."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, None))
    m.c = pyo.Constraint(expr=m.x >= 2)
    m.o = pyo.Objective(expr=-m.y)
    with pytest.raises(InfeasibleError, match="c: x >= 2"):
        Model(compile_model(m)).solve()
